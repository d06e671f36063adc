import torch

from nlp_rnn.explain import labels as drawing
from nlp_rnn.explain.labels import confusion_figure, reliability_figure


def test_every_count_is_written_where_it_belongs():
    confusion = torch.tensor([[8, 2], [0, 5]])
    axes = confusion_figure(confusion, ["no", "yes"]).axes[0]
    written = {tuple(map(int, text.get_position())): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "8", (1, 0): "2", (0, 1): "0", (1, 1): "5"}
    shares = torch.as_tensor(axes.images[0].get_array())
    torch.testing.assert_close(shares, torch.tensor([[0.8, 0.2], [0.0, 1.0]]))
    assert [each.get_text() for each in axes.get_yticklabels()] == ["no", "yes"]
    assert [each.get_text() for each in axes.get_xticklabels()] == ["no", "yes"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_label_that_never_occurs_can_be_drawn():
    figure = confusion_figure(torch.tensor([[3, 0], [0, 0]]), ["a", "b"])
    figure.canvas.draw()
    shares = torch.as_tensor(figure.axes[0].images[0].get_array())
    assert shares.tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_a_price_is_no_formula():
    figure = confusion_figure(torch.eye(3).int(), ["$", "$$", "$5_$"])
    figure.canvas.draw()
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["$", "$$", "$5_$"]


def test_labels_are_written_in_fonts_that_have_them(monkeypatch):
    monkeypatch.setattr(drawing, "fonts_for", lambda text: [f"a font for {text}"])
    axes = confusion_figure(torch.eye(2).int(), ["好", "坏"]).axes[0]
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        assert label.get_fontfamily() == ["a font for 好坏"]


def test_confidence_is_drawn_against_what_was_right():
    probs = torch.tensor([0.55, 0.58, 0.95, 0.97, 1.0])
    right = torch.tensor([True, False, True, True, True])
    figure = reliability_figure(probs, right)
    line = figure.axes[0].lines[1]
    torch.testing.assert_close(
        torch.as_tensor(line.get_xydata()),
        torch.tensor([[0.565, 0.5], [(0.95 + 0.97 + 1.0) / 3, 1.0]], dtype=torch.float64),
        rtol=0,
        atol=1e-6,
    )
    assert [bar.get_height() for bar in figure.axes[1].patches] == [*[0] * 8, 2, *[0] * 5, 3]
