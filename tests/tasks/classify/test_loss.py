import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.errors import InputError
from nlp_rnn.tasks.classify.loss import LabelLoss

LOGITS, TARGETS = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 0])
FITS = F.one_hot(TARGETS, 3).float()


def test_plain_losses_are_cross_entropies():
    one = LabelLoss().of_one(LOGITS, TARGETS, None)
    torch.testing.assert_close(one, F.cross_entropy(LOGITS, TARGETS, reduction="none"))
    many = LabelLoss().of_many(LOGITS, FITS, None)
    torch.testing.assert_close(many.mean(), F.binary_cross_entropy_with_logits(LOGITS, FITS))


def test_focus_leaves_out_what_is_known():
    sure = torch.tensor([[20.0, 0.0], [0.0, 0.0]])
    nats = LabelLoss(focal_gamma=2.0).of_one(sure, torch.tensor([0, 0]), None)
    assert nats[0] < 1e-12
    torch.testing.assert_close(nats[1], torch.tensor(2.0).log() / 4)
    fits = torch.tensor([[1.0, 0.0]])
    many = LabelLoss(focal_gamma=2.0).of_many(torch.tensor([[20.0, 0.0]]), fits, None)
    torch.testing.assert_close(many[0], torch.tensor(2.0).log() / 8)


def test_balanced_weights_give_every_label_the_same_say():
    counts = torch.tensor([6.0, 3.0, 1.0])
    weights = LabelLoss(class_weights="balanced").weights(counts, 10, multi_label=False)
    torch.testing.assert_close(weights * counts, torch.full((3,), 10 / 3))
    several = LabelLoss(class_weights="balanced").weights(counts, 10, multi_label=True)
    torch.testing.assert_close(several * counts, 10 - counts)


def test_a_label_that_no_text_has_or_all_have():
    loss = LabelLoss(class_weights="balanced")
    assert loss.weights(torch.tensor([4.0, 6.0, 0.0]), 10, multi_label=False).isfinite().all()
    assert loss.weights(torch.tensor([10.0, 0.0]), 10, multi_label=True).min() > 0


def test_focus_has_a_gradient_where_all_is_known():
    sure = torch.tensor([[80.0, -80.0]], requires_grad=True)
    loss = LabelLoss(focal_gamma=0.5)
    loss.of_one(sure, torch.tensor([0]), None).sum().backward()
    loss.of_many(sure, torch.tensor([[1.0, 0.0]]), None).sum().backward()
    assert sure.grad.isfinite().all()


def test_weights_of_ones_own():
    loss = LabelLoss(class_weights=[1.0, 2.0, 3.0])
    weights = loss.weights(torch.ones(3), 3, multi_label=False)
    plain = LabelLoss().of_one(LOGITS, TARGETS, None)
    torch.testing.assert_close(loss.of_one(LOGITS, TARGETS, weights), plain * weights[TARGETS])
    with pytest.raises(InputError, match="3 weights for 2 labels"):
        loss.weights(torch.ones(2), 3, multi_label=False)
    assert LabelLoss().weights(torch.ones(3), 3, multi_label=False) is None


def test_smoothing_pulls_towards_all_labels():
    nats = LabelLoss(label_smoothing=0.3).of_one(LOGITS, TARGETS, None)
    plain = LabelLoss().of_one(LOGITS, TARGETS, None)
    torch.testing.assert_close(nats, 0.7 * plain - 0.3 * LOGITS.log_softmax(1).mean(1))
    many = LabelLoss(label_smoothing=0.2).of_many(LOGITS, FITS, None)
    expected = F.binary_cross_entropy_with_logits(LOGITS, FITS * 0.8 + 0.1, reduction="none")
    torch.testing.assert_close(many, expected.mean(1))


def test_a_smoothed_label_of_great_weight_attracts_no_other_texts():
    weights = torch.tensor([0.3, 17.0, 33.0])
    loss = LabelLoss(label_smoothing=0.1)
    found = []
    for cost, targets in (
        (loss.of_one, torch.tensor([0])),
        (loss.of_many, torch.tensor([[1.0, 0.0, 0.0]])),
    ):
        scores = torch.zeros(1, 3, requires_grad=True)
        descent = torch.optim.Adam([scores], lr=0.1)
        for _ in range(300):
            descent.zero_grad()
            cost(scores, targets, weights).sum().backward()
            descent.step()
        found.append(scores.detach()[0])
    one, many = found
    assert one.argmax() == 0
    assert (many > 0).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "values",
    [
        {"label_smoothing": 1.0},
        {"focal_gamma": -1.0},
        {"class_weights": [1.0, 0.0]},
        {"class_weights": []},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))):
        LabelLoss(**values)
