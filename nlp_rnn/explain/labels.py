"""A classifier's mistakes and its confidence as pictures.

N texts, C classes.
"""

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from nlp_rnn.explain.fonts import fonts_for
from nlp_rnn.label_metrics import BINS

__all__ = ["MOST_LABELS", "confusion_figure", "reliability_figure"]

MOST_LABELS = 20
"""With more of them, a confusion matrix has no room for its numbers."""


def confusion_figure(confusion: Tensor, labels: Sequence[str]) -> Figure:
    """Draw how often texts of each label (downwards) were given each label (to the right).

    Args:
        confusion: texts (C, C).
        labels: C names.

    Returns:
        A figure of its own, unknown to pyplot; shades are shares of a row, numbers are texts.
    """
    shown = [label if len(label) <= 24 else f"{label[:23]}…" for label in labels]
    size = min(1.6 + 0.7 * len(labels) + 0.08 * max(map(len, shown)), 18.0)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = confusion / confusion.sum(1, keepdim=True).clamp_min(1)
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    numbered = range(len(labels) if len(labels) <= MOST_LABELS else 0)
    for row in numbered:
        for column in numbered:
            color = "white" if shares[row, column] > 0.6 else "black"
            text = str(int(confusion[row, column]))
            axes.text(column, row, text, ha="center", va="center", color=color)
    fonts = fonts_for("".join(labels))
    axes.set_xticks(range(len(labels)), shown, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), shown)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set(family=fonts, parse_math=False)  # a price is no formula
    axes.set(xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, label="share of the row")
    return figure


def reliability_figure(probs: Tensor, right: Tensor) -> Figure:
    """Draw how often predictions of each confidence are right (Niculescu-Mizil & Caruana 2005).

    Args:
        probs: of the predicted label (N,).
        right: whether it is the true one (N,).

    Returns:
        A figure of its own; on the diagonal the probabilities mean what they say.
    """
    figure = Figure(figsize=(4.6, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    bins = (probs * BINS).long().clamp(max=BINS - 1)
    counts = bins.bincount(minlength=BINS)
    filled = counts > 0
    confidence = bins.bincount(probs.double(), minlength=BINS) / counts
    accuracy = bins.bincount(right.double(), minlength=BINS) / counts
    upper.plot([0, 1], [0, 1], linestyle="--", color="gray", label="perfect")
    upper.plot(confidence[filled], accuracy[filled], marker="o", label="classifier")
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    upper.legend(loc="upper left")
    centers = [(each + 0.5) / BINS for each in range(BINS)]
    lower.bar(centers, counts.tolist(), width=0.9 / BINS, color="tab:blue")
    lower.set(xlabel="probability of the predicted label", ylabel="texts")
    return figure
