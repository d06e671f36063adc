import copy
import inspect
import io
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nlp_rnn.data.tokenizer import BOS, EOS, PAD
from nlp_rnn.errors import InputError
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.rnn import RNN

CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]
ATTENTIONS = ["none", "dot", "general", "additive", "multi_head"]
N, S, T, E, H, V = 4, 6, 5, 6, 8, 13
LENGTHS = torch.tensor([3, S, 1, 4])
MASK = torch.arange(S) < LENGTHS.unsqueeze(1)
NO_DROPOUT = dict.fromkeys(
    ["embedding_dropout", "word_dropout", "dropout", "encoder_dropout", "output_dropout"], 0.0
)
all_cells = pytest.mark.parametrize("cell", CELLS)
all_attentions = pytest.mark.parametrize("attention", ATTENTIONS)
LOOKS = [{"attention": attention} for attention in ATTENTIONS] + [
    {"attention": attention, "lexical": True} for attention in ("general", "additive")
]
all_looks = pytest.mark.parametrize(
    "look", LOOKS, ids=lambda look: "-".join(map(str, look.values()))
)
all_ties = pytest.mark.parametrize("tied", ["none", "two", "three"])
both_decoders = pytest.mark.parametrize("decoder", ["parallel", "input_feeding"])


def build(**arguments):
    torch.manual_seed(0)
    sizes = {"vocab_size": V, "embedding_size": E, "hidden_size": H}
    return Seq2Seq(**{**sizes, **NO_DROPOUT, **arguments})


def batch():
    source = torch.randint(4, V, (N, S)) * MASK
    target = torch.randint(4, V, (N, T))
    target[:, 0] = BOS
    return source, LENGTHS, target


@both_decoders
@all_looks
@all_cells
def test_teacher_forcing_equals_steps(decoder, look, cell):
    network = build(decoder=decoder, **look, cell=cell).double()
    source, lengths, target = batch()
    outputs, _ = network(source, lengths, target)
    state, memory = network.encode(source, lengths)
    assert len(memory) == (0 if look["attention"] == "none" else 3)
    state = tuple(part.unsqueeze(1) for part in state)
    for t in range(T):
        logits, state = network.step(target[:, t : t + 1], state, tuple(memory))
        torch.testing.assert_close(logits[:, 0], network.decoder.project(outputs)[:, t])


@both_decoders
@all_looks
@all_cells
def test_padding_and_other_rows_change_nothing(decoder, look, cell):
    network = build(decoder=decoder, **look, cell=cell, encoder_layers=2).double()
    source, lengths, target = batch()
    outputs, weights = network(source, lengths, target)
    wider = F.pad(source, (0, 3), value=PAD)
    longer = F.pad(target, (0, 2), value=PAD)
    again, again_weights = network(wider, lengths, longer)
    torch.testing.assert_close(again[:, :T], outputs)
    for n, length in enumerate(lengths):
        row = slice(n, n + 1)
        alone, alone_weights = network(source[row, :length], lengths[row], target[row])
        torch.testing.assert_close(alone[0], outputs[n])
        if weights is not None:
            torch.testing.assert_close(alone_weights[0], weights[n, :, :length])
    if weights is not None:
        assert (again_weights[:, :, S:] == 0).all()
        assert (weights[~MASK.unsqueeze(1).expand_as(weights)] == 0).all()
        torch.testing.assert_close(weights.sum(2), torch.ones_like(weights[:, :, 0]))


@both_decoders
@all_looks
@all_cells
@all_ties
def test_every_parameter_gets_a_gradient(decoder, look, cell, tied):
    network = build(decoder=decoder, **look, cell=cell, tied=tied)
    source, lengths, target = batch()
    outputs, _ = network(source, lengths, target)
    logits = network.decoder.project(outputs)
    F.cross_entropy(logits[:, :-1].flatten(0, 1), target[:, 1:].flatten()).backward()
    for name, parameter in network.named_parameters():
        assert not parameter.requires_grad or parameter.grad.ne(0).any(), name


@both_decoders
def test_the_lexical_path_by_its_equations(decoder):
    network = build(decoder=decoder, lexical=True).double()
    for part in network.decoder.bottleneck[0].parameters():
        nn.init.zeros_(part)  # nothing else meets the softmax
    source, lengths, target = batch()
    outputs, weights = network(source, lengths, target)
    words = torch.tanh(weights @ network.encoder.embedding(source))
    torch.testing.assert_close(outputs, torch.tanh(network.decoder.lexical(words)) + words)


@both_decoders
@pytest.mark.parametrize("attention", ["none", "dot", "multi_head"])
def test_words_are_taken_from_means_of_the_memory_alone(decoder, attention):
    with pytest.raises(InputError, match=f"'{attention}' does not give: choose 'general'"):
        build(decoder=decoder, attention=attention, lexical=True)


@both_decoders
@pytest.mark.parametrize("attention", ["none", "general"])
def test_one_batch_overfits(decoder, attention):
    network = build(decoder=decoder, attention=attention, embedding_size=16, hidden_size=32)
    source, lengths, target = batch()
    target[:, -1] = EOS
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-2)
    for _ in range(60):
        outputs, _ = network(source, lengths, target[:, :-1])
        logits = network.decoder.project(outputs)
        loss = F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05

    state, memory = network.encode(source, lengths)  # and it says by itself what it was taught
    state = tuple(part.unsqueeze(1) for part in state)
    tokens = [target[:, :1]]
    for _ in range(T - 1):
        logits, state = network.step(tokens[-1], state, memory)
        tokens.append(logits.argmax(2))
    assert torch.equal(torch.cat(tokens, 1), target)


