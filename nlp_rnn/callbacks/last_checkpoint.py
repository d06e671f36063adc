"""``last.ckpt`` is where training has got to, better or not."""

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from nlp_rnn.callbacks.best_checkpoint import best_checkpoint

__all__ = ["LastCheckpoint", "save_last"]


class LastCheckpoint(Checkpoint):
    """Saves ``last.ckpt`` at the end of every epoch, and of every validation within one.

    `ModelCheckpoint` does so only where the score is a new best. A `Checkpoint` runs after all
    other callbacks, so what they remember of this epoch is in it.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on in an epoch that ``max_steps`` cut short: it was saved as if at its end."""
        loops = checkpoint["loops"]["fit_loop"]
        epoch = loops["epoch_progress"]
        at_end = epoch["current"]["processed"] == epoch["current"]["completed"] + 1
        if at_end and not loops["epoch_loop.batch_progress"]["is_last_batch"]:
            epoch["current"]["processed"] -= 1
            epoch["total"]["processed"] -= 1

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the next epoch after one that was saved at its end.

        Lightning by itself would end that epoch again if ``max_steps`` is set, and would begin no
        other if it was saved between its last update and the validation (loops/fit_loop.py).
        """
        loop = trainer.fit_loop
        ended = (  # and closed by the loop's reset
            loop.restarted_mid_epoch
            and trainer.is_last_batch
            and loop.epoch_loop.restarted_on_train_batch_end
        )
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
        if ended or loop.restarted_on_epoch_end:
            loop.reset_restart_stage()
            loop.epoch_loop.restarting = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not getattr(trainer, "fast_dev_run", False):  # which is to leave nothing
            save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        # At the end of an epoch it is too early: early stopping has still to see the score.
        if trainer.val_check_interval != 1.0 and not trainer.sanity_checking:
            save_last(trainer)


def save_last(trainer: Trainer) -> Path:
    """Save ``last.ckpt`` beside the best checkpoint, and say where that is."""
    best = best_checkpoint(trainer)
    path = Path((best and best.dirpath) or trainer.default_root_dir) / "last.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    return path
