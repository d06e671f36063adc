"""Text in, text out: what a trained checkpoint is for. Needs neither Lightning nor data."""

from nlp_rnn.inference.classification import Classification, TextClassifier
from nlp_rnn.inference.generation import TextGenerator
from nlp_rnn.inference.generation_search import TextBeamSearch, TextSampling
from nlp_rnn.inference.translation import Alignment, Translation, Translator
from nlp_rnn.inference.translation_search import BeamSearch, Sampling

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
