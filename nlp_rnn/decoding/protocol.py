"""What every search shares: the `step` it calls, the hypotheses it returns, rows that leave early.

Shapes: N sentences, K hypotheses a sentence, V vocabulary, T tokens so far.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from nlp_rnn.data.tokenizer import BOS
from nlp_rnn.errors import require

__all__ = [
    "MOST",
    "Hypothesis",
    "Step",
    "first_tokens",
    "per_sentence",
    "rows_to_keep",
    "spread",
]

MOST = 10_000
"""Hypotheses of a sentence that can be asked for."""


class Step(Protocol):
    """One step of a decoder: the last tokens and a state in, logits and the next state out."""

    def __call__(
        self, tokens: Tensor, state: tuple[Tensor, ...], memory: tuple[Tensor, ...], /
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read one token per hypothesis.

        Args:
            tokens: (N, K) last token of each hypothesis.
            state: tensors that each lead with (N, K).
            memory: tensors that each lead with N, shared by the K hypotheses of a sentence.

        Returns:
            Logits (N, K, V) of the next token, and the next state.
        """
        ...


class Hypothesis(NamedTuple):
    """One decoded sequence.

    Attributes:
        tokens: ids without BOS and EOS.
        log_prob: natural log-probability of the tokens, EOS included where it was reached. It is
            the model's own unless a repetition penalty reshapes the distribution, or the end is
            forced, which costs nothing; temperature and truncation choose tokens but do not enter.
        score: what the search ranks by: `log_prob` over the length penalty, if there is one.
    """

    tokens: list[int]
    log_prob: float
    score: float


def spread(state: tuple[Tensor, ...], width: int) -> tuple[Tensor, ...]:
    """Repeat a state of (N, 1, ...) tensors to (N, width, ...), without a copy."""
    return tuple(part.expand(-1, width, *part.shape[2:]) for part in state)


def first_tokens(start: Tensor | None, state: tuple[Tensor, ...]) -> Tensor:
    """The token that opens each sentence, (N, 1); BOS where the caller names none."""
    if start is None:
        start = torch.full(state[0].shape[:1], BOS, device=state[0].device)
    return start[:, None]


def per_sentence(
    name: str, value: int | Tensor, state: tuple[Tensor, ...], *, least: int
) -> Tensor:
    """A length limit as (N,): a tensor as it is, a number repeated.

    Raises:
        InputError: a limit is below `least`.
    """
    limits = torch.as_tensor(value, device=state[0].device).expand(state[0].size(0))
    if limits.numel():
        smallest = int(limits.min())
        require(smallest >= least, f"{name}={smallest}", f"{name} >= {least}")
    return limits


def rows_to_keep(stay: Tensor) -> Tensor | None:
    """Rows (M,) of a batch worth continuing with, or None to continue with all of them.

    Leaving copies the memory of those who stay, as much traffic as one attention over it. So
    finished rows (False in `stay`, (N,)) idle along until they are an eighth of the batch.
    """
    total, left = stay.numel(), int(stay.sum())
    return stay.nonzero().squeeze(1) if (total - left) * 8 >= total else None
