import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.modules.encoder import Encoded
from nlp_rnn.modules.pooling import Pooling

KINDS = [("last", 1), ("mean", 1), ("max", 1), ("concat", 1), ("attention", 1), ("attention", 3)]
N, S, D = 3, 7, 6


def encoded(lengths, outputs):
    lengths = torch.tensor(lengths)
    mask = torch.arange(outputs.size(1)) < lengths.unsqueeze(1)
    last = outputs[torch.arange(len(lengths)), lengths - 1]
    return Encoded(outputs, mask, last, ())


@pytest.mark.parametrize(("kind", "hops"), KINDS)
def test_padding_and_neighbours_do_not_count(kind, hops):
    pooling = Pooling(kind=kind, size=D, num_hops=hops)
    outputs, lengths = torch.randn(N, S, D), [7, 2, 5]
    together = pooling(encoded(lengths, outputs))
    assert together.shape == (N, pooling.output_size)
    for row, length in enumerate(lengths):
        alone = pooling(encoded([length], outputs[row : row + 1, :length]))
        torch.testing.assert_close(together[row : row + 1], alone)
    outputs[1, 2:] = 1e6  # what stands at padding means nothing
    torch.testing.assert_close(pooling(encoded(lengths, outputs)), together)


@pytest.mark.parametrize(("kind", "hops"), KINDS)
def test_parts_give_what_the_whole_gives(kind, hops):
    pooling = Pooling(kind=kind, size=D, num_hops=hops)
    outputs = 5 * torch.randn(2, S, D)
    gathered = None
    for part in outputs.split([1, 4, 2], 1):
        gathered = pooling.gather(encoded([part.size(1)] * 2, part), gathered)
    torch.testing.assert_close(pooling.result(gathered), pooling(encoded([S] * 2, outputs)))


def test_concat_is_last_mean_and_max():
    outputs = torch.randn(2, S, D)
    expected = torch.cat([outputs[:, -1], outputs.mean(1), outputs.amax(1)], 1)
    torch.testing.assert_close(Pooling(kind="concat", size=D)(encoded([S] * 2, outputs)), expected)


def test_attention_is_the_mean_by_its_weights():
    pooling = Pooling(kind="attention", size=D, num_hops=2)
    batch = encoded([7, 3, 5], torch.randn(N, S, D))
    part = pooling.parts[0]
    keys = torch.tanh(batch.outputs @ part.key.weight.T + part.key.bias)
    scores = (keys @ part.query.weight.T).transpose(1, 2)
    weights = scores.masked_fill(~batch.mask.unsqueeze(1), float("-inf")).softmax(2)
    torch.testing.assert_close(weights.sum(2), torch.ones(N, 2))
    assert weights[1, :, 3:].eq(0).all()
    torch.testing.assert_close(pooling(batch), (weights @ batch.outputs).flatten(1))


@pytest.mark.parametrize("kind", ["mean", "attention"])
def test_sums_over_a_long_text_stay_in_fp32(kind):
    pooling = Pooling(kind=kind, size=D)
    outputs = (1 + torch.rand(1, 3000, D)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = pooling(encoded([3000], outputs))
        if kind == "attention":  # whose scores may be rounded, but not what they weigh
            shares = pooling.parts[0].scores(encoded([3000], outputs)).softmax(2)
        else:
            shares = torch.full((1, 1, 3000), 1 / 3000)
    expected = (shares.double() @ outputs.double()).flatten(1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"kind": "median"}, {"kind": "attention", "num_hops": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(InputError):
        Pooling(size=D, **options)
