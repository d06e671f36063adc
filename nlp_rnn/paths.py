"""Paths as users type them."""

import os
from pathlib import Path

__all__ = ["home"]


def home(path: str | Path) -> str:
    """A path or address with the home folder for a leading tilde.

    A shell leaves the tilde alone behind an equals sign and in a config. That of a user who does
    not exist stays, so that what cannot be found is named as it was given.
    """
    return os.path.expanduser(path)  # noqa: PTH111 - Path's own raises, and cuts "s3://"
