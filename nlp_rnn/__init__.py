"""Recurrent networks for NLP; what a trained checkpoint is used through has its name here."""

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlp_rnn.inference import TextClassifier, TextGenerator, Translator

__all__ = ["TextClassifier", "TextGenerator", "Translator", "__version__"]

try:
    __version__ = metadata.version("nlp-rnn")
except metadata.PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load a public class when it is asked for: the shell command answers before torch would."""
    if name in ("TextClassifier", "TextGenerator", "Translator"):
        from nlp_rnn import inference

        return getattr(inference, name)
    raise AttributeError(f"module 'nlp_rnn' has no attribute {name!r}")
