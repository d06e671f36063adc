"""From logits to the log-probabilities a search may use: penalties reshape, bans set to -inf.

Shapes: N sentences, K hypotheses a sentence, V vocabulary, T tokens so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nlp_rnn.data.tokenizer import BOS, EOS, PAD
from nlp_rnn.errors import require

__all__ = ["Constraints", "ban_repeated_ngrams", "penalize_repetition"]


@dataclass(frozen=True)
class Constraints:
    """What a search may generate next.

    PAD and BOS never come, EOS not before `min_length` tokens, no n-gram twice. A hypothesis with
    no token left may always end; one that must end does so with probability 1. Each option costs
    nothing while it is off.

    Attributes:
        min_length: (N,) tokens before EOS.
        no_repeat_ngram_size: no n-gram of this size comes twice; 0 turns it off.
        repetition_penalty: see `penalize_repetition`; 1 turns it off.
        must_end: says which hypotheses (N, K) are over, of tokens (N, K, T) and the numbers of
            their sentences (N,); None is off.

    Raises:
        InputError: an option is out of range.
    """

    min_length: Tensor
    no_repeat_ngram_size: int
    repetition_penalty: float
    must_end: Callable[[Tensor, Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        size, penalty = self.no_repeat_ngram_size, self.repetition_penalty
        require(size >= 0, f"no_repeat_ngram_size={size}", "a size >= 0 (0 turns it off)")
        require(
            0.01 <= penalty <= 100,
            f"repetition_penalty={penalty}",
            "0.01 to 100 (1 turns it off, 1.2 is usual)",
        )

    def log_probs(self, logits: Tensor, history: Tensor, sentences: Tensor) -> Tensor:
        """Log-probabilities (N, K, V) in float32, -inf for what must not come next.

        Bans fall after the softmax, so that what is allowed keeps the model's own probability.

        Args:
            logits: (N, K, V) of any floating dtype.
            history: (N, K, T) tokens generated so far.
            sentences: (N,) their numbers in the batch, from which some may have left.
        """
        if self.repetition_penalty != 1.0:
            logits = penalize_repetition(logits, history, self.repetition_penalty)
        log_probs = logits.log_softmax(-1, dtype=torch.float32)
        log_probs[..., PAD] = -math.inf
        log_probs[..., BOS] = -math.inf
        end = log_probs[..., EOS].clone()
        log_probs[..., EOS].masked_fill_((self.min_length > history.size(-1))[:, None], -math.inf)
        if self.no_repeat_ngram_size:
            ban_repeated_ngrams(log_probs, history, self.no_repeat_ngram_size)
            stuck = log_probs.amax(-1) == -math.inf
            log_probs[..., EOS] = end.where(stuck, log_probs[..., EOS])
        if self.must_end is not None:
            over = self.must_end(history, sentences)
            log_probs.masked_fill_(over[..., None], -math.inf)
            log_probs[..., EOS].masked_fill_(over, 0.0)
        return log_probs

    def rows(self, keep: Tensor) -> Constraints:
        """The same constraints for some sentences of the batch."""
        return replace(self, min_length=self.min_length[keep])


def penalize_repetition(logits: Tensor, history: Tensor, penalty: float) -> Tensor:
    """Make tokens of the history less likely (CTRL, Keskar et al. 2019, section 4.1).

    Their logits are divided by the penalty, or multiplied where negative, so that a penalty over 1
    always lowers them. How far depends on where a network's logits lie: those of an ensemble, of an
    adaptive softmax and of a pointer are log-probabilities, where the same penalty bites harder.

    Args:
        logits: (N, K, V).
        history: (N, K, T).
        penalty: above 0; over 1 discourages, under 1 encourages repetition.

    Returns:
        New logits (N, K, V) in float32.
    """
    logits = logits.float()
    seen = logits.gather(-1, history)
    return logits.scatter(-1, history, torch.where(seen > 0, seen / penalty, seen * penalty))


def ban_repeated_ngrams(log_probs: Tensor, history: Tensor, size: int) -> None:
    """Set to -inf, in place, every token that would complete an n-gram seen before.

    Args:
        log_probs: (N, K, V), PAD already banned.
        history: (N, K, T).
        size: n, at least 1.
    """
    length = history.size(-1)
    if length < size:
        return
    ngrams = history.unfold(-1, size, 1)  # (N, K, T - n + 1, n)
    context = history[..., None, length - size + 1 :]  # (N, K, 1, n - 1)
    repeats = (ngrams[..., :-1] == context).all(-1)
    # An n-gram that does not match bans PAD once more, which keeps the shape rectangular.
    log_probs.scatter_(-1, ngrams[..., -1].where(repeats, PAD), -math.inf)
