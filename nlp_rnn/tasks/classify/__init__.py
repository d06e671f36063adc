"""Text classification, sentiment first of all."""

from nlp_rnn.tasks.classify.data import ClassificationData
from nlp_rnn.tasks.classify.task import ClassificationTask

__all__ = ["ClassificationData", "ClassificationTask"]
