"""Translation of text by trained checkpoints.

N batch, K hypotheses, S source length, T target length.
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

import torch
from torch import Tensor

from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import BOS, EOS, Tokenizer
from nlp_rnn.decoding import Hypothesis
from nlp_rnn.errors import InputError, TruncationWarning, check_list, require
from nlp_rnn.inference.networks import (
    Precision,
    build_network,
    check_device,
    check_precision,
    running,
    unreadable,
)
from nlp_rnn.inference.translation_search import BeamSearch, Sampling
from nlp_rnn.models.ensemble import Ensemble
from nlp_rnn.models.seq2seq import Seq2Seq

__all__ = ["Alignment", "Translation", "Translator"]

MAX_SOURCE_TOKENS = 512
"""Longer inputs are cut here with a warning: time and memory of a line stay bounded."""


class Translation(NamedTuple):
    """One translation of one text.

    Attributes:
        text: detokenised.
        score: what a beam search ranked it by, a length-normalised natural log-probability; of
            a sample, its ``log_prob``.
        log_prob: natural log-probability, the sum over its tokens.
        tokens: the ids of its pieces as they were found, from which ``text`` is made.
    """

    text: str
    score: float
    log_prob: float
    tokens: tuple[int, ...]


class Alignment(NamedTuple):
    """Where the decoder looked while it wrote each target piece.

    Attributes:
        source: S source pieces, the end mark last.
        target: T target pieces, the end mark last.
        weights: attention (T, S), rows sum to one.
    """

    source: list[str]
    target: list[str]
    weights: Tensor


class Translator:
    """Translates text with one network or an ensemble.

    Args:
        networks: they must share their vocabularies.
        source_tokenizer: text to ids.
        target_tokenizer: ids to text; the same object for a joint vocabulary.
        precision: ``fp32``, or ``bf16`` for matrix products in bfloat16 (worth it where the
            machine has them in hardware).
    """

    def __init__(
        self,
        networks: Sequence[Seq2Seq],
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        *,
        precision: Precision = "fp32",
    ) -> None:
        # One network's scores are left as they are: averaging costs a quarter of a beam search.
        self.model = networks[0] if len(networks) == 1 else Ensemble(networks)
        check_precision(precision, self.model)
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.precision = precision

    @classmethod
    def from_checkpoint(
        cls,
        *paths: str | Path,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "Translator":
        """Open one checkpoint, or several as an ensemble.

        Args:
            paths: files written by ``python -m nlp_rnn.tasks.translate fit``.
            device: where to run.
            precision: see the class.

        Raises:
            InputError: a file, device or precision that cannot be used, vocabularies that differ,
                or one translates the other way round.
        """
        if not paths:
            raise InputError("no checkpoint given: name at least one .ckpt file")
        check_device(device)
        networks, vocabularies, directions = [], [], []
        for path in paths:
            checkpoint = open_checkpoint(path, task="translate")
            with unreadable(path, "translator"):
                network = build_network(Seq2Seq, checkpoint, device)
                data = checkpoint["TranslationData"]
                vocabularies.append((data["source_tokenizer"], data["target_tokenizer"]))
                directions.append((data["source"], data["target"]))
            networks.append(network)
            if vocabularies[-1] != vocabularies[0]:
                raise InputError(
                    f"{path} has another vocabulary than {paths[0]}: members of an ensemble are "
                    "trained with the same tokenizer"
                )
            if directions[-1] == directions[0][::-1] != directions[0]:
                raise InputError(
                    f"{path} translates {' to '.join(directions[-1])} but {paths[0]} "
                    f"{' to '.join(directions[0])}: members of an ensemble have one direction"
                )
        source_model, target_model = vocabularies[0]
        source = Tokenizer.from_bytes(source_model)
        joint = source_model == target_model
        target = source if joint else Tokenizer.from_bytes(target_model)
        return cls(networks, source, target, precision=precision)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def attends(self) -> bool:
        """Whether there is an attention to `align` by."""
        return self.model.attends

    @overload
    def __call__(self, text: str, search: BeamSearch | Sampling = ...) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, text: Sequence[str], search: BeamSearch | Sampling = ...) -> list[str]: ...

    def __call__(
        self, text: str | Sequence[str], search: BeamSearch | Sampling = BeamSearch()
    ) -> str | list[str]:
        """The best translation of a string, or of each string of a list; the first if sampled."""
        if isinstance(text, str):
            return self.translate([text], search)[0][0].text
        return [found[0].text for found in self.translate(text, search)]

    def translate(
        self,
        texts: Sequence[str],
        search: BeamSearch | Sampling = BeamSearch(),
        *,
        batch_size: int = 64,
    ) -> list[list[Translation]]:
        """Translations with scores, in the order of ``texts``.

        Of each text the best first; samples in the order they were drawn.
        Texts are batched by length. An empty or blank text gives one empty translation; one of
        more than `MAX_SOURCE_TOKENS` tokens is cut there, with a warning.

        Raises:
            InputError: a batch size below 1, or a text instead of a list of them.
        """
        check_list("texts", texts)
        texts = list(texts)  # read more than once
        require(batch_size >= 1, f"batch_size={batch_size}", "1 or more")
        results: list[list[Translation]] = [[Translation("", 0.0, 0.0, ())] for _ in texts]
        ids = self._source_ids(texts)
        filled = [index for index, each in enumerate(ids) if len(each) > 1 and texts[index].strip()]
        filled.sort(key=lambda index: len(ids[index]), reverse=True)
        for start in range(0, len(filled), batch_size):
            rows = filled[start : start + batch_size]
            found = self._search([ids[row] for row in rows], search, start)
            for row, hypotheses in zip(rows, found):
                results[row] = [
                    Translation(
                        self.target_tokenizer.decode(each.tokens),
                        each.score,
                        each.log_prob,
                        tuple(each.tokens),
                    )
                    for each in hypotheses
                ]
        return results

    def score(
        self, sources: Sequence[str], targets: Sequence[str], *, batch_size: int = 64
    ) -> list[float]:
        """Natural log-probability of each given translation, its end mark included.

        Raises:
            InputError: the lists differ in length, one is a text, or a batch size below 1.
        """
        _check_pairs(sources, targets, batch_size)
        source_ids, target_ids = self._source_ids(sources), self._target_ids(targets)
        scores = [0.0] * len(sources)
        for rows, log_probs, _ in self._forced(source_ids, target_ids, batch_size):
            for row, value in zip(rows, log_probs.sum(1).tolist()):
                scores[row] = value
        return scores

    def align(self, source: str, target: str | Translation | None = None) -> Alignment:
        """The attention matrix of a translation; of the best one found if none is given.

        Raises:
            InputError: the model has no attention, or the source is empty.
        """
        if not source.strip():
            raise InputError("nothing to align: the source text is empty")
        if target is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TruncationWarning)  # comes below
                target = self.translate([source])[0][0]
        return self.alignments([source], [target])[0]

    def alignments(
        self,
        sources: Sequence[str],
        targets: Sequence[str | Translation],
        *,
        batch_size: int = 64,
    ) -> list[Alignment]:
        """The attention matrices of given translations, in their order.

        Those that were found are read in their own pieces; a text is cut into pieces anew, which
        may be others than those that a search has made it of.

        Raises:
            InputError: the model has no attention, the lists differ in length, one is a text, or a
                batch size below 1.
        """
        _check_pairs(sources, targets, batch_size)
        source_ids, target_ids = self._source_ids(sources), self._target_ids(targets)
        found: dict[int, Alignment] = {}
        for rows, _, weights in self._forced(source_ids, target_ids, batch_size):
            if weights is None:
                raise InputError("this model was trained with attention 'none': nothing to align")
            for row, matrix in zip(rows, weights.float().cpu()):
                source, target = source_ids[row], target_ids[row]
                found[row] = Alignment(
                    source=[*self.source_tokenizer.pieces(source[:-1]), "</s>"],
                    target=[*self.target_tokenizer.pieces(target[1:-1]), "</s>"],
                    weights=matrix[: len(target) - 1, : len(source)],
                )
        return [found[row] for row in range(len(sources))]

    def _source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids = self.source_tokenizer.encode_batch(list(texts))
        for index, each in enumerate(ids):
            if len(each) > MAX_SOURCE_TOKENS:
                warnings.warn(TruncationWarning(index, len(each), MAX_SOURCE_TOKENS), stacklevel=3)
        return [[*each[:MAX_SOURCE_TOKENS], EOS] for each in ids]

    def _target_ids(self, targets: Sequence[str | Translation]) -> list[list[int]]:
        texts = ["" if isinstance(each, Translation) else each for each in targets]
        spelled = self.target_tokenizer.encode_batch(texts)
        return [
            [BOS, *(each.tokens if isinstance(each, Translation) else ids), EOS]
            for each, ids in zip(targets, spelled)
        ]

    def _search(
        self, ids: list[list[int]], search: BeamSearch | Sampling, first: int
    ) -> list[list[Hypothesis]]:
        with running(self.model, self.precision):
            source, lengths = (each.to(self.device) for each in pad(ids))
            state, memory = self.model.encode(source, lengths)
            # One hypothesis per sentence to begin with: (N, ...) -> (N, 1, ...).
            state = tuple(part.unsqueeze(1) for part in state)
            return search.search(self.model, state, memory, lengths, first)

    def _forced(
        self, source_ids: list[list[int]], target_ids: list[list[int]], batch_size: int
    ) -> Iterator[tuple[list[int], Tensor, Tensor | None]]:
        """Given translations in batches of like length: rows, log-probabilities, attention."""
        order = sorted(range(len(target_ids)), key=lambda row: len(target_ids[row]))
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            with running(self.model, self.precision):
                sources, lengths = pad([source_ids[row] for row in rows])
                targets, _ = pad([target_ids[row] for row in rows])
                found = self.model.score(*(x.to(self.device) for x in (sources, lengths, targets)))
            yield rows, *found


def _check_pairs(
    sources: Sequence[str], targets: Sequence[str | Translation], batch_size: int
) -> None:
    check_list("sources", sources)
    check_list("targets", targets)  # type: ignore[arg-type]
    require(batch_size >= 1, f"batch_size={batch_size}", "1 or more")
    if len(sources) != len(targets):
        raise InputError(
            f"{len(sources)} sources but {len(targets)} targets: give one target per source"
        )
