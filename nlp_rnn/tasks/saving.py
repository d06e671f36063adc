"""Checkpoints that are whole or not there."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from nlp_rnn.errors import InputError

__all__ = ["DurableCheckpointIO"]


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes beside the checkpoint, and renames once the disk has all of it.

    Lightning writes in ``$TMPDIR`` and moves. From another file system that is a copy: killed
    within it, a process leaves half a file in place of the last good one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Replace a checkpoint by a new one at once.

        Raises:
            InputError: it cannot be written, as on a full disk; the one before stays.
        """
        if "://" in str(path) or storage_options is not None:  # no local file
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        # Always the same name: what a kill leaves behind is overwritten by the next checkpoint.
        unfinished = path.with_name(f".{path.name}.unfinished")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise InputError(
                f"{path} cannot be written ({error.strerror}): an earlier one is untouched; mend "
                "that and resume from it with --ckpt_path"
            ) from error
