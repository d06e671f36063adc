"""``python -m nlp_rnn.tasks.translate {fit,validate,test,predict}``."""

from nlp_rnn.tasks.run import run
from nlp_rnn.tasks.translate.cli import TranslateCLI

if __name__ == "__main__":
    run(TranslateCLI)
