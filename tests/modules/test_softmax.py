import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.modules.cross_entropy import cross_entropy
from nlp_rnn.modules.softmax import AdaptiveSoftmax, Softmax

HEADS = [lambda: Softmax(16, 50), lambda: AdaptiveSoftmax(16, 50, cutoffs=[10, 30])]


@pytest.mark.parametrize("make", HEADS)
def test_the_loss_is_that_of_the_logits(make):
    head, outputs, targets = make(), torch.randn(7, 16), torch.randint(50, (7,))
    log_probs = head(outputs).log_softmax(1)
    expected = -log_probs[torch.arange(7), targets]
    torch.testing.assert_close(head.negative_log_likelihood(outputs, targets), expected)
    torch.testing.assert_close(head(outputs.view(7, 1, 16))[:, 0], head(outputs))


def test_adaptive_log_probabilities_are_normalised():
    head = AdaptiveSoftmax(16, 50, cutoffs=[10, 30])
    torch.testing.assert_close(head(torch.randn(2, 3, 16)).exp().sum(2), torch.ones(2, 3))


def test_every_cluster_has_a_gradient_whatever_the_targets():
    head = AdaptiveSoftmax(16, 50, cutoffs=[10, 30])
    nats = head.negative_log_likelihood(torch.randn(4, 16), torch.tensor([0, 3, 9, 9]))
    nats.sum().backward()
    assert all(each.grad is not None for each in head.parameters())


@pytest.mark.parametrize("make", HEADS)
def test_the_loss_in_bf16_is_near_that_in_fp32(make):
    head, outputs, targets = make(), torch.randn(40, 16), torch.randint(50, (40,))
    expected = head.negative_log_likelihood(outputs, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = head.negative_log_likelihood(outputs, targets)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_sample_of_all_words_is_the_softmax(smoothing):
    head = Softmax(16, 50)
    head.bias.data.normal_()
    for targets, sample in ([3, 3, 0, 49, 8, 3, 8], 46), (range(50), 9):  # 9 of none
        outputs, targets = torch.randn(len(targets), 16), torch.tensor(list(targets))
        losses = (
            cross_entropy(head(outputs), targets, label_smoothing=smoothing),
            head.sampled_negative_log_likelihood(
                outputs, targets, sample, label_smoothing=smoothing
            ),
        )
        torch.testing.assert_close(losses[1], losses[0])
        whole, sampled = (torch.autograd.grad(each.sum(), head.parameters()) for each in losses)
        torch.testing.assert_close(sampled, whole)


def test_a_sample_stands_for_all_words_on_average():
    head, outputs, targets = Softmax(4, 500), torch.randn(3, 4), torch.tensor([7, 7, 20])
    scores = head(outputs)
    own = scores[torch.arange(3), targets]
    sums = [
        (head.sampled_negative_log_likelihood(outputs, targets, 12) + own).exp()
        for _ in range(2000)
    ]
    torch.testing.assert_close(torch.stack(sums).mean(0), scores.exp().sum(1), rtol=0.02, atol=0)


def test_labels_are_smoothed_over_all_words_whatever_was_drawn():
    head, outputs, targets = Softmax(16, 500), torch.randn(3, 16), torch.tensor([7, 7, 20])
    head.bias.data.normal_()
    losses = []
    for smoothing in (0.0, 0.3):
        torch.manual_seed(1)
        losses.append(
            head.sampled_negative_log_likelihood(outputs, targets, 12, label_smoothing=smoothing)
        )
    scores = head(outputs)
    expected = 0.3 * (scores[torch.arange(3), targets] - scores.mean(1))
    torch.testing.assert_close(losses[1] - losses[0], expected)
    found, wanted = (
        torch.autograd.grad(each.sum(), head.parameters())
        for each in (losses[1] - losses[0], expected)
    )
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_words_outside_the_sample_are_left_alone():
    head = Softmax(16, 500)
    targets = torch.tensor([7, 7, 20])
    head.sampled_negative_log_likelihood(torch.randn(3, 16), targets, 12).sum().backward()
    touched = head.weight.grad.abs().sum(1) > 0
    assert touched.sum() == 64
    assert touched[targets].all()


@pytest.mark.parametrize("cutoffs", [[0], [50], [20, 10], [10, 10]])
def test_cutoffs_rise_within_the_vocabulary(cutoffs):
    with pytest.raises(InputError, match="have to rise between 0 and the vocabulary's 50"):
        AdaptiveSoftmax(16, 50, cutoffs=cutoffs)


def test_no_cluster_is_without_width():
    AdaptiveSoftmax(16, 50, cutoffs=[10, 30])
    with pytest.raises(InputError, match="leave nothing to the last"):
        AdaptiveSoftmax(15, 50, cutoffs=[10, 30])
