"""From what the decoder says to the probability of each word.

M positions, E width, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from nlp_rnn.errors import InputError
from nlp_rnn.modules.cross_entropy import cross_entropy

__all__ = ["LOGITS", "AdaptiveSoftmax", "Softmax"]

LOGITS = 2**25
"""Most logits that scoring of given text holds at a time, 128 MB of them."""


class Softmax(nn.Linear):
    """Scores every word for itself: a matrix, which may be that of the embedding, and a bias.

    Args:
        input_size: E.
        vocab_size: V.
    """

    def __init__(self, input_size: int, vocab_size: int) -> None:
        super().__init__(input_size, vocab_size)
        nn.init.zeros_(self.bias)

    def negative_log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(M, E) and ids (M,) -> nats (M,), in float32."""
        return cross_entropy(self(outputs), targets)

    def sampled_negative_log_likelihood(
        self, outputs: Tensor, targets: Tensor, sample: int, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """The same among fewer words, for training alone (Botev, Zheng & Barber 2017).

        The choice is among the words of ``targets`` and others, which are drawn evenly and each
        stand for as many as it takes to make up the vocabulary (complementary sum sampling): the
        sum of exponentials is that of all words on average, its logarithm a little less.

        Args:
            outputs: (M, E).
            targets: ids (M,).
            sample: how many others at least, 1 or more. There are a few more, up to the next
                multiple of 64 words, so that products meet few shapes, see `real_positions`.
            label_smoothing: share of the probability spread over the whole vocabulary, not only
                over what was drawn: all words' mean score is that of the mean row.

        Returns:
            Nats (M,), in float32.
        """
        own, places = targets.unique(return_inverse=True)
        absent = torch.ones(self.out_features, dtype=torch.bool, device=targets.device)
        others = absent.index_fill(0, own, False).nonzero().squeeze(1)
        count = -(-(len(own) + sample) // 64) * 64 - len(own)
        drawn = others[torch.randperm(len(others), device=others.device)[:count]]
        words = torch.cat([own, drawn])
        # Looked up: the gradient of `self.weight[words]` would take three times as long.
        rows, bias = embedding(words, self.weight), self.bias[words]
        if len(drawn):
            bias[len(own) :] += math.log(len(others) / len(drawn))
        nats = cross_entropy(linear(outputs, rows, bias), places)
        if label_smoothing:
            # The score of the target less the mean score of the vocabulary.
            above = (outputs * (embedding(places, rows) - self.weight.mean(0))).sum(1)
            nats = nats + label_smoothing * (above + bias[places] - self.bias.mean())
        return nats


class AdaptiveSoftmax(nn.Module):
    """Scores rare words in clusters that are entered only when needed (Grave et al. 2017).

    Ids have to be sorted by frequency, the frequent ones first. Each cluster's projection is four
    times as narrow as that of the one before.

    Args:
        input_size: E.
        vocab_size: V.
        cutoffs: the first ids of the clusters behind the head, rising.

    Raises:
        InputError: cutoffs that do not rise, or lie outside the vocabulary, or so many that the
            last cluster's projection would have no width.
    """

    def __init__(self, input_size: int, vocab_size: int, *, cutoffs: Sequence[int]) -> None:
        super().__init__()
        if not all(a < b for a, b in zip([0, *cutoffs], [*cutoffs, vocab_size])):
            raise InputError(
                f"adaptive_cutoffs {list(cutoffs)} have to rise between 0 and the vocabulary's "
                f"{vocab_size} tokens"
            )
        if 4 ** len(cutoffs) > input_size:
            raise InputError(
                f"adaptive_cutoffs {list(cutoffs)}: each cluster is four times as narrow as the "
                f"one before, and outputs of {input_size} leave nothing to the last; give fewer"
            )
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(input_size, vocab_size, list(cutoffs))

    def forward(self, outputs: Tensor) -> Tensor:
        """(..., E) -> log-probabilities (..., V), which serve as logits."""
        flat = self.clusters.log_prob(outputs.flatten(0, -2))
        return flat.unflatten(0, outputs.shape[:-1])

    def negative_log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(M, E) and ids (M,) -> nats (M,), in float32; scores only the clusters of the ids."""
        *cutoffs, _ = self.clusters.cutoffs
        firsts = torch.tensor(cutoffs, device=targets.device)
        clusters = torch.bucketize(targets, firsts, right=True)
        # To the head, a cluster is one more frequent word.
        entered = self.clusters.shortlist_size + clusters - 1
        nats = cross_entropy(self.clusters.head(outputs), entered.where(clusters > 0, targets))
        for number, (first, tail) in enumerate(zip(cutoffs, self.clusters.tail), 1):
            here = (clusters == number).nonzero().squeeze(1)  # none is fine: a gradient of zeros
            within = cross_entropy(tail(outputs[here]), targets[here] - first)
            nats = nats.index_add(0, here, within)
        return nats
