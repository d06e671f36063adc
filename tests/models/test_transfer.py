import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.models.transfer import copy_language_model

SIZES = {"vocab_size": 30, "embedding_size": 8, "hidden_size": 12, "num_layers": 3}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("backward", [False, True])
def test_the_encoder_reads_as_the_language_model_does(cell, backward):
    source = LanguageModel(**SIZES, cell=cell, layer_norm=True).eval()
    for weight in source.parameters():  # also those that all networks start alike
        torch.nn.init.normal_(weight)
    classifier = Classifier(**SIZES, cell=cell, layer_norm=True, directions="apart").eval()
    copy_language_model(source, classifier, path="lm.ckpt", backward=backward)
    tokens = torch.randint(4, 30, (2, 7))
    encoder = classifier.readers[int(backward)].encoder
    outputs = encoder(tokens, torch.tensor([7, 7])).outputs
    decoder = source.decoder
    state = source.zero_state(2)
    lower, _ = decoder.lower(decoder.embed(tokens), tuple(part[:, :1] for part in state))
    upper, _ = decoder.upper(lower, tuple(part[:, 1:] for part in state))
    torch.testing.assert_close(outputs, upper)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 16}, "hidden_size is 12 there and 16 here"),
        ({"cell": "gru", "num_layers": 2}, "cell is lstm there and gru here, num_layers is 3"),
        ({"directions": "both"}, "needs network.directions 'forward' or 'apart'"),
        ({"characters": 3}, "leave out network.characters"),
        ({"residual": True}, "residual is False there and True here"),
        ({"layer_norm": True}, "layer_norm is False there and True here"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    source = LanguageModel(**SIZES)
    classifier = Classifier(**{**SIZES, "directions": "forward", **options})
    with pytest.raises(InputError, match=message):
        copy_language_model(source, classifier, path="lm.ckpt")


def test_a_first_layer_that_would_add_its_input_is_refused():
    sizes = {**SIZES, "embedding_size": 12, "hidden_size": 12, "residual": True}
    with pytest.raises(InputError, match="the first one adds its input here and does not there"):
        copy_language_model(
            LanguageModel(**sizes), Classifier(**sizes, directions="forward"), path="lm.ckpt"
        )


def test_one_stack_has_no_place_for_a_second_model():
    classifier = Classifier(**SIZES, directions="forward")
    with pytest.raises(InputError, match=r"needs network\.directions 'apart', not 'forward'"):
        copy_language_model(LanguageModel(**SIZES), classifier, path="lm.ckpt", backward=True)
