"""``python -m nlp_rnn.tasks.classify {fit,validate,test,predict}``."""

from nlp_rnn.tasks.classify.cli import ClassifyCLI
from nlp_rnn.tasks.run import run

if __name__ == "__main__":
    run(ClassifyCLI)