@both_decoders
def test_score_is_the_log_probability_of_what_follows(decoder):
    network = build(decoder=decoder).double()
    source, lengths, target = batch()
    target[:2, 3:] = torch.tensor([EOS, PAD])
    scores, weights = network.score(source, lengths, target)
    outputs, expected_weights = network(source, lengths, target[:, :-1])
    losses = F.cross_entropy(
        network.decoder.project(outputs).transpose(1, 2),
        target[:, 1:],
        reduction="none",
        ignore_index=PAD,
    )
    torch.testing.assert_close(scores, -losses, check_dtype=False, rtol=1e-5, atol=1e-6)
    assert (scores[:2, -1] == 0).all()
    assert (scores[:, :2] < 0).all()
    torch.testing.assert_close(weights, expected_weights)


@both_decoders
def test_tying_shares_storage(decoder):
    def matrices(network):
        return [
            network.encoder.embedding.weight,
            network.decoder.embedding.weight,
            network.decoder.projection.weight,
        ]

    counts = []
    for tied, distinct in [("none", 3), ("two", 2), ("three", 1)]:
        network = build(decoder=decoder, tied=tied)
        for each in (network, copy.deepcopy(network), network.double()):
            assert len({matrix.data_ptr() for matrix in matrices(each)}) == distinct
            assert len({id(matrix) for matrix in matrices(each)}) == distinct
        counts.append(sum(parameter.numel() for parameter in network.parameters()))
    assert counts[0] - counts[1] == counts[1] - counts[2] == V * E


@all_ties
@both_decoders
def test_rebuilds_from_its_arguments(decoder, tied):
    network = build(decoder=decoder, tied=tied, cell="lstm", target_vocab_size=9 * (tied == "two"))
    arguments = network.arguments
    assert json.loads(json.dumps(arguments)) == arguments  # plain values
    assert list(arguments) == list(inspect.signature(Seq2Seq).parameters)
    saved = io.BytesIO()
    torch.save({"hyper_parameters": arguments, "state_dict": network.state_dict()}, saved)
    saved.seek(0)
    loaded = torch.load(saved, weights_only=True)
    torch.manual_seed(1)
    again = Seq2Seq(**loaded["hyper_parameters"])
    assert again.state_dict().keys() == network.state_dict().keys()
    again.load_state_dict(loaded["state_dict"])
    source, lengths, target = batch()
    target = target.clamp(max=8)
    torch.testing.assert_close(again(source, lengths, target), network(source, lengths, target))


def test_the_target_may_have_a_vocabulary_of_its_own():
    network = build(tied="two", target_vocab_size=7)
    source, lengths, target = batch()
    outputs, _ = network(source, lengths, target.clamp(max=6))
    assert network.decoder.project(outputs).size(2) == 7
    assert network.encoder.embedding.num_embeddings == V


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("embedding_dropout", ["encoder.embedding_dropout", "decoder.embedding_dropout"]),
        ("word_dropout", ["encoder.word_dropout", "decoder.word_dropout"]),
        ("dropout", ["encoder.dropout", "decoder.dropout", "decoder.upper.dropout"]),
        ("encoder_dropout", ["encoder.output_dropout"]),
        ("output_dropout", ["decoder.output_dropout"]),
    ],
)
def test_each_dropout_acts_where_it_says(name, places):
    network = build(**{name: 0.5})
    acting = [place for place, module in network.named_modules() if getattr(module, "p", 0)]
    assert sorted(acting) == sorted(places)


def test_every_part_is_built_as_asked():
    network = build(cell="lstm", encoder_layers=2, decoder_layers=3, layer_norm=True, residual=True)
    rnns = [module for module in network.modules() if isinstance(module, RNN)]
    assert {rnn.cell for rnn in rnns} == {"lstm"}
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    assert len(network.encoder.layers) == 2
    assert len(norms) == 2 + 3
    assert network.encoder.residual
    assert network.decoder.upper.residual
    assert network.decoder.upper.num_layers == 2
    assert not build(bidirectional=False).encoder.bidirectional


def test_dropout_rests_in_eval():
    source, lengths, target = batch()
    plain, dropping = build(), build(**dict.fromkeys(NO_DROPOUT, 0.5))
    expected, _ = plain(source, lengths, target)
    torch.testing.assert_close(dropping.eval()(source, lengths, target)[0], expected)
    assert not torch.allclose(dropping.train()(source, lengths, target)[0], expected)


@both_decoders
@all_attentions
def test_follows_device(decoder, attention):
    network = build(decoder=decoder, attention=attention, cell="lstm").to("meta")
    outputs, weights = network(*(part.to("meta") for part in batch()))
    assert outputs.is_meta
    assert outputs.shape == (N, T, E)
    assert weights is None or weights.shape == (N, T, S)


def test_can_be_built_on_a_device():
    with torch.device("meta"):
        network = build()
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tied": "three", "target_vocab_size": 9}, "joint vocabulary"),
        ({"tied": "four"}, "'four'"),
        ({"decoder": "loop"}, "'loop'"),
        ({"attention": "bahdanau"}, "'bahdanau' is none of none, dot, general"),
        ({"cell": "LSTM"}, "'LSTM' is none of rnn_tanh, rnn_relu, gru, lstm"),
        ({"hidden_size": 9}, "hidden_size 9"),
        ({"hidden_size": 0}, "hidden_size 0 is out of range"),
        ({"embedding_size": 0}, "embedding_size 0 is out of range"),
        ({"vocab_size": 0}, "vocab_size 0 is out of range"),
        ({"target_vocab_size": -1}, "target_vocab_size -1 is out of range"),
        ({"decoder_layers": 0}, "decoder_layers 0 is out of range"),
        ({"dropout": 1.5}, "dropout 1.5 is out of range"),
        ({"attention": "multi_head", "hidden_size": 6}, "4 attention heads do not divide 6"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
