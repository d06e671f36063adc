"""Attention as a picture: where the decoder looked while it wrote.

S source pieces, T target pieces.
"""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nlp_rnn.errors import InputError
from nlp_rnn.explain.fonts import fonts_for, save_figure
from nlp_rnn.inference import Alignment

__all__ = ["attention_figure", "check_picture", "save_heatmap"]

CELL = 0.3  # inches a piece takes
LARGEST = 100.0  # inches a side: the picture of a very long text stays one that can be opened


def attention_figure(alignment: Alignment) -> Figure:
    """Draw an attention matrix, source pieces to the right and target pieces downwards.

    A low line marks where a word begins, as SentencePiece's ``▁`` does.

    Args:
        alignment: from `Translator.align`.

    Returns:
        A figure of its own, unknown to pyplot; its size follows T and S.
    """
    source, target = (
        [piece.replace("▁", "_") for piece in pieces]
        for pieces in (alignment.source, alignment.target)
    )
    fonts = fonts_for("".join([*source, *target]))
    margin = 0.8 + 0.1 * max(map(len, target))
    width = min(LARGEST, margin + 1.2 + CELL * len(source))
    height = min(LARGEST, 1.6 + CELL * len(target))
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(alignment.weights.numpy(), cmap="Blues", vmin=0.0, vmax=1.0, aspect="equal")
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(source)), source, rotation=90)
    axes.set_yticks(range(len(target)), target)
    axes.tick_params(length=0)
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        label.set(family=fonts, parse_math=False)  # a price is no formula
    figure.colorbar(image, ax=axes, label="attention", shrink=min(1.0, 8 / height), aspect=12)
    return figure


def check_picture(path: Path) -> None:
    """Refuse the name of a picture that cannot be written.

    Raises:
        InputError: it ends in neither ``.png`` nor ``.svg``.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{path} ends in neither .png nor .svg: name a file that does")


def save_heatmap(alignment: Alignment, path: str | Path) -> None:
    """Write the picture of an attention matrix.

    Args:
        alignment: from `Translator.align`.
        path: ends in ``.png`` or ``.svg``.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    check_picture(path)
    figure = attention_figure(alignment)
    save_figure(figure, path, dpi=150 if max(figure.get_size_inches()) < LARGEST / 2 else 100)
