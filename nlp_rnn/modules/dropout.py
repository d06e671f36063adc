"""Dropout for recurrent networks: one mask for all time steps, and one for whole words.

N batch, T time, H features.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LockedDropout", "WordDropout"]


class LockedDropout(nn.Module):
    """Drops the same features at every time step (Gal & Ghahramani 2016, variational dropout).

    A mask per sequence instead of one per step is the better regulariser for a recurrent network,
    and T times cheaper to draw: on a CPU, drawing element-wise masks is the largest cost of a
    training step after its matrix products.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T, H) -> (N, T, H)."""
        if not self.training or self.p == 0:
            return inputs
        return inputs * F.dropout(inputs.new_ones(inputs.size(0), 1, inputs.size(2)), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class WordDropout(nn.Module):
    """Blanks whole word vectors at random positions (Sennrich, Haddow & Birch 2016, WMT system)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T, H) -> (N, T, H)."""
        if not self.training or self.p == 0:
            return inputs
        return inputs * F.dropout(inputs.new_ones(inputs.size(0), inputs.size(1), 1), self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"
