import pytest
import torch

from nlp_rnn.label_metrics import best_temperature, label_scores


def test_figures_of_labels_that_exclude_each_other():
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    targets = torch.tensor([0, 1, 2, 2])
    scores = label_scores(logits, targets)
    assert scores.accuracy == pytest.approx(3 / 4)
    assert scores.macro_recall == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert scores.macro_f1 == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert scores.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    # All have the confidence p, and three in four are right.
    p = float(torch.tensor([2.0, 0.0, 0.0]).softmax(0)[0])
    assert scores.calibration_error == pytest.approx(abs(p - 3 / 4), abs=1e-6)
    assert scores.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, targets)))


def test_certainty_has_no_bin_of_its_own():
    # 0.96 and 1.0 fall into the last of 15 bins, where the mean of both is right half the time.
    logits = torch.tensor([[0.96, 0.04], [1.0, 0.0]]).log().clamp_min(-100)
    found = label_scores(logits, torch.tensor([0, 1])).calibration_error
    assert found == pytest.approx(0.98 - 0.5, abs=1e-5)


def test_figures_of_labels_on_their_own():
    logits = torch.tensor([[3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]])
    scores = label_scores(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.macro_recall == pytest.approx(1)
    assert scores.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert scores.confusion is None
    fits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, fits)
    assert scores.loss == pytest.approx(float(expected))
    sure = float(torch.tensor(3.0).sigmoid())  # of four, of which three fit; the other two do not
    assert scores.calibration_error == pytest.approx((2 * sure - 1) / 6, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_was_lost_is_found_again(temperature):
    generator = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(20_000, 3, generator=generator)
    targets = torch.multinomial(honest.softmax(1), 1, generator=generator).squeeze(1)
    found = best_temperature(honest * temperature, targets)
    assert found == pytest.approx(temperature, rel=0.05)
    fits = torch.bernoulli(honest.sigmoid(), generator=generator)
    assert best_temperature(honest * temperature, fits) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("labels", [1, 2])
def test_few_texts_that_are_all_right_leave_a_doubt(labels):
    logits = torch.tensor([[4.0, -4.0], [-4.0, 4.0]]).repeat(12, 1)
    fits = (logits > 0).float()
    scores = logits / best_temperature(logits, fits if labels == 2 else fits.argmax(1))
    probs = scores.sigmoid() if labels == 2 else scores.softmax(1)
    assert float(probs.max()) == pytest.approx(1 - 0.5 / 25, abs=1e-3)


def test_calibration_changes_no_label():
    logits = torch.randn(50, 4)
    targets = torch.randint(4, (50,))
    before = label_scores(logits, targets)
    after = label_scores(logits / best_temperature(logits, targets), targets)
    assert after.accuracy == before.accuracy
    assert after.loss <= before.loss
