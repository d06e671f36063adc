"""The settings that a run goes on with, where its next resume finds them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info

__all__ = ["ResumedSettings", "settings_of"]

_OF_A_CALL = ("ckpt_path", "checkpoint.dirpath")
"""Where a checkpoint lies, which every resume says anew."""


class ResumedSettings(Callback):
    """Says which settings a resume changes, and writes them beside those that its run began with.

    The log folder of a resumed run is another one than that of its checkpoints, where the next
    resume looks. They are written once its first batch is there: a resume that is refused before
    leaves no trace.

    Args:
        run: folder of the run that goes on.
        settings: that it goes on with, the content of a config.
    """

    def __init__(self, run: Path, settings: str) -> None:
        self.run = run
        self.settings = settings
        self._written = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        before = settings_of(self.run).read_text(encoding="utf-8")
        changes = list(_changes(before, self.settings))
        if changes:
            rank_zero_info(f"other settings than the run had: {', '.join(changes)}")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_global_zero and not self._written:
            self._written = True
            path = _resumed(self.run)
            unfinished = path.with_name(f".{path.name}.unfinished")
            unfinished.write_text(self.settings, encoding="utf-8")
            unfinished.replace(path)


def settings_of(run: Path) -> Path:
    """The config that a run went on with last, or began with; it need not be there."""
    resumed = _resumed(run)
    return resumed if resumed.is_file() else run / "config.yaml"


def _resumed(run: Path) -> Path:
    return run / "resumed.yaml"


def _changes(before: str, after: str) -> Iterator[str]:
    """What is other in a config than in an earlier one."""
    old, new = (dict(_flat(yaml.safe_load(text))) for text in (before, after))
    for name, value in new.items():
        if value != old.get(name) and name not in _OF_A_CALL:
            yield f"{name} {value} (was {old.get(name)})"


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted names, as on the command line."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
