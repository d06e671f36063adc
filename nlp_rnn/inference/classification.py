"""Labels of texts, with probabilities.

N texts, C classes.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch
from torch import Tensor

from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.data.batching import MULTIPLE, pad
from nlp_rnn.data.tokenizer import EOS
from nlp_rnn.data.words import Vocabulary, open_vocabulary
from nlp_rnn.errors import TruncationWarning, check_list, require
from nlp_rnn.inference.networks import (
    Precision,
    build_network,
    check_device,
    check_precision,
    running,
    unreadable,
)
from nlp_rnn.models.classifier import Classifier, Reading

__all__ = ["Classification", "TextClassifier", "label_line"]

WINDOW = 4096
"""Tokens that recurrent layers of one direction read at a time: memory stays bounded."""

BATCH = 32_768
"""Most tokens of texts that are read together, padding included."""

LIMIT = 20_000
"""Tokens that layers of both directions can read; the rest of a text is left out."""


@dataclass(frozen=True)
class Classification:
    """What a text is.

    Attributes:
        label: the likeliest one; with several labels those above one half, ``|`` between them.
        probability: of it; with several labels that of the least sure one, 0 if there is none.
        probabilities: of every label.
    """

    label: str
    probability: float
    probabilities: dict[str, float]


def label_line(label: str, probabilities: dict[str, float], *, text: str | None = None) -> str:
    """A classification as a line: tabs in between, or with the text a JSON object."""
    if text is not None:
        record = {"text": text, "label": label, "probabilities": probabilities}
        return json.dumps(record, ensure_ascii=False)
    return "\t".join([label, *(f"{name}:{prob:.4f}" for name, prob in probabilities.items())])


class TextClassifier:
    """A trained classifier on strings.

    Recurrent layers of one direction (``forward`` and ``apart``) read texts of any length in
    windows, with the state carried; those of both directions up to 20,000 tokens.

    Args:
        network: the classifier.
        vocabulary: of its texts.
        temperature: what logits are divided by (Guo et al. 2017).
        precision: of matrix products.
    """

    def __init__(
        self,
        network: Classifier,
        vocabulary: Vocabulary,
        *,
        temperature: float = 1.0,
        precision: Precision = "fp32",
    ) -> None:
        check_precision(precision, network)
        self.network = network
        self.vocabulary = vocabulary
        self.temperature = temperature
        self.precision: Precision = precision

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "TextClassifier":
        """Open a checkpoint written by ``fit``; needs nothing else.

        Raises:
            InputError: no checkpoint of a classifier, or a device or precision that cannot be.
        """
        check_device(device)
        checkpoint = open_checkpoint(path, task="classify")
        with unreadable(path, "classifier"):
            network = build_network(Classifier, checkpoint, device)
            vocabulary = open_vocabulary(checkpoint["ClassificationData"]["vocabulary"])
            temperature = checkpoint["temperature"]
        return cls(network, vocabulary, temperature=temperature, precision=precision)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @property
    def labels(self) -> list[str]:
        """The labels, in the order of the network's scores."""
        return self.network.labels

    @overload
    def __call__(self, texts: str, *, batch_size: int = ...) -> Classification: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Sequence[str], *, batch_size: int = ...) -> list[Classification]: ...

    def __call__(
        self, texts: str | Sequence[str], *, batch_size: int = 64
    ) -> Classification | list[Classification]:
        """Classify a text, or many in their order.

        Args:
            texts: one or more; an empty one is classified like any other.
            batch_size: most texts that are read together, fewer if they are long; no matter for
                the result.

        Raises:
            InputError: a batch size below 1.
        """
        if isinstance(texts, str):
            return self([texts], batch_size=batch_size)[0]
        scores = self.logits(texts, batch_size=batch_size) / self.temperature
        probs = self.network.log_probs(scores).exp()
        return [self._classification(each) for each in probs.tolist()]

    def logits(self, texts: Sequence[str], *, batch_size: int = 64) -> Tensor:
        """The network's scores, before the temperature: (N, C) in float32 on the CPU.

        Raises:
            InputError: a batch size below 1, or a text instead of a list of them.
        """
        check_list("texts", texts)
        require(batch_size >= 1, f"batch_size={batch_size}", "1 or more")
        ids = [[*tokens, EOS] for tokens in self.vocabulary.encode_batch(texts)]
        longest = LIMIT if self.network.arguments["directions"] == "both" else WINDOW
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]), reverse=True)
        long = [row for row in order if len(ids[row]) > longest]
        rest = order[len(long) :]
        found = torch.zeros(len(ids), len(self.labels))
        with running(self.network, self.precision):
            for row in long:
                found[row] = self._read_long(ids[row], row).float().cpu()
            done = 0
            while done < len(rest):
                width = -(-len(ids[rest[done]]) // MULTIPLE) * MULTIPLE  # of the longest, padded
                most = min(batch_size, max(1, BATCH // width))
                rows = rest[done : done + most]
                done += most
                tokens, lengths = pad([ids[row] for row in rows])
                found[rows] = self.network(*self._on_device(tokens, lengths)).float().cpu()
        return found

    def _read_long(self, ids: list[int], row: int) -> Tensor:
        """The scores (C,) of a text that is too long to be read at once."""
        if self.network.arguments["directions"] == "both":
            warnings.warn(TruncationWarning(row, len(ids), LIMIT), stacklevel=4)
            tokens, lengths = pad([[*ids[: LIMIT - 1], EOS]])
            scores: Tensor = self.network(*self._on_device(tokens, lengths))
            return scores[0]
        readings: list[Reading] | None = None
        whole = torch.tensor([ids])
        for part, backwards in zip(whole.split(WINDOW, 1), whole.flip(1).split(WINDOW, 1)):
            here, there = self._on_device(part, backwards)
            (length,) = self._on_device(torch.tensor([part.size(1)]))
            readings = self.network.read(here, there, length, readings)
        assert readings is not None
        return self.network.score(readings)[0]

    def _on_device(self, *tensors: Tensor) -> list[Tensor]:
        return [each.to(self.device) for each in tensors]

    def _classification(self, probs: list[float]) -> Classification:
        probabilities = dict(zip(self.labels, probs))
        if self.network.multi_label:
            chosen = [label for label, prob in probabilities.items() if prob > 0.5]
            least = min((probabilities[label] for label in chosen), default=0.0)
            return Classification("|".join(chosen), least, probabilities)
        best = max(probabilities, key=lambda label: probabilities[label])
        return Classification(best, probabilities[best], probabilities)
