"""Ctrl-C, SIGTERM and damaged data end a training with a checkpoint to resume from."""

import signal
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_info

from nlp_rnn.callbacks.last_checkpoint import save_last
from nlp_rnn.errors import InputError

__all__ = ["GracefulStop", "Stopped"]


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """Training was stopped on request; the message says how to go on."""


class GracefulStop(Checkpoint):
    """Saves ``last.ckpt`` after the running update and stops.

    A second signal stops at once. Saving from inside the signal handler, in the middle of an
    update, would lose the batch; this resumes exactly. If a validation or the end of the epoch is
    due next, it comes before the stop: a resumed training would begin behind it. If the training is
    over then, it ends as ever. A `Checkpoint` runs after all other callbacks, so averaged
    weights are up to date.

    A stream that turns out to be damaged in the middle of an epoch ends it likewise, in a single
    process; of several, the others would have to know of it to save. Between the batches of an
    update it would be no place to go on from: what was saved before stays.
    """

    def __init__(self) -> None:
        self._asked = False
        self._updates = 0
        self._updated = False
        self._handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._asked = self._updated = False
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._ask)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._updates = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._updated = trainer.global_step > self._updates
        if not self._updated:  # gradients of several batches are gathered
            return
        if self._is_asked(trainer):
            path = save_last(trainer)
            if not (_epoch_ends(trainer) or _validation_is_next(trainer)):
                self._stop(trainer, path)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        # At the end of an epoch it is too early: best.ckpt is kept only then.
        within_epoch = not (trainer.sanity_checking or _epoch_ends(trainer))
        if within_epoch and self._is_asked(trainer) and not trainer.should_stop:
            self._stop(trainer, save_last(trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        over = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if self._is_asked(trainer) and not over:
            self._stop(trainer, save_last(trainer))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._restore()
        if isinstance(exception, InputError) and self._updated and trainer.world_size == 1:
            path = save_last(trainer)
            rank_zero_info(
                f"stopped at update {trainer.global_step}; once the error is mended, resume with "
                f"fit --ckpt_path {path}"
            )

    def _is_asked(self, trainer: Trainer) -> bool:
        """On any rank."""
        return trainer.strategy.reduce_boolean_decision(self._asked, all=False)

    def _stop(self, trainer: Trainer, path: Path) -> None:
        self._restore()
        raise Stopped(
            f"stopped at update {trainer.global_step}; resume with fit --ckpt_path {path}"
        )

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        rank_zero_info(
            "stopping after this update, and the validation if one comes next; press Ctrl-C again "
            "to stop at once"
        )

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def _epoch_ends(trainer: Trainer) -> bool:
    return trainer.is_last_batch or trainer.global_step == trainer.max_steps


def _validation_is_next(trainer: Trainer) -> bool:
    # The loop alone knows: after every so many batches, counted over epochs or within one.
    loop = trainer.fit_loop
    return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)  # type: ignore[arg-type]
