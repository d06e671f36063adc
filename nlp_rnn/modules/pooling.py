"""From a vector per token to one vector per text, also when the text is read part by part.

N batch, S source length, D features, K hops.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError, require
from nlp_rnn.modules.encoder import Encoded

__all__ = ["Pooling", "PoolingKind"]

PoolingKind = Literal["last", "mean", "max", "concat", "attention"]

Pooled = tuple[Tensor, ...]
"""What was gathered of the parts of a text so far."""


class Pooling(nn.Module):
    """Gathers the outputs of an encoder; padding never counts.

    - ``last``: the output at the end (of a second direction, at the start).
    - ``mean``, ``max``: of every feature over the tokens.
    - ``concat``: these three side by side (Howard & Ruder 2018).
    - ``attention``: a weighted mean by additive self-attention (Yang et al. 2016), in several hops
      with weights of their own (Lin et al. 2017).

    Args:
        kind: how.
        size: D.
        num_hops: K of ``attention``.

    Attributes:
        output_size: features of the result.

    Raises:
        InputError: an unknown kind, or no hop.
    """

    def __init__(self, *, kind: PoolingKind, size: int, num_hops: int = 1) -> None:
        super().__init__()
        if kind not in get_args(PoolingKind):
            raise InputError(f"pooling {kind!r} is none of {', '.join(get_args(PoolingKind))}")
        require(num_hops >= 1, f"num_hops {num_hops}", "1 or more")
        self.parts = nn.ModuleList()
        if kind in ("last", "concat"):
            self.parts.append(_Last())
        if kind in ("mean", "concat"):
            self.parts.append(_Mean())
        if kind in ("max", "concat"):
            self.parts.append(_Max())
        if kind == "attention":
            self.parts.append(_Attention(size, num_hops))
        self.output_size = size * (num_hops if kind == "attention" else len(self.parts))

    def forward(self, encoded: Encoded) -> Tensor:
        """The outputs of whole texts -> (N, output_size)."""
        return self.result(self.gather(encoded))

    def gather(
        self, encoded: Encoded, before: tuple[Pooled, ...] | None = None
    ) -> tuple[Pooled, ...]:
        """Add a part of the texts to what was gathered before; None at the start."""
        parts = before or (None,) * len(self.parts)
        return tuple(part(encoded, earlier) for part, earlier in zip(self.parts, parts))

    def result(self, gathered: tuple[Pooled, ...]) -> Tensor:
        """What was gathered -> (N, output_size)."""
        return torch.cat([part.result(each) for part, each in zip(self.parts, gathered)], 1)  # type: ignore[operator]


class _Last(nn.Module):
    def forward(self, encoded: Encoded, before: Pooled | None) -> Pooled:  # noqa: ARG002
        return (encoded.summary,)

    def result(self, gathered: Pooled) -> Tensor:
        return gathered[0]


class _Mean(nn.Module):
    def forward(self, encoded: Encoded, before: Pooled | None) -> Pooled:
        real = encoded.outputs.masked_fill(~encoded.mask.unsqueeze(2), 0)
        # A sum in bf16 would lose the later ones of many.
        total = real.sum(1, dtype=torch.promote_types(real.dtype, torch.float32))
        count = encoded.mask.sum(1, keepdim=True)
        return (total + before[0], count + before[1]) if before else (total, count)

    def result(self, gathered: Pooled) -> Tensor:
        return gathered[0] / gathered[1]


class _Max(nn.Module):
    def forward(self, encoded: Encoded, before: Pooled | None) -> Pooled:
        highest = encoded.outputs.masked_fill(~encoded.mask.unsqueeze(2), float("-inf")).amax(1)
        return (torch.maximum(highest, before[0]) if before else highest,)

    def result(self, gathered: Pooled) -> Tensor:
        return gathered[0]


class _Attention(nn.Module):
    """Keeps a running maximum of the scores, so that sums of their exponentials never overflow."""

    def __init__(self, size: int, num_hops: int) -> None:
        super().__init__()
        self.key = nn.Linear(size, size)
        self.query = nn.Linear(size, num_hops, bias=False)

    def scores(self, encoded: Encoded) -> Tensor:
        """(N, K, S), minus infinity at padding."""
        scores = self.query(torch.tanh(self.key(encoded.outputs))).transpose(1, 2)
        return scores.float().masked_fill(~encoded.mask.unsqueeze(1), float("-inf"))

    def forward(self, encoded: Encoded, before: Pooled | None) -> Pooled:
        scores = self.scores(encoded)
        highest = scores.amax(2, keepdim=True)  # (N, K, 1)
        if before:
            highest = torch.maximum(highest, before[0])
        shares = (scores - highest).exp()
        with torch.autocast(shares.device.type, enabled=False):  # it would multiply in bf16
            values = shares @ encoded.outputs.float()
        total = shares.sum(2, keepdim=True)
        if before:
            fade = (before[0] - highest).exp()
            values, total = values + fade * before[1], total + fade * before[2]
        return highest, values, total

    def result(self, gathered: Pooled) -> Tensor:
        _, values, total = gathered
        return (values / total).flatten(1)  # (N, K * D)
