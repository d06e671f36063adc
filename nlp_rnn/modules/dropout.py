"""Dropout for recurrent networks: of features, of words, and of recurrent weights.

N batch, T time, H features, V vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from nlp_rnn.errors import require

__all__ = ["LockedDropout", "TypeDropout", "WeightDropout", "WordDropout"]


class _Dropout(nn.Module):
    """What is kept is scaled by 1 / (1 - p), so that its mean stays; evaluation drops nothing.

    Args:
        p: the share that is dropped.

    Raises:
        InputError: it is no share, or all.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        require(0 <= p < 1, f"dropout {p}", "0 (off) to below 1")
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"


class LockedDropout(_Dropout):
    """Drops the same features at every time step (Gal & Ghahramani 2016, variational dropout).

    A mask per sequence instead of one per step is the better regulariser for a recurrent network,
    and T times cheaper to draw: on a CPU, drawing element-wise masks is the largest cost of a
    training step after its matrix products.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T, H) -> (N, T, H)."""
        if not self.training or self.p == 0:
            return inputs
        return inputs * F.dropout(inputs.new_ones(inputs.size(0), 1, inputs.size(2)), self.p)


class WordDropout(_Dropout):
    """Blanks whole word vectors at random positions (Sennrich, Haddow & Birch 2016, WMT system)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T, H) -> (N, T, H)."""
        if not self.training or self.p == 0:
            return inputs
        return inputs * F.dropout(inputs.new_ones(inputs.size(0), inputs.size(1), 1), self.p)


class TypeDropout(_Dropout):
    """Blanks word types: everywhere in the batch the same words (Gal & Ghahramani 2016, 4.2).

    This is the "embedding dropout" of Merity et al. 2018 (AWD-LSTM).
    """

    def forward(self, embedded: Tensor, tokens: Tensor, vocab_size: int) -> Tensor:
        """(N, T, H), ids (N, T) and V -> (N, T, H)."""
        if not self.training or self.p == 0:
            return embedded
        kept = F.dropout(embedded.new_ones(vocab_size), self.p)
        return embedded * kept[tokens].unsqueeze(2)


class WeightDropout(_Dropout):
    """Runs a fused recurrent layer with some of its recurrent weights left out (DropConnect).

    Wan et al. 2013; on the hidden-to-hidden matrix, Merity et al. 2018. One mask serves all time
    steps of a call. The layer reads the masked matrix through `torch.func.functional_call`, which
    keeps the fused kernel; to replace the layer's own parameter has no effect any more, as the
    kernel reads a list of weights that was made before.
    """

    def forward(self, layer: nn.RNNBase, inputs: Tensor, state: Any) -> Any:
        """What ``layer(inputs, state)`` returns."""
        if not self.training or self.p == 0:
            return layer(inputs, state)
        weight = layer.get_parameter("weight_hh_l0")
        # Millions of them: 16 random bits for each, as F.dropout takes a CPU four times as long.
        words = torch.empty(-(-weight.numel() // 4), dtype=torch.int64, device=weight.device)
        bits = words.random_(-(2**63), None).view(torch.int16)[: weight.numel()].view_as(weight)
        least = min(round(self.p * 2**16), 2**16 - 1) - 2**15
        mask = (bits >= least).to(weight.dtype).div_(1 - self.p)
        return functional_call(layer, {"weight_hh_l0": weight * mask}, (inputs, state))
