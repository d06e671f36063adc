"""How a sampler picks: temperature, then truncation (top-k, top-p, min-p, typical), then the draw.

Shapes: N sentences, K samples a sentence, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nlp_rnn.errors import require

__all__ = ["Draw", "keep_min_p", "keep_top_p", "keep_typical"]

TINY = 1e-30
"""float32 would take much less for 0, and what it divides for infinite."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Draw tokens from log-probabilities, sharpened and truncated.

    The options apply in the order they are named, each to what the one before has left.

    Attributes:
        temperature: divides the log-probabilities; above 0, under 1 sharpens.
        top_k: keep the k most probable tokens (Fan et al. 2018); 1 is greedy search, 0 turns it
            off.
        top_p: see `keep_top_p`; 1 turns it off.
        min_p: see `keep_min_p`; 0 turns it off.
        typical_p: see `keep_typical`; 1 turns it off.
        generator: on the device of the log-probabilities; torch's global one if None.

    Raises:
        InputError: an option is out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        require(
            0 < self.temperature < math.inf,
            f"temperature={self.temperature}",
            "a temperature > 0 (1 turns it off; for the most probable token, top_k=1)",
        )
        require(self.top_k >= 0, f"top_k={self.top_k}", "a count >= 0 (0 turns it off)")
        require(0 < self.top_p <= 1, f"top_p={self.top_p}", "0 < top_p <= 1 (1 turns it off)")
        require(0 <= self.min_p <= 1, f"min_p={self.min_p}", "0 <= min_p <= 1 (0 turns it off)")
        require(
            0 < self.typical_p <= 1,
            f"typical_p={self.typical_p}",
            "0 < typical_p <= 1 (1 turns it off)",
        )

    def __call__(self, log_probs: Tensor) -> Tensor:
        """Draw one token (N, K) from each row of (N, K, V)."""
        best = log_probs.amax(-1, keepdim=True)  # so that none overflows at a low temperature
        temperature = min(max(self.temperature, TINY), 1 / TINY)
        scores, ids = (log_probs - best) / temperature, None
        if self.top_k or self.top_p < 1:
            vocab_size = scores.size(-1)
            scores, ids = scores.topk(min(self.top_k or vocab_size, vocab_size))  # best first
        if self.top_p < 1:
            scores = keep_top_p(scores, self.top_p)
        if self.min_p > 0:
            scores = keep_min_p(scores, self.min_p)
        if self.typical_p < 1:
            scores = keep_typical(scores, self.typical_p)
        probs = scores.softmax(-1)
        chosen = probs.flatten(0, 1).multinomial(1, generator=self.generator)
        chosen = chosen.view(*probs.shape[:2], 1)
        return (chosen if ids is None else ids.gather(-1, chosen)).squeeze(-1)


def keep_top_p(scores: Tensor, top_p: float) -> Tensor:
    """Keep the nucleus, the fewest best tokens that together reach `top_p` (Holtzman et al. 2020).

    Args:
        scores: (..., V) logits, best first.
        top_p: above 0; the best token always stays.
    """
    probs = scores.softmax(-1)
    before = probs.cumsum(-1) - probs
    return scores.masked_fill(before >= max(top_p, TINY), -math.inf)


def keep_min_p(scores: Tensor, min_p: float) -> Tensor:
    """Keep tokens at least `min_p` times as probable as the best (Nguyen et al. 2024).

    Args:
        scores: (..., V) logits, in any order.
        min_p: above 0, at most 1.
    """
    least = scores.amax(-1, keepdim=True) + math.log(min_p)
    return scores.masked_fill(scores < least, -math.inf)


def keep_typical(scores: Tensor, typical_p: float) -> Tensor:
    """Keep the fewest tokens, most typical first, that together reach `typical_p`.

    Typical is what carries about as much information as is to be expected: a token whose negative
    log-probability is near the entropy (Meister et al. 2023).

    Args:
        scores: (..., V) logits, in any order.
        typical_p: above 0; the most typical token always stays.
    """
    log_probs = scores.log_softmax(-1)
    probs = log_probs.exp()
    surprise = -log_probs
    entropy = (probs * surprise).nan_to_num(0.0).sum(-1, keepdim=True)  # 0 * inf for what is out
    ranks = (surprise - entropy).abs().argsort(-1)
    ranked = probs.gather(-1, ranks)
    left_out = ranked.cumsum(-1) - ranked >= max(typical_p, TINY)
    return scores.masked_fill(left_out.scatter(-1, ranks, left_out), -math.inf)
