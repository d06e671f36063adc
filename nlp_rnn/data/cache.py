"""Where things are kept that take time to make or to fetch."""

import hashlib
import os
from functools import cache
from pathlib import Path

from nlp_rnn.paths import home

__all__ = ["cache_folder", "code_version"]


def cache_folder() -> Path:
    """The folder that ``NLP_RNN_CACHE`` names, or one in the user's own cache."""
    chosen = os.environ.get("NLP_RNN_CACHE")
    return Path(home(chosen)) if chosen else Path.home() / ".cache" / "nlp_rnn"


@cache
def code_version() -> str:
    """A fingerprint of the code that reads, cuts and tokenizes data.

    `datasets` knows a function that can be imported by its name alone. With this among the
    function's arguments, what an older version has kept is not taken for the work of a newer one.
    """
    package = Path(__file__).parents[1]
    files = [*package.glob("data/*.py"), *package.glob("tasks/**/data.py")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()[:24]
