"""A classifier that starts from language models (Howard & Ruder 2018)."""

from typing import Any

import torch

from nlp_rnn.errors import InputError
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.models.language_model import LanguageModel

__all__ = ["SHARED_ARGUMENTS", "check_language_model", "copy_language_model"]

SHARED_ARGUMENTS = (
    "vocab_size",
    "cell",
    "embedding_size",
    "hidden_size",
    "num_layers",
    "layer_norm",
    "residual",
)
"""Arguments that both networks have, and that have to agree."""


def check_language_model(
    theirs: dict[str, Any], ours: dict[str, Any], *, path: str, backward: bool = False
) -> None:
    """See whether a classifier can start from a language model, before there are any of both.

    Args:
        theirs: arguments of the language model.
        ours: arguments of the classifier.
        path: of the language model, for errors.
        backward: whether it is for the stack that reads from the end.

    Raises:
        InputError: arguments that differ, or a classifier without such a stack.
    """
    differing = [name for name in SHARED_ARGUMENTS if theirs[name] != ours[name]]
    if differing:
        raise InputError(
            f"{path} does not fit: "
            + ", ".join(f"{n} is {theirs[n]} there and {ours[n]} here" for n in differing)
            + (
                "; train both language models with the same ones"
                if backward
                else "; leave these arguments of the network out, and they are taken from there"
            )
        )
    if ours["residual"] and ours["embedding_size"] == ours["hidden_size"]:
        raise InputError(
            f"{path} cannot start a classifier: with residual layers as wide as the embedding, the "
            "first one adds its input here and does not there"
        )
    if ours["characters"] or ours["convolution"]:
        raise InputError(
            f"{path} does not fit: its layers read embeddings alone, so leave out "
            "network.characters and network.convolution"
        )
    fitting = ("apart",) if backward else ("forward", "apart")
    if ours["directions"] not in fitting:
        raise InputError(
            f"{path} reads in one direction: it needs network.directions "
            f"{' or '.join(map(repr, fitting))}, not {ours['directions']!r}"
        )


@torch.no_grad()
def copy_language_model(
    source: LanguageModel, classifier: Classifier, *, path: str, backward: bool = False
) -> None:
    """Copy embedding and recurrent layers of a language model into a classifier's reader.

    Args:
        source: reads in one direction.
        classifier: reads forward, or in two stacks apart.
        path: of the source, for errors.
        backward: into the stack that reads from the end.

    Raises:
        InputError: see `check_language_model`.
    """
    check_language_model(source.arguments, classifier.arguments, path=path, backward=backward)
    reader = classifier.reversed_reader if backward else classifier.reader
    assert reader is not None  # as was checked
    decoder, encoder = source.decoder, reader.encoder
    encoder.embedding.load_state_dict(decoder.embedding.state_dict())
    stacks = [decoder.lower, *([decoder.upper] if decoder.upper is not None else [])]
    layers = [layer for stack in stacks for layer in stack.layers]
    norms = [norm for stack in stacks for norm in stack.norms]
    for layer, norm, ours_layer, ours_norm in zip(layers, norms, encoder.layers, encoder.norms):
        ours_layer.forwards.layers[0].load_state_dict(layer.state_dict())  # type: ignore[union-attr, index]
        ours_norm.load_state_dict(norm.state_dict())
