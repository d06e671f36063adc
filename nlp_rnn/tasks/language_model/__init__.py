"""Language modelling."""

from nlp_rnn.tasks.language_model.data import LanguageModelData
from nlp_rnn.tasks.language_model.task import LanguageModelTask

__all__ = ["LanguageModelData", "LanguageModelTask"]
