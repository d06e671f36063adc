"""A pointer that a language model copies words with, from what it has just read.

N streams, T steps, P words in reach, E width, V vocabulary.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlp_rnn.modules.rnn import State

__all__ = ["Pointer", "Pointing"]

SCALE = 0.1
"""Of the scores. Steps of plain gradient descent in W, which would be far too large at a rate that
a softmax needs, are a hundred times smaller by it, those of Adam ten times."""


class Pointing(NamedTuple):
    """Where a pointer points at each step.

    Attributes:
        log_weights: natural logarithms of shares that sum to one, (N, T, 1 + P + T): first that of
            the vocabulary, then those of words that were read.
        words: the ids of the latter, (N, P + T); 0 is none.
    """

    log_weights: Tensor
    words: Tensor

    def mix(self, nats: Tensor, targets: Tensor) -> Tensor:
        """Nats of ids (N, T) by the vocabulary alone -> nats (N, T) if they may be copied, too."""
        targets = targets.unsqueeze(2)
        alike = (self.words.unsqueeze(1) == targets) & (targets != 0)  # (N, T, P + T)
        least = torch.finfo(self.log_weights.dtype).min  # -inf all along would have no gradient
        copied = self.log_weights[..., 1:].masked_fill(~alike, least).logsumexp(2)
        return -torch.logaddexp(self.log_weights[..., 0] - nats, copied)

    def mix_all(self, logits: Tensor) -> Tensor:
        """Logits (N, T, V) of the vocabulary alone -> log-probabilities (N, T, V)."""
        shares = self.log_weights[..., 1:].exp()
        words = self.words.unsqueeze(1).expand(-1, logits.size(1), -1)
        copied = shares.new_zeros(logits.shape).scatter_add(2, words, shares)
        spoken = logits.log_softmax(2, dtype=shares.dtype) + self.log_weights[..., :1]
        return torch.logaddexp(spoken, copied.log())


class Pointer(nn.Module):
    r"""Shares the next word's probability between the vocabulary and the last words read.

    What the network put out before each of the last P words is kept. Attention over it finds places
    like the present one, and the words that followed there: with :math:`h_t` put out after word
    :math:`w_t`, zero before the first, and :math:`t - P < i \le t`,

    .. math:: p(w_{t+1} = w) = g\, p_{vocab}(w) + \sum_{i: w_i = w} a_i, \qquad
        (g, a) = \mathrm{softmax}(v^\top h_t + b,\; h_t^\top W h_{i-1})

    The gate g is the sentinel of Merity et al. 2017 (there a vector with a score like every other),
    the alignment that of the neural cache (Grave et al. 2017), whose scores these are at the start:
    W is 0.3 times the identity. Unlike a cache it is trained with the network.

    Args:
        size: E.
        span: P.
    """

    def __init__(self, size: int, span: int) -> None:
        super().__init__()
        self.span = span
        self.likeness = nn.Linear(size, size, bias=False)
        self.sentinel = nn.Linear(size, 1)
        with torch.no_grad():
            self.likeness.weight.copy_(torch.eye(size) * 0.3 / SCALE)
        nn.init.zeros_(self.sentinel.weight)
        # Nine tenths to the vocabulary as long as no place is like another.
        nn.init.constant_(self.sentinel.bias, math.log(9 * span))

    def zero_state(self, size: int) -> State:
        """Nothing read: outputs (N, P + 1, E) and the ids (N, P) between them, for N = ``size``."""
        weight = self.likeness.weight
        outputs = weight.new_zeros(size, self.span + 1, weight.size(0))
        return outputs, torch.zeros(size, self.span, dtype=torch.long, device=weight.device)

    def forward(self, outputs: Tensor, tokens: Tensor, past: State) -> tuple[Pointing, State]:
        """Look back from every step.

        Args:
            outputs: after each token, (N, T, E).
            tokens: ids (N, T).
            past: see `zero_state`.

        Returns:
            Where to point, in float32, and the state behind the last step.
        """
        steps = outputs.size(1)
        keys = torch.cat([past[0], outputs], 1)  # the first of them before the first word in reach
        words = torch.cat([past[1], tokens], 1)
        with torch.autocast(outputs.device.type, enabled=False):  # bf16 knows 50 to a quarter
            now = outputs.float()
            scores = SCALE * self.likeness(now) @ keys[:, :-1].float().transpose(1, 2)
            present = torch.arange(steps, device=outputs.device).unsqueeze(1)
            place = torch.arange(self.span + steps, device=outputs.device)
            reached = (place > present) & (place <= present + self.span)  # (T, P + T)
            reached = reached & (words != 0).unsqueeze(1)
            scores = scores.masked_fill(~reached, -math.inf)
            log_weights = torch.cat([self.sentinel(now), scores], 2).log_softmax(2)
        return Pointing(log_weights, words), (keys[:, -self.span - 1 :], words[:, -self.span :])
