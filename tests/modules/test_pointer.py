import math

import pytest
import torch

from nlp_rnn.modules.pointer import SCALE, Pointer

SIZE, SPAN, WORDS = 6, 4, 9


@pytest.fixture
def pointer():
    torch.manual_seed(0)
    pointer = Pointer(SIZE, SPAN)
    for weight in pointer.parameters():
        torch.nn.init.normal_(weight)
    return pointer


@pytest.fixture
def outputs():
    return torch.randn(2, 10, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tokens():
    return torch.randint(3, WORDS, (2, 10), generator=torch.Generator().manual_seed(2))


def by_hand(pointer, outputs, tokens, logits):
    """Probabilities (T, V) of one stream by the definition, one place after the other."""
    found = []
    for t in range(len(tokens)):
        exponentials = {None: math.exp(pointer.sentinel(outputs[t]))}
        for place in range(max(0, t - SPAN + 1), t + 1):
            before = outputs[place - 1] if place else torch.zeros(SIZE)
            likeness = SCALE * float(pointer.likeness(outputs[t]) @ before)
            exponentials[place] = math.exp(likeness)
        whole = sum(exponentials.values())
        shares = {place: each / whole for place, each in exponentials.items()}
        row = shares.pop(None) * logits[t].softmax(0)
        for place, share in shares.items():
            row[tokens[place]] += share
        found.append(row)
    return torch.stack(found)


def test_it_equals_its_definition(pointer, outputs, tokens):
    logits = torch.randn(2, 10, WORDS)
    pointing, _ = pointer(outputs, tokens, pointer.zero_state(2))
    mixed = pointing.mix_all(logits).exp()
    for row in range(2):
        expected = by_hand(pointer, outputs[row], tokens[row], logits[row])
        torch.testing.assert_close(mixed[row], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mixed.sum(2), torch.ones(2, 10))
    targets = torch.randint(3, WORDS, (2, 10))
    nats = -logits.log_softmax(2).gather(2, targets[..., None])[..., 0]
    expected = -mixed.gather(2, targets[..., None])[..., 0].log()
    torch.testing.assert_close(pointing.mix(nats, targets), expected)


def test_what_comes_later_changes_nothing(pointer, outputs, tokens):
    before, _ = pointer(outputs, tokens, pointer.zero_state(2))
    outputs[:, 6:], tokens[:, 6:] = 0.0, 3
    after, _ = pointer(outputs, tokens, pointer.zero_state(2))
    torch.testing.assert_close(after.log_weights[:, :6], before.log_weights[:, :6])


def test_likeness_is_measured_in_fp32(pointer, outputs, tokens):
    expected, _ = pointer(9 * outputs, tokens, pointer.zero_state(2))
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = pointer(9 * outputs, tokens, pointer.zero_state(2))
    torch.testing.assert_close(found.log_weights, expected.log_weights)


def test_padding_is_never_pointed_at(pointer, outputs, tokens):
    tokens[:, 3:5] = 0
    pointing, _ = pointer(outputs, tokens, pointer.zero_state(2))
    log_weights = pointing.log_weights[..., 1:].movedim(2, 1)  # (N, P + T, T)
    assert (log_weights[pointing.words == 0] == -math.inf).all()


def test_a_window_of_padding_has_gradients_of_zero(pointer, outputs):
    nothing = torch.zeros(2, 10, dtype=torch.long)
    pointing, _ = pointer(outputs, nothing, pointer.zero_state(2))
    cost = pointing.mix(torch.zeros(2, 10), nothing).masked_fill(nothing == 0, 0.0).sum()
    cost.backward()
    for name, weight in pointer.named_parameters():
        assert (weight.grad == 0).all(), name


def test_at_the_start_it_is_a_small_cache():
    pointer = Pointer(SIZE, 200)
    outputs = torch.randn(1, 300, SIZE)
    pointing, _ = pointer(outputs, torch.full((1, 300), 5), pointer.zero_state(1))
    assert pointing.log_weights[0, 250:, 0].exp().mean() > 0.8
    likeness = outputs[0, 299] @ outputs[0, 99:299].T
    shares = pointing.log_weights[0, 299, 1:][300:500].exp()
    torch.testing.assert_close(shares / shares.sum(), (0.3 * likeness).softmax(0))
