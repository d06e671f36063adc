"""``python -m nlp_rnn.tasks.language_model {fit,validate,test,predict}``."""

from nlp_rnn.tasks.cli import run
from nlp_rnn.tasks.language_model.cli import LanguageModelCLI

if __name__ == "__main__":
    run(LanguageModelCLI)
