import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nlp_rnn.modules.encoder import Encoder

CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]
N, S, E, D, V = 4, 6, 5, 8, 11
LENGTHS = torch.tensor([3, S, 1, 4])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
all_cells = pytest.mark.parametrize("cell", CELLS)
both_ways = pytest.mark.parametrize("bidirectional", [True, False], ids=["two", "one"])


def build(**arguments):
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "embedding_size": E, "hidden_size": D}
    return Encoder(**{**sizes, **arguments}).double()


def batch():
    return torch.randint(4, V, (N, S)) * MASK, LENGTHS


def peer(encoder, cell):
    """PyTorch's own stack with the same weights."""
    arguments = {"num_layers": len(encoder.layers), "bidirectional": encoder.bidirectional}
    if cell.startswith("rnn"):
        arguments["nonlinearity"] = cell.removeprefix("rnn_")
    peer_class = {"gru": nn.GRU, "lstm": nn.LSTM}.get(cell, nn.RNN)
    hidden_size = encoder.layers[0].forwards.hidden_size
    stack = peer_class(E, hidden_size, batch_first=True, **arguments).double()
    for layer, directions in enumerate(encoder.layers):
        for suffix, direction in zip(["", "_reverse"], directions.children()):
            for name, weight in direction.layers[0].named_parameters():
                getattr(stack, name.replace("l0", f"l{layer}{suffix}")).data = weight.data
    return stack


@all_cells
@both_ways
def test_equals_the_packed_layers_of_pytorch(cell, bidirectional):
    encoder = build(cell=cell, num_layers=2, bidirectional=bidirectional)
    tokens, lengths = batch()
    packed = pack_padded_sequence(
        encoder.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
    )
    outputs, finals = peer(encoder, cell)(packed)
    expected, _ = pad_packed_sequence(outputs, batch_first=True)
    encoded = encoder(tokens, lengths)
    torch.testing.assert_close(encoded.outputs[MASK], expected[MASK])
    assert torch.equal(encoded.mask, MASK)
    h = finals[0] if cell == "lstm" else finals
    last_layer = h[-2:] if bidirectional else h[-1:]
    torch.testing.assert_close(encoded.summary, last_layer.transpose(0, 1).flatten(1))


@all_cells
@both_ways
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "norm_and_residual"])
def test_padding_and_other_rows_change_nothing(cell, bidirectional, extras):
    encoder = build(
        cell=cell, num_layers=2, bidirectional=bidirectional, layer_norm=extras, residual=extras
    )
    tokens, lengths = batch()
    encoded = encoder(tokens, lengths)
    wider = torch.cat([tokens, tokens.new_zeros(N, 3)], 1)
    scribbled = torch.where(MASK, tokens, 4)  # lengths decide what is padding, not the id
    for other in (wider, scribbled):
        again = encoder(other, lengths)
        torch.testing.assert_close(again.outputs[:, :S][MASK], encoded.outputs[MASK])
        torch.testing.assert_close(again.summary, encoded.summary)
        assert torch.equal(again.mask.sum(1), lengths)
    for n, length in enumerate(lengths):
        alone = encoder(tokens[n : n + 1, :length], lengths[n : n + 1])
        torch.testing.assert_close(alone.outputs[0], encoded.outputs[n, :length])
        torch.testing.assert_close(alone.summary[0], encoded.summary[n])


@both_ways
def test_gradients_ignore_padding_too(bidirectional):
    encoder = build(num_layers=2, bidirectional=bidirectional)
    tokens, lengths = batch()

    def gradients(tokens):
        encoder.zero_grad()
        encoded = encoder(tokens, lengths)
        (encoded.outputs[encoded.mask].square().sum() + encoded.summary.sum()).backward()
        return {name: weight.grad for name, weight in encoder.named_parameters()}

    wider = torch.cat([tokens, tokens.new_zeros(N, 3)], 1)
    torch.testing.assert_close(gradients(wider), gradients(tokens))


def test_one_direction_sees_the_past_and_two_see_everything():
    tokens, lengths = batch()
    changed = tokens.clone()
    changed[1, 3] = 3  # row 1 has no padding
    for bidirectional in (False, True):
        encoder = build(bidirectional=bidirectional)
        before, after = (encoder(t, lengths).outputs[1] for t in (tokens, changed))
        differs = (before != after).any(1).tolist()
        assert differs == ([True] * S if bidirectional else [False] * 3 + [True] * 3)


def test_residual_and_norm_are_added_around_each_layer():
    encoder = build(num_layers=2, layer_norm=True, residual=True, bidirectional=False)
    tokens, lengths = batch()
    embedded = encoder.embedding(tokens)
    lower = encoder.norms[0](encoder.layers[0].forwards(embedded)[0])  # E is not D: nothing to add
    upper = lower + encoder.norms[1](encoder.layers[1].forwards(lower)[0])
    torch.testing.assert_close(encoder(tokens, lengths).outputs, upper)


@pytest.mark.parametrize(
    "name", ["embedding_dropout", "word_dropout", "dropout", "weight_dropout", "output_dropout"]
)
def test_each_dropout_works_in_training_and_rests_in_eval(name):
    encoder = build(num_layers=2, **{name: 0.5})
    tokens, lengths = batch()
    kept = encoder.eval()(tokens, lengths)
    dropped = encoder.train()(tokens, lengths)
    assert not torch.allclose(dropped.outputs[MASK], kept.outputs[MASK])
    torch.testing.assert_close(kept, build(num_layers=2)(tokens, lengths))
    if name == "output_dropout":  # the decoder starts from the whole summary
        torch.testing.assert_close(dropped.summary, kept.summary)


@all_cells
@both_ways
def test_every_parameter_gets_a_gradient(cell, bidirectional):
    encoder = build(cell=cell, num_layers=2, bidirectional=bidirectional, layer_norm=True)
    encoder(*batch()).outputs[MASK].square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert not parameter.requires_grad or parameter.grad.ne(0).any(), name


@all_cells
def test_follows_device(cell):
    with torch.device("meta"):
        encoder = Encoder(vocab_size=V, embedding_size=E, hidden_size=D, num_layers=2, cell=cell)
    encoded = encoder(*(part.to("meta") for part in batch()))
    assert all(part.is_meta for part in encoded[:3])
    assert encoded.outputs.shape == (N, S, D)


def test_odd_size_cannot_be_halved():
    with pytest.raises(ValueError, match="hidden_size 7"):
        build(hidden_size=7)
    assert build(hidden_size=7, bidirectional=False)(*batch()).outputs.size(2) == 7
