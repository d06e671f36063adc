"""What all tasks have in common: a network, its optimizer, a checkpoint that stands alone."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributed
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from nlp_rnn.checkpoint import FORMAT, check_plain
from nlp_rnn.cpu import emulates_bf16
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.inference.networks import Precision, check_bf16_cells
from nlp_rnn.tasks.optimization import Optimization

__all__ = ["DivergedError", "Task", "warn_of_slow_bf16", "warnings_of_rows"]


class DivergedError(RuntimeError):
    """The gradient is no longer finite; the last update is the last good one."""


class Task(LightningModule):
    """Holds a network and trains it.

    Args:
        network: any network with ``arguments``, the values it was built from.
        optimization: how its parameters are updated.
    """

    name: ClassVar[str]

    def __init__(self, network: nn.Module, *, optimization: Optimization) -> None:
        super().__init__()
        self.network = network
        self.optimization = optimization

    def setup(self, stage: str) -> None:
        """Refuse what could not be trained, or not be opened again.

        Raises:
            InputError: a precision that networks are not run in, or this CPU has no cell for; an
                argument that a checkpoint does not hold.
        """
        if stage == "fit":
            check_plain({**self.network.arguments, **asdict(self.optimization)})  # type: ignore[dict-item]
        precision = str(self.trainer.precision)
        if precision.endswith("-true") and precision != "32-true":
            raise InputError(
                f"--trainer.precision {precision}: losses, averages and scores are kept in fp32; "
                "use 32-true or bf16-mixed"
            )
        if stage == "fit" and precision == "16-mixed":
            raise InputError(
                "--trainer.precision 16-mixed: its gradients are scaled when they are clipped; use "
                "bf16-mixed"
            )
        if precision.startswith("bf16") and isinstance(self.trainer.accelerator, CPUAccelerator):
            setting = f"--trainer.precision {precision}"
            check_bf16_cells(self.network, setting, "--trainer.precision 32-true")
        if stage == "fit" and self.optimization.algorithm == "muon":
            warn_of_slow_bf16(self.trainer, "--model.optimization.algorithm muon", "adamw")

    @property
    def serving_precision(self) -> Precision:
        """What the public classes compute in: the trainer's, but fp32 in training.

        They are served in fp32 unless asked otherwise, and training tells what they will score.
        """
        training = self.trainer.state.fn == "fit"
        return "bf16" if str(self.trainer.precision) == "bf16-mixed" and not training else "fp32"

    def mean_over_ranks(self, total: Tensor, count: Tensor) -> Tensor:
        """The mean cost of the global batch, whose gradient is right on every rank.

        Each rank holds a part of the batch. Gradients are averaged over ranks, so the sum needs
        their number as a factor. With ``accumulate_grad_batches`` each batch counts alike, whatever
        it holds, as Lightning has it.

        Args:
            total: summed over the part of this rank.
            count: of what was summed.
        """
        everywhere = self.trainer.strategy.reduce(count.float(), reduce_op="sum")
        mean: Tensor = total * self.trainer.world_size / everywhere
        return mean

    def of_all_ranks(self, found: list[Any]) -> list[Any]:
        """What every rank has found, one after the other."""
        if self.trainer.world_size == 1:
            return found
        parts: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(parts, found)
        return [each for part in parts for each in part]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is trained; a group may have a ``scale`` of its learning rate."""
        return [{"params": [*self.parameters()]}]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        total = float(self.trainer.estimated_stepping_batches)
        groups = [
            {**group, "params": [each for each in group["params"] if each.requires_grad]}
            for group in self.parameter_groups()
        ]
        optimizer, schedule = self.optimization.build(
            groups,
            total_steps=total if total >= 0 else math.inf,  # -1: streamed, and no max_steps
            matrices=[
                weight
                for layer in self.network.modules()
                if isinstance(layer, nn.RNNBase)
                for weight in layer.parameters()
                if weight.ndim == 2
            ],
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """After a resume: what is asked for now holds, not what the checkpoint had."""
        _check_validations(self.trainer)
        for group, asked in zip(self.optimizers().param_groups, self.parameter_groups()):  # type: ignore[union-attr]
            group["scale"] = asked.get("scale", 1.0)
        self.optimization.adopt(self.lr_schedulers())  # type: ignore[arg-type]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make dropout a function of seed, rank, epoch and batch, so that resuming is exact."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        entropy = [seed, self.global_rank, self.current_epoch, batch_idx]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """End with a validation, and so with a checkpoint, where `max_steps` cuts an epoch.

        Whatever the least number of epochs or updates is, or of epochs between validations.

        `max_time` may be over between the batches of an update: then it is once that is done.
        """
        trainer = self.trainer
        if self.global_step == trainer.max_steps:
            trainer.should_stop = True  # validates first
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
            if trainer.check_val_every_n_epoch:
                trainer.check_val_every_n_epoch = 1
        elif (batch_idx + 1) % trainer.accumulate_grad_batches and not trainer.is_last_batch:
            trainer.should_stop = False

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm over all parameters (Pascanu et al. 2013), log it, stop if not finite.

        Raises:
            DivergedError: before the update, so the weights and the last checkpoint stay good.
        """
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters() if p.grad is not None])
        if not torch.isfinite(norm):
            raise DivergedError(
                f"update {self.global_step}: the gradient norm is {norm.item()}; lower "
                "--model.optimization.learning_rate or --trainer.gradient_clip_val, and start "
                "again or resume from last.ckpt, if there is one"
            )
        if gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val and gradient_clip_val > 0:
            nn.utils.clip_grads_with_norm_(self.parameters(), float(gradient_clip_val), norm)
        self.log("gradient_norm", norm)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Before anything of it is taken.

        Raises:
            InputError: training would go on with another optimizer.
        """
        if self._trainer is not None and self._trainer.state.fn == "fit":
            for state in checkpoint.get("optimizer_states", []):  # those of weights alone have none
                self.optimization.check_resumable(state)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["nlp_rnn"] = {"task": self.name, "format": FORMAT}
        checkpoint["hyper_parameters"] = dict(self.network.arguments)  # type: ignore[arg-type]


def _check_validations(trainer: Trainer) -> None:
    """Validations, which save checkpoints, fall between updates.

    Raises:
        InputError: one would fall between the batches of an update.
    """
    batches, interval = trainer.accumulate_grad_batches, trainer.val_check_batch
    epoch = trainer.num_training_batches
    if interval not in (None, epoch) and interval % batches:
        raise InputError(
            f"--trainer.val_check_interval: every {interval} batches, but an update has "
            f"{batches}; give a multiple of them, as a whole number"
        )
    # Batches of an update are counted within an epoch, whose last update may have fewer.
    if batches > 1 and trainer.check_val_every_n_epoch is None and epoch % batches != 0:
        raise InputError(
            f"--trainer.check_val_every_n_epoch null: epochs of {epoch} batches do not divide "
            f"into updates of {batches}, so that validations fall within one; leave it out"
        )


def warn_of_slow_bf16(trainer: Trainer, setting: str, instead: str) -> None:
    """Say what to give instead of a setting that computes in bf16, if the CPU only emulates it."""
    if isinstance(trainer.accelerator, CPUAccelerator) and emulates_bf16():
        rank_zero_info(
            "warning: this CPU has no bf16 instructions (avx512_bf16, amx_bf16), which makes "
            f"{setting} dozens of times slower than {instead}"
        )


@contextmanager
def warnings_of_rows(numbers: Sequence[int]) -> Iterator[None]:
    """Name texts that were cut by their place in the split, not in the batch."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TruncationWarning)
        yield
    for each in caught:
        message = each.message
        if isinstance(message, TruncationWarning):
            message = TruncationWarning(numbers[message.index], message.tokens, message.limit)
        warnings.warn_explicit(message, each.category, each.filename, each.lineno)
