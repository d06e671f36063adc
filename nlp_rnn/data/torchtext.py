"""torchtext on the torch of today: the one place that imports it.

Its last release, 0.18.0, was built for torch 2.3, and no later one loads its C++ extension. Stubs
in the place of the extension keep the rest of it usable: `vocab.Vectors` and its kin,
`data.get_tokenizer`, `data.bleu_score`.
"""

from __future__ import annotations

import ssl
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from nlp_rnn.errors import InputError

__all__ = ["import_torchtext", "pretrained_vectors"]

_EXTENSION = ("torchtext._extension", "torchtext._torchtext")


class _Stub(ModuleType):
    """A module with a class of any name, which tells what is missing when it is used."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: object) -> None:
            raise InputError(
                f"{name} needs torchtext's C++ extension, which loads with torch 2.3 at most; to "
                "use a Vocab, write its get_itos() to a text file there, one word a line"
            )

        return type(name, (), {"__init__": refuse})


def import_torchtext() -> ModuleType:
    """The package torchtext, with its parts `data` and `vocab` imported, and silent.

    The stubs stay, since torchtext imports from its extension whenever another part is imported.

    Raises:
        InputError: it is not installed.
    """
    if find_spec("torchtext") is None:
        raise InputError(
            "this needs torchtext, which is made for Python up to 3.12: pip install -e "
            "'.[torchtext]', or give vectors as a file"
        )
    for name in _EXTENSION:
        sys.modules.setdefault(name, _Stub(name))
    import torchtext

    torchtext.disable_torchtext_deprecation_warning()
    import torchtext.data
    import torchtext.vocab

    return torchtext


def pretrained_vectors(name: str, cache: Path) -> Any:
    """The `torchtext.vocab.Vectors` of a name, downloaded unless they are in the cache.

    Args:
        name: Such as `glove.6B.100d`, a key of `torchtext.vocab.pretrained_aliases`.
        cache: Folder for the downloaded files, with torchtext's own names.

    Raises:
        InputError: torchtext is not installed, or the vectors cannot be downloaded or read.
    """
    make = import_torchtext().vocab.pretrained_aliases[name]
    # torchtext switches the check of certificates off, for the whole process: here it stays on.
    default, unchecked = ssl._create_default_https_context, ssl._create_unverified_context
    ssl._create_unverified_context = ssl.create_default_context  # type: ignore[assignment]
    try:
        return make(cache=str(cache))
    except Exception as error:
        raise InputError(
            f"cannot get the vectors {name} ({error}): remove what is unfinished in {cache} and "
            "try again, or give vectors as a file"
        ) from error
    finally:
        ssl._create_default_https_context = default
        ssl._create_unverified_context = unchecked
