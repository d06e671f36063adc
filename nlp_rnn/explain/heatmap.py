"""Attention as a picture: where the decoder looked while it wrote.

S source pieces, T target pieces.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from nlp_rnn.errors import InputError
from nlp_rnn.inference import Alignment

__all__ = ["attention_figure", "save_heatmap"]

BASE_FONT = "DejaVu Sans"  # comes with matplotlib; it has Latin, Greek, Cyrillic, Arabic, Hebrew
PREFERRED_FONTS = ["Noto Sans CJK JP", "Noto Sans CJK SC", "IPAexGothic", "WenQuanYi Zen Hei"]
CELL = 0.3  # inches a piece takes
LARGEST = 100.0  # inches a side: the picture of a very long text stays one that can be opened


def attention_figure(alignment: Alignment, *, title: str | None = None) -> Figure:
    """Draw an attention matrix, source pieces to the right and target pieces downwards.

    A low line marks where a word begins, as SentencePiece's ``▁`` does.

    Args:
        alignment: from `Translator.align`.
        title: above the picture.

    Returns:
        A figure of its own, unknown to pyplot; its size follows T and S.
    """
    source, target = (
        [piece.replace("▁", "_") for piece in pieces]
        for pieces in (alignment.source, alignment.target)
    )
    fonts = _fonts({*"".join([*source, *target, title or ""])})
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
    if title:
        axes.set_title(title, family=fonts, parse_math=False)
    figure.colorbar(image, ax=axes, label="attention", shrink=min(1.0, 8 / height), aspect=12)
    return figure


def save_heatmap(alignment: Alignment, path: str | Path) -> None:
    """Write the picture of an attention matrix.

    Args:
        alignment: from `Translator.align`.
        path: ends in ``.png`` or ``.svg``.

    Raises:
        InputError: another ending.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".svg"):
        raise InputError(f"{path} ends in neither .png nor .svg: name a file that does")
    figure = attention_figure(alignment)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # said once, by `_fonts`
        figure.savefig(path, dpi=150 if max(figure.get_size_inches()) < LARGEST / 2 else 100)


def _fonts(characters: set[str]) -> list[str]:
    """Names of installed fonts that together show the characters; a warning says what none has."""
    missing = {ord(each) for each in characters if each.isprintable()}
    names: list[str] = []
    for font in _candidates():
        if not missing:
            break
        try:
            found = missing & FT2Font(font.fname).get_charmap().keys()
        except (OSError, RuntimeError):  # removed since, or of a kind that cannot be drawn
            continue
        if found or not names:
            names.append(font.name)
            missing -= found
    if missing:
        warnings.warn(
            f"no installed font shows {''.join(map(chr, sorted(missing)[:10]))}: install one that "
            "does, for Chinese, Japanese and Korean the package fonts-noto-cjk (Debian, Ubuntu)",
            stacklevel=3,
        )
    return names


def _candidates() -> Iterator[font_manager.FontEntry]:
    """Fonts in plain style: the base font, then what is installed, the preferred ones first."""
    manager = font_manager.fontManager
    yield from (font for font in manager.ttflist if font.name == BASE_FONT)
    # matplotlib remembers its list of fonts: what was installed since is not on it.
    for path in sorted(
        {*font_manager.findSystemFonts()} - {font.fname for font in manager.ttflist}
    ):
        with contextlib.suppress(OSError, RuntimeError):  # a kind that it cannot read
            manager.addfont(path)
    # Its other own fonts are for formulas, with letters in odd places, or show boxes for anything.
    own = matplotlib.get_data_path()
    wanted = {name: place for place, name in enumerate(PREFERRED_FONTS)}
    yield from sorted(
        (
            font
            for font in manager.ttflist
            if font.weight == 400 and font.style == "normal" and not font.fname.startswith(own)
        ),
        key=lambda font: (wanted.get(font.name, len(wanted)), font.name),
    )
