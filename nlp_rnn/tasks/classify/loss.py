"""What a wrong label costs.

N batch, C classes.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nlp_rnn.errors import InputError, require

__all__ = ["LabelLoss"]


@dataclass(frozen=True, kw_only=True)
class LabelLoss:
    """Cross-entropy, of a softmax or of sigmoids, with the usual variations.

    Args:
        label_smoothing: share of the probability spread over the classes (Szegedy et al. 2016).
        focal_gamma: texts that are labelled well already count (1 - p) ** gamma (Lin et al. 2017);
            0 counts all alike.
        class_weights: ``none``, ``balanced`` (inverse to how often a label occurs in training; of
            several labels, positives weigh as much as negatives), or a weight for each label (of
            several, for the texts that have it).

    Raises:
        InputError: a value out of range.
    """

    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    class_weights: Literal["none", "balanced"] | list[float] = "none"

    def __post_init__(self) -> None:
        smoothing, gamma = self.label_smoothing, self.focal_gamma
        require(0 <= smoothing < 1, f"label_smoothing {smoothing}", "0 to below 1")
        if isinstance(self.class_weights, list):
            least = min(self.class_weights, default=0.0)
            require(least > 0, f"class_weights {self.class_weights}", "a weight above 0 for each")
        require(gamma >= 0, f"focal_gamma {gamma}", "0 (off) or more")

    def weights(self, counts: Tensor, rows: int, *, multi_label: bool) -> Tensor | None:
        """The weight of each class (C,), given how many of the training texts have it.

        Raises:
            InputError: not a weight for each class.
        """
        if self.class_weights == "none":
            return None
        if self.class_weights == "balanced":
            some = counts.clamp_min(1)
            if multi_label:
                return (rows - counts).clamp_min(1) / some
            return rows / (len(counts) * some)
        if len(self.class_weights) != len(counts):
            raise InputError(
                f"loss.class_weights has {len(self.class_weights)} weights for {len(counts)} "
                "labels: give one for each, in the order of network.labels"
            )
        return torch.tensor(self.class_weights, dtype=torch.float)

    def of_one(self, scores: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Of labels that exclude each other: logits (N, C) and classes (N,) -> nats (N,)."""
        scores = scores.float()
        nats = F.cross_entropy(
            scores, targets, label_smoothing=self.label_smoothing, reduction="none"
        )
        if weights is not None:  # of the text, not of the labels that smoothing spreads it over
            nats = nats * weights[targets]
        if not self.focal_gamma:
            return nats
        chosen = scores.softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1)
        return nats * _rest(chosen) ** self.focal_gamma

    def of_many(self, scores: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Of labels on their own: logits and which fit, both (N, C) -> mean nats a label (N,)."""
        scores = scores.float()
        smooth = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        nats = F.binary_cross_entropy_with_logits(scores, smooth, reduction="none")
        if weights is not None:
            nats = nats * weights.where(targets > 0, 1.0)
        if self.focal_gamma:
            right = torch.where(targets > 0, scores.sigmoid(), (-scores).sigmoid())
            nats = nats * _rest(right) ** self.focal_gamma
        return nats.mean(1)


def _rest(probs: Tensor) -> Tensor:
    """1 - p, kept from 0, where a root has no gradient."""
    return (1 - probs).clamp_min(1e-6)
