"""Fonts that a picture needs, of those that are installed."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

__all__ = ["fonts_for", "save_figure"]

BASE_FONT = "DejaVu Sans"  # comes with matplotlib; it has Latin, Greek, Cyrillic, Arabic, Hebrew
PREFERRED_FONTS = ["Noto Sans CJK JP", "Noto Sans CJK SC", "IPAexGothic", "WenQuanYi Zen Hei"]


def fonts_for(text: str) -> list[str]:
    """Names of installed fonts that together show a text; a warning says what none has."""
    missing = {ord(each) for each in text if each.isprintable()}
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


def save_figure(figure: Figure, path: Path, *, dpi: int) -> None:
    """Write a picture, without a warning for each character that `fonts_for` spoke of already."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(path, dpi=dpi)


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
