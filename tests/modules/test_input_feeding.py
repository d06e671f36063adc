"""What the two decoders share is in test_decoder.py; this is what feeding adds."""

import pytest
import torch

from nlp_rnn.modules.input_feeding import InputFeedingDecoder

N, T, S, E, H, D, V = 2, 4, 3, 6, 8, 4, 11


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return InputFeedingDecoder(
        vocab_size=V, embedding_size=E, hidden_size=H, attention="general", memory_size=D
    ).double()


@pytest.fixture
def inputs(decoder):
    state = decoder.start((torch.randn(N, 2, H, dtype=torch.float64),))
    values = torch.randn(N, S, D, dtype=torch.float64)
    memory = decoder.attention.memorize(values, torch.ones(N, S, dtype=torch.bool))
    return torch.randint(4, V, (N, T)), state, memory


def test_starts_with_nothing_to_feed(inputs):
    _, (h, fed), _ = inputs
    assert torch.equal(fed, torch.zeros(N, E))
    assert fed.dtype == h.dtype


def test_layer_one_reads_the_embedding_and_what_last_met_the_softmax(decoder, inputs):
    tokens, (h, fed), memory = inputs
    linear, _ = decoder.bottleneck
    lower, upper, fed, expected = h[:, :1], h[:, 1:], fed.unsqueeze(1), []
    for t in range(T):
        embedded = decoder.embedding(tokens[:, t : t + 1])
        output, (lower,) = decoder.lower(torch.cat([embedded, fed], 2), (lower,))
        context, _ = decoder.attention(output, memory)
        output, (upper,) = decoder.upper(torch.cat([output, context], 2), (upper,))
        fed = torch.tanh(linear(torch.cat([output, context, embedded], 2)))
        expected.append(fed)
    outputs, (after, last), _ = decoder(*inputs)
    torch.testing.assert_close(outputs, torch.cat(expected, 1))
    torch.testing.assert_close(after, torch.cat([lower, upper], 1))
    torch.testing.assert_close(last, outputs[:, -1])


def test_what_is_fed_is_not_dropped(decoder, inputs):
    kept, state, _ = decoder(*inputs)
    decoder.output_dropout.p = 0.5
    dropped, again, _ = decoder(*inputs)
    assert (dropped == 0).any()
    torch.testing.assert_close(again, state)
    torch.testing.assert_close(dropped[dropped != 0], 2 * kept[dropped != 0])
