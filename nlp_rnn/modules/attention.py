"""Attention of decoder queries over encoder outputs.

N batch, Q queries (target steps in training, beams in decoding), S source length, H query width,
D memory width, A key width.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError

__all__ = ["HEADS", "Attention", "AttentionKind", "Memory"]

AttentionKind = Literal["none", "dot", "general", "additive", "multi_head"]

HEADS = 4
"""Heads of ``multi_head``."""


class Memory(NamedTuple):
    """What a decoder can look at: projected once, asked at every step.

    Attributes:
        keys: (N, S, A).
        values: (N, S, D).
        mask: (N, S), True at real tokens.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor


class Attention(nn.Module):
    r"""Scores every source position for each query and averages the values by the softmax.

    - ``dot``: :math:`q^\top k` (Luong et al. 2015); needs H = D.
    - ``general``: :math:`q^\top W k` (Luong et al. 2015).
    - ``additive``: :math:`v^\top \tanh(W q + U k)` (Bahdanau et al. 2015).
    - ``multi_head``: scaled dot products of projected queries, keys and values in parallel heads
      (Vaswani et al. 2017): `HEADS`, which must divide D.

    Args:
        kind: the score.
        query_size: H.
        memory_size: D.

    Raises:
        InputError: an unknown score, or sizes that do not fit it.
    """

    def __init__(self, *, kind: AttentionKind, query_size: int, memory_size: int) -> None:
        super().__init__()
        if kind not in get_args(AttentionKind):
            raise InputError(f"attention {kind!r} is none of {', '.join(get_args(AttentionKind))}")
        if kind == "none":
            raise InputError("attention 'none' has no scores: leave the module out instead")
        if kind == "dot" and query_size != memory_size:
            raise InputError(
                f"attention 'dot' needs queries as wide as the memory, but got {query_size} and "
                f"{memory_size}; 'general' takes any sizes"
            )
        if kind == "multi_head" and memory_size % HEADS:
            raise InputError(f"{HEADS} attention heads do not divide {memory_size} features")
        self.kind = kind
        self.num_heads = HEADS if kind == "multi_head" else 1
        # Numbers that one query holds for one place of the memory.
        self.score_size = memory_size if kind == "additive" else self.num_heads
        identity = kind == "dot"
        key_size = query_size if kind == "general" else memory_size
        self.key = nn.Identity() if identity else nn.Linear(memory_size, key_size, bias=False)
        if kind in ("additive", "multi_head"):
            self.query: nn.Module = nn.Linear(query_size, memory_size)
        else:
            self.query = nn.Identity()
        if kind == "additive":
            self.energy = nn.Linear(memory_size, 1, bias=False)
        if kind == "multi_head":
            self.value = nn.Linear(memory_size, memory_size, bias=False)
            self.merge = nn.Linear(memory_size, memory_size, bias=False)

    def memorize(self, values: Tensor, mask: Tensor) -> Memory:
        """Project the keys (and, with heads, the values) once for all queries to come.

        Args:
            values: encoder outputs (N, S, D).
            mask: (N, S), True at real tokens.
        """
        keys = self.key(values)
        return Memory(keys, self.value(values) if self.kind == "multi_head" else values, mask)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: (N, Q, H).
            memory: from `memorize`.

        Returns:
            Contexts (N, Q, D), and weights (N, Q, S) that sum to one over the real tokens (for
            several heads their mean).
        """
        queries = self.query(queries)
        if self.kind == "multi_head":
            return self._multi_head(queries, memory)
        if self.kind == "additive":
            summed = queries.unsqueeze(2) + memory.keys.unsqueeze(1)  # (N, Q, S, A)
            scores = self.energy(torch.tanh(summed)).squeeze(-1)
        else:
            scores = queries @ memory.keys.transpose(1, 2)
        weights = _masked_softmax(scores, memory.mask.unsqueeze(1))
        return weights @ memory.values, weights  # (N, Q, D), (N, Q, S)

    def _multi_head(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        queries, keys, values = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(
                1, 2
            )  # (N, heads, Q or S, A / heads)
            for part in (queries, memory.keys, memory.values)
        )
        scores = queries @ keys.transpose(2, 3) / math.sqrt(queries.size(-1))
        weights = _masked_softmax(scores, memory.mask[:, None, None])  # (N, heads, Q, S)
        contexts = (weights @ values).transpose(1, 2).flatten(2)  # (N, Q, D)
        return self.merge(contexts), weights.mean(1)


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis that is exactly zero where ``mask`` is False."""
    return scores.masked_fill(~mask, float("-inf")).softmax(-1)
