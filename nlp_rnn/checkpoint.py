"""What a checkpoint promises, and how one is opened.

A checkpoint is a zip file that `torch.load(weights_only=True)` reads. Beside what Lightning needs
to resume it holds:

- ``nlp_rnn``: ``{"task": ..., "format": 1}``;
- ``hyper_parameters``: the network's constructor arguments, plain values only;
- ``state_dict``: its weights, under ``network.``;
- ``TranslationData`` or the like, the state of the data module: tokenizers as bytes, and which
  data with which columns it was trained on;
- ``temperature`` of a classifier, ``carried_state`` of a language model in training.
"""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nlp_rnn.errors import InputError, reason_of
from nlp_rnn.paths import home

__all__ = ["FORMAT", "check_plain", "network_weights", "open_checkpoint"]

FORMAT = 1


def open_checkpoint(path: str | Path, *, task: str) -> dict[str, Any]:
    """Read a checkpoint of one task; its tensors are on the CPU, wherever they were trained.

    Args:
        path: a local file.
        task: the kind that is wanted, e.g. ``translate``.

    Raises:
        InputError: no such file, not a checkpoint of ours, damaged, of another task, written by
            a newer version, or with weights that are not finite.
    """
    path = Path(home(path))
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: give the path of a .ckpt file written by fit")
    try:
        with zipfile.ZipFile(path) as archive:
            # torch.load does not compare checksums: without this, flipped bits load silently.
            broken = archive.testzip()
        if broken:
            raise zipfile.BadZipFile(broken)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        with path.open("rb") as file:
            archive_at_all = file.read(2) == b"PK"
        if not archive_at_all:
            raise InputError(
                f"{path} is not a readable checkpoint but a file of another kind: give a .ckpt "
                "written by fit; texts to be read are named with --input"
            ) from error
        raise InputError(
            f"{path} is not a readable checkpoint ({reason_of(error)[:120]}): it is damaged or cut "
            "short; use last.ckpt or an earlier one"
        ) from error
    about = checkpoint.get("nlp_rnn") if isinstance(checkpoint, dict) else None
    if not isinstance(about, dict) or not {"task", "format"} <= about.keys():
        raise InputError(f"{path} was not written by nlp_rnn: give a checkpoint made by fit")
    if about["format"] > FORMAT:
        raise InputError(
            f"{path} has format {about['format']}, this version reads up to {FORMAT}: "
            "upgrade nlp-rnn"
        )
    if about["task"] != task:
        raise InputError(
            f"{path} is a checkpoint of the task '{about['task']}', but '{task}' is wanted"
        )
    for name, weight in checkpoint.get("state_dict", {}).items():
        if not torch.isfinite(weight).all():
            raise InputError(f"{path}: {name} has values that are no numbers; use an earlier one")
    return checkpoint


def check_plain(values: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, what no checkpoint could be read with again.

    Args:
        values: of arguments, by name.

    Raises:
        InputError: one is a path, a number of numpy or the like.
    """
    for name, value in values.items():
        file = io.BytesIO()
        torch.save(value, file)
        file.seek(0)
        try:
            torch.load(file, weights_only=True)
        except pickle.UnpicklingError:
            raise InputError(
                f"{name} is {value!r}, which checkpoints do not hold: give plain text, numbers or "
                "lists of them, as with str() or float()"
            ) from None


def network_weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The network's own part of the saved weights, for its `load_state_dict`."""
    prefix = "network."
    return {
        name.removeprefix(prefix): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(prefix)
    }
