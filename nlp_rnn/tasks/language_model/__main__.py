"""``python -m nlp_rnn.tasks.language_model {fit,validate,test,predict}``."""

from nlp_rnn.tasks.language_model.cli import LanguageModelCLI
from nlp_rnn.tasks.run import run

if __name__ == "__main__":
    run(LanguageModelCLI)
