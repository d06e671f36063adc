import inspect

import pytest
import torch
from torch import nn

from nlp_rnn.modules.attention import Attention, Memory
from nlp_rnn.modules.decoder import Decoder
from nlp_rnn.modules.input_feeding import InputFeedingDecoder

CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]
ATTENTIONS = ["none", "dot", "general", "additive", "multi_head"]
N, K, T, S, E, H, V = 2, 3, 5, 4, 6, 8, 11
LENGTHS = torch.tensor([S, 1])
all_cells = pytest.mark.parametrize("cell", CELLS)
all_attentions = pytest.mark.parametrize("attention", ATTENTIONS)
both_classes = pytest.mark.parametrize("decoder_class", [Decoder, InputFeedingDecoder])


def build(decoder_class=Decoder, *, double=True, **arguments):
    torch.manual_seed(0)
    memory_size = 8 if arguments.get("attention", "none") != "none" else 0
    sizes = {"vocab_size": V, "embedding_size": E, "hidden_size": H, "memory_size": memory_size}
    decoder = decoder_class(**{**sizes, **arguments})
    return decoder.double() if double else decoder


def draw_state(decoder):
    layers = 1 + (decoder.upper.num_layers if decoder.upper else 0)
    tensors = len(decoder.lower.zero_state(torch.ones(1)))
    drawn = (torch.randn(N, layers, H, dtype=torch.float64) for _ in range(tensors))
    return decoder.start(tuple(drawn))


def draw_memory(decoder):
    if decoder.attention is None:
        return None
    values = torch.randn(N, S, 8, dtype=torch.float64)
    return decoder.attention.memorize(values, torch.arange(S) < LENGTHS.unsqueeze(1))


def draw_tokens(*shape):
    return torch.randint(4, V, shape)


def for_beams(state):
    return tuple(part.unsqueeze(1).expand(-1, K, *part.shape[1:]) for part in state)


@both_classes
@all_attentions
@all_cells
@pytest.mark.parametrize("num_layers", [1, 3])
def test_forward_is_repeated_step_for_every_beam(decoder_class, attention, cell, num_layers):
    decoder = build(decoder_class, cell=cell, attention=attention, num_layers=num_layers)
    state, memory = draw_state(decoder), draw_memory(decoder)
    tokens = draw_tokens(N, K, T)  # K hypotheses that differ
    beams, logits = for_beams(state), []
    for t in range(T):
        each, beams = decoder.step(tokens[:, :, t], beams, memory)
        assert each.shape == (N, K, V)
        logits.append(each)
    for k in range(K):
        outputs, after, weights = decoder(tokens[:, k], state, memory)
        stepped = torch.stack(logits, 2)[:, k]
        torch.testing.assert_close(decoder.project(outputs), stepped)
        torch.testing.assert_close(after, tuple(part[:, k] for part in beams))
        assert (weights is None) == (attention == "none")


@both_classes
@all_attentions
def test_hypotheses_may_share_a_row_of_the_memory(decoder_class, attention):
    decoder = build(decoder_class, attention=attention)
    state, memory = draw_state(decoder), draw_memory(decoder)
    tokens = draw_tokens(N, K, T)
    flat = tuple(part.flatten(0, 1) for part in for_beams(state))
    together, _, weights = decoder(tokens.flatten(0, 1), flat, memory)
    for k in range(K):
        alone, _, alone_weights = decoder(tokens[:, k], state, memory)
        torch.testing.assert_close(together.view(N, K, T, E)[:, k], alone)
        if weights is not None:
            torch.testing.assert_close(weights.view(N, K, T, S)[:, k], alone_weights)


@both_classes
@all_attentions
@all_cells
def test_no_output_looks_ahead(decoder_class, attention, cell):
    decoder = build(decoder_class, cell=cell, attention=attention)
    state, memory, tokens = draw_state(decoder), draw_memory(decoder), draw_tokens(N, T)
    before, _, weights = decoder(tokens, state, memory)
    for t in range(T):
        changed = tokens.clone()
        changed[:, t] = 3
        after, _, changed_weights = decoder(changed, state, memory)
        torch.testing.assert_close(after[:, :t], before[:, :t])
        assert (after[:, t:] != before[:, t:]).any(2).all()
        if weights is not None:
            torch.testing.assert_close(changed_weights[:, :t], weights[:, :t])


@both_classes
@all_attentions
def test_a_prefix_may_be_read_in_pieces(decoder_class, attention):
    decoder = build(decoder_class, attention=attention, cell="lstm")
    state, memory, tokens = draw_state(decoder), draw_memory(decoder), draw_tokens(N, T)
    whole, end, _ = decoder(tokens, state, memory)
    for cut in range(1, T):
        first, between, _ = decoder(tokens[:, :cut], state, memory)
        second, after, _ = decoder(tokens[:, cut:], between, memory)
        torch.testing.assert_close(torch.cat([first, second], 1), whole)
        torch.testing.assert_close(after, end)


