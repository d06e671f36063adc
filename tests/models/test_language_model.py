import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.models.language_model import LanguageModel

SIZES = {"vocab_size": 30, "embedding_size": 16, "hidden_size": 16}
CELLS = ["rnn_tanh", "rnn_relu", "gru", "lstm"]
KINDS = [{"cell": cell} for cell in CELLS] + [
    {"hidden_size": 20},
    {"tied": False, "adaptive_cutoffs": [8, 16]},
    {"layer_norm": True, "residual": True, "num_layers": 3},
    {"pointer_span": 4},
    {"pointer_span": 4, "tied": False, "adaptive_cutoffs": [8]},
    {"pointer_span": 20, "cell": "gru", "hidden_size": 20},
]


def log_probs(model, reading):
    """Of every word at every step."""
    logits = model.decoder.project(reading.dropped)
    mixed = reading.pointing.mix_all(logits) if reading.pointing else logits
    return mixed.log_softmax(2)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_text_is_read_the_same_whole_in_windows_and_in_steps(kind):
    model = LanguageModel(**{**SIZES, **kind}).eval()
    tokens = torch.randint(4, 30, (3, 11))
    reading, final = model(tokens, model.zero_state(3))
    whole = log_probs(model, reading)
    state, parts = model.zero_state(3), []
    for window in tokens.split(4, 1):
        reading, state = model(window, state)
        parts.append(log_probs(model, reading))
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(state, final)
    state = tuple(part.unsqueeze(1) for part in model.zero_state(3))
    for t in range(11):
        stepped, state = model.step(tokens[:, t : t + 1], state)
        torch.testing.assert_close(stepped[:, 0].log_softmax(1), whole[:, t])
    torch.testing.assert_close(tuple(part[:, 0] for part in state), final)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_followed_costs_its_log_probability(kind):
    model = LanguageModel(**{**SIZES, **kind}).eval()
    tokens = torch.randint(4, 8, (3, 11))  # often the same
    following = tokens.roll(-1, 1)
    following[0, 7:] = 0
    reading, _ = model(tokens, model.zero_state(3))
    expected = -log_probs(model, reading).gather(2, following[..., None])[..., 0]
    torch.testing.assert_close(
        model.nats(reading, following), expected.masked_fill(following == 0, 0.0)
    )


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_parameter_gets_a_gradient(kind):
    model = LanguageModel(**{**SIZES, "weight_dropout": 0.2, "type_dropout": 0.1, **kind})
    tokens = torch.arange(30).view(2, 15)
    following = tokens.clone()
    following[1] = 29  # which the first 14 steps have not read
    reading, _ = model(tokens, model.zero_state(2))
    model.nats(reading, following).sum().backward()
    for name, parameter in model.named_parameters():
        assert not parameter.requires_grad or parameter.grad.isfinite().all(), name


def test_every_layer_drops_recurrent_weights():
    for number in range(3):
        model = LanguageModel(
            **SIZES,
            num_layers=3,
            weight_dropout=0.5,
            embedding_dropout=0,
            dropout=0,
            output_dropout=0,
        )
        layers = [*model.decoder.lower.layers, *model.decoder.upper.layers]
        assert len(layers) == 3
        for other, layer in enumerate(layers):
            if other != number:
                torch.nn.init.zeros_(layer.weight_hh_l0)  # nothing to drop
        tokens = torch.arange(20).view(1, 20)
        outputs = [model(tokens, model.zero_state(1))[0].dropped for _ in range(2)]
        assert not torch.allclose(*outputs)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("embedding_dropout", ["decoder.embedding_dropout"]),
        ("type_dropout", ["decoder.type_dropout"]),
        ("dropout", ["decoder.dropout", "decoder.upper.dropout"]),
        ("weight_dropout", ["decoder.lower.weight_dropout", "decoder.upper.weight_dropout"]),
        ("output_dropout", ["decoder.output_dropout"]),
    ],
)
def test_each_dropout_acts_where_it_says(name, places):
    none = dict.fromkeys(["embedding_dropout", "dropout", "output_dropout"], 0.0)
    model = LanguageModel(**SIZES, num_layers=2, **{**none, name: 0.5})
    acting = [place for place, module in model.named_modules() if getattr(module, "p", 0)]
    assert sorted(acting) == sorted(places)


def test_residuals_are_of_the_upper_layers():
    assert LanguageModel(**SIZES, num_layers=2, residual=True).decoder.upper.residual
    assert not LanguageModel(**SIZES, num_layers=2).decoder.upper.residual


def test_arguments_rebuild_it():
    model = LanguageModel(**SIZES, tied=False, adaptive_cutoffs=(8, 16))
    again = LanguageModel(**model.arguments)
    again.load_state_dict(model.state_dict())
    assert model.arguments["adaptive_cutoffs"] == [8, 16]


def test_tied_matrices_are_one():
    decoder = LanguageModel(**SIZES).decoder
    assert decoder.projection.weight is decoder.embedding.weight


def test_what_excludes_each_other_is_refused():
    with pytest.raises(InputError, match="adaptive softmax has no matrix"):
        LanguageModel(**SIZES, adaptive_cutoffs=[8])
    with pytest.raises(InputError, match="num_layers 0 is out of range"):
        LanguageModel(**SIZES, num_layers=0)
    with pytest.raises(InputError, match="pointer_span -1 is out of range"):
        LanguageModel(**SIZES, pointer_span=-1)
