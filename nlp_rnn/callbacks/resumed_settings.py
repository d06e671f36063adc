"""The settings that a run goes on with, where its next resume finds them."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

__all__ = ["ResumedSettings"]


class ResumedSettings(Callback):
    """Writes the settings that a run goes on with beside those that it began with.

    The log folder of a resumed run is another one than that of its checkpoints, where the next
    resume looks. They are written once its first batch is there: a resume that is refused before
    leaves no trace.

    Args:
        path: of the file.
        settings: its content.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path = path
        self.settings = settings
        self._written = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_global_zero and not self._written:
            self._written = True
            unfinished = self.path.with_name(f".{self.path.name}.unfinished")
            unfinished.write_text(self.settings, encoding="utf-8")
            unfinished.replace(self.path)