def test_layers_are_drawn_as_documented():
    """Layer 1, attention, upper layer over [output; context], bottleneck, one step at a time."""
    decoder = build(attention="general")
    state, memory, tokens = draw_state(decoder), draw_memory(decoder), draw_tokens(N, T)
    linear, _ = decoder.bottleneck
    (h,), expected = state, []
    lower, upper = h[:, :1], h[:, 1:]
    for t in range(T):
        embedded = decoder.embedding(tokens[:, t : t + 1])
        output, (lower,) = decoder.lower(embedded, (lower,))
        context, _ = decoder.attention(output, memory)
        output, (upper,) = decoder.upper(torch.cat([output, context], 2), (upper,))
        expected.append(torch.tanh(linear(torch.cat([output, context, embedded], 2))))
    outputs, after, _ = decoder(tokens, state, memory)
    torch.testing.assert_close(outputs, torch.cat(expected, 1))
    torch.testing.assert_close(after, (torch.cat([lower, upper], 1),))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_without_memory_it_is_embedding_layers_softmax(cell):
    decoder = build(cell=cell, embedding_size=H, num_layers=3)
    assert decoder.bottleneck is None
    peer = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](H, H, num_layers=3, batch_first=True).double()
    for layer, ours in enumerate([*decoder.lower.layers, *decoder.upper.layers]):
        for name, weight in ours.named_parameters():
            getattr(peer, name.replace("l0", f"l{layer}")).data = weight.data
    tokens = draw_tokens(N, T)
    state = decoder.start(tuple(torch.zeros_like(part) for part in draw_state(decoder)))
    outputs, _, weights = decoder(tokens, state)
    assert weights is None
    expected, _ = peer(decoder.embedding(tokens))
    torch.testing.assert_close(outputs, expected)
    logits = expected @ decoder.embedding.weight.T + decoder.projection.bias
    torch.testing.assert_close(decoder.project(outputs), logits)


@both_classes
@all_attentions
@all_cells
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "free"])
def test_every_parameter_gets_a_gradient(decoder_class, attention, cell, tied):
    decoder = build(decoder_class, cell=cell, attention=attention, tied=tied, layer_norm=True)
    outputs, _, _ = decoder(draw_tokens(N, T), draw_state(decoder), draw_memory(decoder))
    decoder.project(outputs).square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert not parameter.requires_grad or parameter.grad.ne(0).any(), name


@both_classes
def test_tying_shares_the_matrix(decoder_class):
    tied, free = build(decoder_class), build(decoder_class, tied=False)
    assert tied.projection.weight is tied.embedding.weight
    assert free.projection.weight is not free.embedding.weight
    count = [sum(p.numel() for p in decoder.parameters()) for decoder in (free, tied)]
    assert count[0] - count[1] == V * E


@both_classes
@pytest.mark.parametrize(
    "name",
    [
        "embedding_dropout",
        "word_dropout",
        "type_dropout",
        "dropout",
        "weight_dropout",
        "output_dropout",
    ],
)
def test_each_dropout_works_in_training_and_rests_in_eval(decoder_class, name):
    decoder = build(decoder_class, attention="general", **{name: 0.5})
    inputs = draw_tokens(N, T), draw_state(decoder), draw_memory(decoder)
    kept, dropped = decoder.eval()(*inputs)[0], decoder.train()(*inputs)[0]
    assert not torch.allclose(kept, dropped)
    torch.testing.assert_close(kept, build(decoder_class, attention="general")(*inputs)[0])
    if name == "output_dropout":  # one mask for all steps
        zero = dropped == 0
        assert torch.equal(zero, zero[:, :1].expand_as(zero))


@both_classes
@all_cells
def test_counts_the_tensors_of_its_state(decoder_class, cell):
    decoder = build(decoder_class, cell=cell)
    assert decoder.num_states == len(draw_state(decoder))


@both_classes
@all_attentions
def test_follows_device(decoder_class, attention):
    decoder = build(decoder_class, attention=attention, double=False).to("meta")
    state = tuple(part.to("meta", torch.float) for part in draw_state(decoder))
    memory = None
    if decoder.attention:
        values = torch.ones(N, S, 8, device="meta")
        mask = torch.ones(N, S, device="meta", dtype=torch.bool)
        memory = decoder.attention.memorize(values, mask)
    logits, after = decoder.step(draw_tokens(N, K).to("meta"), for_beams(state), memory)
    assert logits.shape == (N, K, V)
    assert all(part.is_meta for part in (logits, *after))


def test_the_memory_is_not_copied_for_beams(monkeypatch):
    decoder = build(attention="general")
    seen: list[Memory] = []
    attend = Attention.forward
    monkeypatch.setattr(
        Attention, "forward", lambda self, q, memory: seen.append(memory) or attend(self, q, memory)
    )
    memory = draw_memory(decoder)
    decoder.step(draw_tokens(N, K), for_beams(draw_state(decoder)), memory)
    assert len(seen) == 1
    assert seen[0] is memory


def test_both_classes_take_the_same_arguments():
    assert inspect.signature(InputFeedingDecoder) == inspect.signature(Decoder)
