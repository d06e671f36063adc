"""How well labels are predicted, and how far the probabilities can be trusted.

N texts, C classes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_recall,
    multilabel_exact_match,
    multilabel_f1_score,
    multilabel_recall,
)

__all__ = ["BINS", "LabelScores", "best_temperature", "label_nats", "label_scores"]

BINS = 15
"""Of the calibration error, as in Guo et al. 2017."""

_SURE = 1 - 2**-24  # torchmetrics would give 1.0 a bin of its own


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Figures of one set of predictions, shares of 1.

    Attributes:
        loss: nats a text (several labels: a label of a text).
        accuracy: of texts; with several labels, of texts that have exactly the right ones.
        macro_f1: mean F1 of the labels; one that neither occurs nor is predicted is left out where
            labels exclude each other, and counts as 0 where a text may have several.
        macro_recall: mean recall of the labels, likewise.
        calibration_error: expected, in 15 bins (Guo et al. 2017).
        confusion: texts by true label and predicted label (C, C); None with several labels.
    """

    loss: float
    accuracy: float
    macro_f1: float
    macro_recall: float
    calibration_error: float
    confusion: Tensor | None


def label_nats(scores: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Nats of every text (N,); with several labels, the mean of them.

    Args:
        scores: logits (N, C).
        targets: classes (N,), or which labels fit (N, C).
        label_smoothing: share of the probability that is spread over both values of a label, or
            over all classes.
    """
    if targets.dim() == 2:
        smooth = targets.lerp(torch.full_like(targets, 0.5), label_smoothing)
        return F.binary_cross_entropy_with_logits(scores, smooth, reduction="none").mean(1)
    return F.cross_entropy(scores, targets, label_smoothing=label_smoothing, reduction="none")


def label_scores(scores: Tensor, targets: Tensor) -> LabelScores:
    """All figures of logits (N, C) for classes (N,), or for labels on their own (N, C)."""
    loss = float(label_nats(scores, targets).mean())
    size = scores.size(1)
    if targets.dim() == 2:
        probs, fits = scores.sigmoid(), targets.long()
        return LabelScores(
            loss=loss,
            accuracy=float(multilabel_exact_match(probs, fits, size)),
            macro_f1=float(multilabel_f1_score(probs, fits, size)),
            macro_recall=float(multilabel_recall(probs, fits, size)),
            calibration_error=float(
                binary_calibration_error(probs.flatten().clamp_max(_SURE), fits.flatten(), BINS)
            ),
            confusion=None,
        )
    probs = scores.softmax(1)
    return LabelScores(
        loss=loss,
        accuracy=float(multiclass_accuracy(probs, targets, size, average="micro")),
        macro_f1=float(multiclass_f1_score(probs, targets, size)),
        macro_recall=float(multiclass_recall(probs, targets, size)),
        calibration_error=float(
            multiclass_calibration_error(probs.clamp_max(_SURE), targets, size, BINS)
        ),
        confusion=multiclass_confusion_matrix(probs, targets, size),
    )


def best_temperature(scores: Tensor, targets: Tensor) -> float:
    """What to divide logits by so that probabilities mean what they say (Guo et al. 2017).

    Args:
        scores: logits (N, C) of texts that were not trained on.
        targets: classes (N,), or labels on their own (N, C).

    Returns:
        The temperature of least loss between 1/20 and 20; above 1 if the classifier was too sure.
        One text more, whose label is anything (Platt 1999), keeps a few texts that are all right
        from making it sure of everything.
    """
    doubt = 1 / (len(targets) + 1)
    low, high = -3.0, 3.0  # logarithms; the loss has a single minimum in between
    for _ in range(60):
        third = (high - low) / 3
        left, right = low + third, high - third
        losses = [
            label_nats(scores / torch.tensor(each).exp(), targets, label_smoothing=doubt).mean()
            for each in (left, right)
        ]
        low, high = (low, right) if losses[0] < losses[1] else (left, high)
    return float(torch.tensor((low + high) / 2).exp())
