"""Files of a run: checkpoints that are whole or not there, and the settings to go on with."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.plugins import TorchCheckpointIO

from nlp_rnn.errors import InputError

__all__ = ["DurableCheckpointIO", "RunConfig"]


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


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` beside the folder of the checkpoints, where a resume looks for it.

    A resumed run has a log folder of its own, but what it was given holds for the next resume, too.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the settings, without what they were resumed from."""
        # A new run's checkpoints go to its log folder, which they are not told of yet.
        checkpoints = getattr(trainer.checkpoint_callback, "dirpath", None)
        folder = Path(checkpoints).parent if checkpoints else Path(trainer.log_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        config = self.config.clone()
        config.ckpt_path = None
        self.parser.save(config, folder / "config.yaml", skip_none=False, overwrite=True)
