"""Text in, text out: what a trained checkpoint is for. Needs neither Lightning nor data."""

from nlp_rnn.inference.generation import TextBeamSearch, TextGenerator, TextSampling
from nlp_rnn.inference.translation import (
    Alignment,
    BeamSearch,
    Sampling,
    Translation,
    Translator,
    TruncationWarning,
)

__all__ = [
    "Alignment",
    "BeamSearch",
    "Sampling",
    "TextBeamSearch",
    "TextGenerator",
    "TextSampling",
    "Translation",
    "Translator",
    "TruncationWarning",
]
