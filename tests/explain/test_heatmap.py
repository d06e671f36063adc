import warnings

import pytest
import torch
from matplotlib import font_manager, image

from nlp_rnn.errors import InputError
from nlp_rnn.explain.heatmap import attention_figure, save_heatmap
from nlp_rnn.inference import Alignment


def alignment(source, target):
    weights = torch.arange(1.0, 1 + len(source) * len(target)).view(len(target), len(source))
    return Alignment(source, target, weights / weights.sum(1, keepdim=True))


SHORT = alignment(["▁old", "▁cat", "s", "</s>"], ["▁alte", "▁Katzen", "</s>"])


def test_pieces_name_the_rows_and_columns():
    figure = attention_figure(SHORT)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["_old", "_cat", "s", "</s>"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["_alte", "_Katzen", "</s>"]
    drawn = torch.as_tensor(axes.images[0].get_array())
    torch.testing.assert_close(drawn, SHORT.weights)
    assert axes.images[0].get_clim() == (0.0, 1.0)


def test_the_figure_grows_with_the_text_within_a_limit():
    def size(source, target):
        return attention_figure(alignment(["a"] * source, ["b"] * target)).get_size_inches()

    assert size(20, 5)[0] > size(5, 5)[0] + 2
    assert size(5, 20)[1] > size(5, 5)[1] + 2
    assert max(size(400, 3)) <= 100


def test_no_label_leaves_the_picture():
    pieces = ["▁Donaudampfschifffahrt", "s", "gesellschaft", "</s>"]
    figure = attention_figure(alignment(pieces, pieces))
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    axes = figure.axes[0]
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_png_and_svg_by_their_endings(tmp_path):
    save_heatmap(SHORT, tmp_path / "map.png")
    pixels = image.imread(tmp_path / "map.png")
    assert min(pixels.shape[:2]) > 100
    assert pixels[..., :3].min() < 0.3 < 0.9 < pixels[..., :3].max()
    save_heatmap(SHORT, tmp_path / "map.SVG")
    assert "<svg" in (tmp_path / "map.SVG").read_text(encoding="utf-8")
    for name in ("map.jpg", "map"):
        with pytest.raises(InputError, match=r"neither \.png nor \.svg"):
            save_heatmap(SHORT, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_dollars_are_no_formula(tmp_path):
    prices = alignment(["▁$5", "▁$", "\\frac", "</s>"], ["▁$x_$", "</s>"])
    save_heatmap(prices, tmp_path / "prices.png")


def test_european_letters_need_no_other_font(tmp_path):
    letters = ["▁Größe", "▁čaj", "▁żółw", "▁Привет", "▁γειά", "</s>"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_heatmap(alignment(letters, letters), tmp_path / "letters.png")


def test_what_no_font_shows_is_said_once(tmp_path, monkeypatch):
    manager = font_manager.fontManager
    base = [font for font in manager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(manager, "ttflist", base)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_heatmap(alignment(["▁猫", "</s>"], ["猫", "</s>"]), tmp_path / "cat.png")
    (only,) = caught
    assert "no installed font shows 猫" in str(only.message)
    assert "fonts-noto-cjk" in str(only.message)
    assert "\n" not in str(only.message)
    assert (tmp_path / "cat.png").exists()


def test_a_font_installed_later_is_found(monkeypatch):
    manager = font_manager.fontManager
    serif = next(font for font in manager.ttflist if font.name == "DejaVu Sans Display")
    # As if that font, which has the letter, were outside of matplotlib and not on its list.
    monkeypatch.setattr(manager, "ttflist", [])
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [serif.fname])
    monkeypatch.setattr("matplotlib.get_data_path", lambda: "/nowhere")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        label = attention_figure(alignment(["∫"], ["∫"])).axes[0].get_xticklabels()[0]
    assert label.get_fontfamily() == ["DejaVu Sans Display"]
    manager.addfont(serif.fname)  # it forgets what it has not found on the empty list
