import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.modules.convolution import spellings

SMALL = {"vocab_size": 40, "embedding_size": 8, "hidden_size": 12, "num_layers": 2}
OPTIONS = [
    {},
    {"cell": "gru", "pooling": "max"},
    {"cell": "rnn_tanh", "pooling": "last", "layer_norm": True, "residual": True},
    {"directions": "forward", "pooling": "mean", "weight_dropout": 0.2},
    {"directions": "apart", "pooling": "attention", "num_hops": 2},
    {"convolution": 3, "characters": 6, "head_size": 5},
    {"directions": "apart", "convolution": 2, "multi_label": True},
]


def build(**options):
    return Classifier(**{**SMALL, **options})


def batch(lengths=(9, 4, 6)):
    tokens = torch.randint(4, 40, (len(lengths), max(lengths)))
    for row, length in zip(tokens, lengths):
        row[length:] = 0
    return tokens, torch.tensor(lengths)


@pytest.mark.parametrize("options", OPTIONS)
def test_predictions_do_not_depend_on_padding_or_batch(options):
    network = build(**options).eval()
    tokens, lengths = batch()
    together = network(tokens, lengths)
    assert together.shape == (3, 3)
    wider = torch.nn.functional.pad(tokens, (0, 11))
    torch.testing.assert_close(network(wider, lengths), together)
    for row, length in enumerate(lengths.tolist()):
        alone = network(tokens[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone, together[row : row + 1])
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(tokens[order], lengths[order]), together[order])


@pytest.mark.parametrize("options", OPTIONS)
def test_every_parameter_learns(options):
    network = build(**{**options, "head_dropout": 0.0})
    for reader in network.readers:
        if reader.characters is not None:
            reader.characters.spellings.copy_(spellings([f"w{i}" for i in range(40)]))
    network(*batch()).log_softmax(1)[:, 0].sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "options", [each for each in OPTIONS if each.get("directions", "both") != "both"]
)
def test_reading_in_parts_equals_reading_at_once(options):
    network = build(**options).eval()
    tokens, lengths = batch((10, 10))
    readings = None
    for part, backwards in zip(tokens.split(3, 1), tokens.flip(1).split(3, 1)):
        readings = network.read(part, backwards, torch.tensor([part.size(1)] * 2), readings)
    torch.testing.assert_close(network.score(readings), network(tokens, lengths))


def test_apart_reads_from_both_ends():
    network = build(directions="apart", pooling="last", num_layers=1).eval()
    tokens, lengths = batch((6,))
    network.reversed_reader.load_state_dict(network.reader.state_dict())
    forward, backward = (
        reader(each, lengths, None).gathered[0][0]
        for reader, each in zip(network.readers, (tokens, tokens))
    )
    torch.testing.assert_close(forward, backward)
    readings = network.read(tokens, tokens.flip(1), lengths)
    scores = network.score(readings)
    torch.testing.assert_close(network(tokens, lengths), scores)
    assert not torch.allclose(readings[0].gathered[0][0], readings[1].gathered[0][0])


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("embedding_dropout", ["embedding_dropout"]),
        ("word_dropout", ["word_dropout"]),
        ("dropout", ["dropout"]),
        (
            "weight_dropout",
            [
                f"layers.{n}.{way}.weight_dropout"
                for n in (0, 1)
                for way in ("forwards", "backwards")
            ],
        ),
        ("output_dropout", ["output_dropout"]),
        ("head_dropout", None),
    ],
)
def test_each_dropout_acts_where_it_says(name, places):
    usual = ["embedding_dropout", "word_dropout", "dropout", "head_dropout"]
    network = build(**{**dict.fromkeys(usual, 0.0), name: 0.5})
    acting = [place for place, module in network.named_modules() if getattr(module, "p", 0)]
    expected = ["head.0"] if places is None else [f"reader.encoder.{place}" for place in places]
    assert sorted(acting) == sorted(expected)


def test_residuals_are_of_the_encoder():
    assert build(residual=True).reader.encoder.residual
    assert not build().reader.encoder.residual


def test_its_arguments_build_it_again():
    network = build(labels=["a", "b"], pooling="attention").eval()
    again = Classifier(**network.arguments).eval()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(*batch((5, 3))).shape, torch.Size([2, 2]))
    tokens, lengths = batch()
    torch.testing.assert_close(again(tokens, lengths), network(tokens, lengths))


def test_log_probabilities_of_labels_that_exclude_each_other_sum_to_one():
    scores = torch.randn(4, 3)
    torch.testing.assert_close(build().log_probs(scores).exp().sum(1), torch.ones(4))
    several = build(multi_label=True).log_probs(scores).exp()
    torch.testing.assert_close(several, scores.sigmoid())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a"]}, "at least two labels"),
        ({"labels": ["a", "b", "a"]}, "each once"),
        ({"labels": ["a"], "multi_label": True}, "at least two labels"),
        ({"labels": ["a", "b|c"], "multi_label": True}, "none may hold"),
        ({"head_dropout": 1.0}, "head_dropout 1.0 is out of range"),
        ({"directions": "sideways"}, "sideways"),
        ({"hidden_size": 0}, "hidden_size 0"),
        ({"hidden_size": 7}, "halved"),
        ({"convolution": -1}, "convolution -1"),
        ({"characters": 7}, "divisible by 3"),
        ({"pooling": "sum"}, "pooling 'sum'"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        build(**options)
