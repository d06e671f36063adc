import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.modules.cross_entropy import cross_entropy


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_costs_and_gradient_are_those_of_the_library(label_smoothing):
    logits = torch.randn(9, 40, dtype=torch.float64, requires_grad=True)
    targets, weights = torch.randint(40, (9,)), torch.rand(9, dtype=torch.float64)
    nats = cross_entropy(logits, targets, label_smoothing=label_smoothing)
    expected = F.cross_entropy(logits, targets, label_smoothing=label_smoothing, reduction="none")
    torch.testing.assert_close(nats, expected)
    torch.testing.assert_close(
        torch.autograd.grad(nats @ weights, logits), torch.autograd.grad(expected @ weights, logits)
    )


def test_scores_in_bfloat16_cost_the_same_but_for_rounding():
    logits = (4 * torch.randn(200, 300)).bfloat16().requires_grad_()
    targets = torch.randint(300, (200,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nats = cross_entropy(logits, targets, label_smoothing=0.1)
    expected = F.cross_entropy(logits.float(), targets, label_smoothing=0.1, reduction="none")
    assert nats.dtype == torch.float32
    torch.testing.assert_close(nats, expected, rtol=0, atol=0.004)
    torch.testing.assert_close(
        *(torch.autograd.grad(each.sum(), logits)[0] for each in (nats, expected)),
        rtol=0.01,
        atol=0.004,
    )


def test_a_word_that_seemed_impossible_costs_what_it_should():
    logits = torch.tensor([[0.0, 300.0, -500.0]])
    torch.testing.assert_close(cross_entropy(logits, torch.tensor([2])), torch.tensor([800.0]))


def test_scores_that_are_no_numbers_are_not_hidden():
    logits = torch.tensor([[0.0, float("nan")]], requires_grad=True)
    nats = cross_entropy(logits, torch.tensor([0]))
    nats.sum().backward()
    assert nats.isnan().all()
    assert logits.grad.isnan().any()
