"""``last.ckpt`` is where training has got to, better or not."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

__all__ = ["LastCheckpoint", "save_last"]


class LastCheckpoint(Checkpoint):
    """Saves ``last.ckpt`` at the end of every epoch, and of every validation within one.

    `ModelCheckpoint` does so only where the score is a new best. A `Checkpoint` runs after all
    other callbacks, so what they remember of this epoch is in it.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the next epoch after one that was saved at its end.

        Where ``max_steps`` is set, Lightning takes it for one that was cut short, and ends it again
        (loops/fit_loop.py, ``restarting``).
        """
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end:
            loop.epoch_progress.increment_completed()
            loop.reset_restart_stage()
            loop.epoch_loop.restarting = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not getattr(trainer, "fast_dev_run", False):  # which is to leave nothing
            save_last(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # At the end of an epoch it is too early: early stopping has still to see the score.
        if trainer.val_check_interval != 1.0 and not trainer.sanity_checking:
            save_last(trainer)


def save_last(trainer: Trainer) -> Path:
    """Save ``last.ckpt`` beside the best checkpoint, and say where that is."""
    path = Path(trainer.checkpoint_callback.dirpath or ".") / "last.ckpt"  # type: ignore[union-attr]
    trainer.save_checkpoint(path, weights_only=False)
    return path
