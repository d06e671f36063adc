"""Text in, text out: what a trained checkpoint is for. Needs neither Lightning nor data."""

from nlp_rnn.inference.classification import Classification, TextClassifier
from nlp_rnn.inference.generation import TextBeamSearch, TextGenerator, TextSampling
from nlp_rnn.inference.translation import (
    Alignment,
    BeamSearch,
    Sampling,
    Translation,
    Translator,
)

__all__ = [
    "Alignment",
    "BeamSearch",
    "Classification",
    "Sampling",
    "TextBeamSearch",
    "TextClassifier",
    "TextGenerator",
    "TextSampling",
    "Translation",
    "Translator",
]
