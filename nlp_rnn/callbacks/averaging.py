"""An average of the weights along the way, better than the last ones and free."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from nlp_rnn.errors import require

__all__ = ["Averaging"]


class Averaging(WeightAveraging):
    """An average of the weights (Polyak & Juditsky 1992), which validation and checkpoints use.

    From the start it is exponential and forgets: the decay grows as (1 + n) / (10 + n) over the
    updates n until it reaches its value; with a constant decay the average of a short training
    would still hold its random start.

    Or it is the plain mean since the moment when the validation loss stopped falling (NT-ASGD,
    Merity et al. 2018), and before that the weights themselves: for SGD with a constant rate,
    which goes on circling around a minimum that only the mean comes close to.

    Args:
        decay: share of the old average kept at an update, once it is reached.
        non_monotone: take the plain mean once the validation loss is above the best of all but
            this many validations before it (Merity et al. take 5); 0 takes the exponential one.

    Raises:
        InputError: a decay that is no share, or a negative number of validations.
    """

    def __init__(self, decay: float = 0.998, *, non_monotone: int = 0) -> None:
        require(0 <= decay < 1, f"averaging.decay {decay}", "0 (no average) to below 1")
        require(non_monotone >= 0, f"averaging.non_monotone {non_monotone}", "0 or more")
        super().__init__(use_buffers=False, multi_avg_fn=self._update)
        self.decay = decay
        self.non_monotone = non_monotone
        self._losses: list[float] = []
        self._updates = 0
        self._begun: int | None = None  # updates at the beginning of the plain mean

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin anew: what an earlier training left is no part of this one, nor of a test."""
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            self._average_model = None
            return
        self._latest_update_step = trainer.global_step
        self._losses, self._updates, self._begun = [], 0, None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See whether the validation loss still falls."""
        if trainer.sanity_checking or not self.non_monotone or self._begun is not None:
            return
        loss = float(trainer.callback_metrics["val_loss"])
        if loss > min(self._losses[: -self.non_monotone], default=loss):
            self._begun = self._updates
        self._losses.append(loss)

    def state_dict(self) -> dict[str, Any]:
        return {
            **super().state_dict(),
            "losses": self._losses,
            "updates": self._updates,
            "begun": self._begun,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._losses = list(state_dict["losses"])
        self._updates = state_dict["updates"]
        self._begun = state_dict["begun"]

    @torch.no_grad()
    def _update(
        self, averages: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        self._updates = int(updates)
        if not self.non_monotone:
            share = 1 - min(self.decay, (1 + self._updates) / (10 + self._updates))
        elif self._begun is None:
            share = 1.0
        else:
            share = 1 / (self._updates - self._begun)
        torch._foreach_lerp_(list(averages), list(current), share)
