"""Sequence-to-sequence translation."""

from nlp_rnn.tasks.translate.data import TranslationData
from nlp_rnn.tasks.translate.task import TranslationTask

__all__ = ["TranslationData", "TranslationTask"]
