"""Where things are kept that take time to make or to fetch."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """The folder that ``NLP_RNN_CACHE`` names, or one in the user's own cache."""
    chosen = os.environ.get("NLP_RNN_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "nlp_rnn"
