"""An average of the weights along the way, better than the last ones and free."""

from collections.abc import Sequence
from functools import partial

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from nlp_rnn.errors import require

__all__ = ["Averaging"]


class Averaging(WeightAveraging):
    """An exponential moving average (Polyak & Juditsky 1992) that forgets its start.

    Validation, checkpoints and the end of training use the average. The decay grows as
    (1 + n) / (10 + n) over the updates n until it reaches its value; with a constant decay the
    average of a short training would still hold its random start.

    Args:
        decay: share of the old average kept at an update, once it is reached.

    Raises:
        InputError: a decay that is no share.
    """

    def __init__(self, decay: float = 0.998) -> None:
        require(0 <= decay < 1, f"averaging.decay {decay}", "0 (no average) to below 1")
        super().__init__(use_buffers=False, multi_avg_fn=partial(_update, decay))


@torch.no_grad()
def _update(
    decay: float, averages: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int
) -> None:
    count = float(updates)
    share = 1 - min(decay, (1 + count) / (10 + count))
    torch._foreach_lerp_(list(averages), list(current), share)
