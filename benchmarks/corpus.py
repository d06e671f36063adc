"""A data set as the benchmarks want it: ids in memory, batches of real lengths.

N batch, S source length, T target length.
"""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import datasets
import torch.nn.functional as F
from torch import Tensor

from nlp_rnn.data.batching import MULTIPLE, TokenBatches, pad, real_positions
from nlp_rnn.data.sources import load_splits
from nlp_rnn.data.tokenizer import BOS, EOS, Tokenizer
from nlp_rnn.errors import InputError

__all__ = ["Batch", "Corpus", "load_corpus", "load_test", "training_batches"]

Pair = tuple[list[int], list[int]]

PHRASEBOOK_VOCABULARY = 1000
"""It has no thousands of subwords. The network keeps its size, and size is what costs time."""


class Corpus(NamedTuple):
    """A parallel corpus.

    Attributes:
        tokenizer: of both languages.
        train: source and target ids of every pair, both with the end token.
    """

    tokenizer: Tokenizer
    train: list[Pair]


class Batch(NamedTuple):
    """Some training pairs.

    Attributes:
        source: (N, S).
        lengths: real source tokens (N,).
        target: begin token, ids, end token, (N, T + 1).
    """

    source: Tensor
    lengths: Tensor
    target: Tensor

    @property
    def real(self) -> Tensor:
        """What meets the softmax: see `real_positions`, (M,)."""
        return real_positions(self.target[:, 1:])

    @property
    def target_lengths(self) -> Tensor:
        """Real tokens to predict, (N,)."""
        return (self.target[:, 1:] != 0).sum(1)


def load_corpus(dataset: str, *, vocab_size: int) -> Corpus:
    """Read the columns en and de of train and learn a joint tokenizer from them."""
    sources, targets = _columns(dataset, "train")
    if dataset == "phrasebook":
        vocab_size = min(vocab_size, PHRASEBOOK_VOCABULARY)
    tokenizer = Tokenizer.train([*sources, *targets], vocab_size=vocab_size)
    sides = (tokenizer.encode_batch(texts) for texts in (sources, targets))
    train = [([*source, EOS], [*target, EOS]) for source, target in zip(*sides)]
    return Corpus(tokenizer, train)


def load_test(dataset: str) -> list[str]:
    """Raw source text of test."""
    return _columns(dataset, "test")[0]


def _columns(dataset: str, split: str) -> tuple[list[str], list[str]]:
    datasets.disable_progress_bars()
    splits = load_splits(dataset, columns={"source": "en", "target": "de"}, splits=[split])
    if split not in splits:
        raise InputError(f"{dataset} has no {split} split: give a folder that has one")
    return splits[split]["source"][:], splits[split]["target"][:]


def training_batches(
    pairs: list[Pair],
    *,
    tokens_per_batch: int,
    max_sentences: int | None = None,
    multiple: int = MULTIPLE,
) -> Iterator[Batch]:
    """Shuffled batches of like lengths, epoch after epoch without end."""
    batches = TokenBatches(
        [(len(source), len(target)) for source, target in pairs],
        tokens_per_batch=tokens_per_batch,
        max_sentences=max_sentences,
        shuffle=True,
        multiple=multiple,
    )
    for epoch in count():
        batches.set_epoch(epoch)
        for rows in batches:
            yield collate([pairs[row] for row in rows], multiple=multiple)


def collate(pairs: list[Pair], *, multiple: int = MULTIPLE) -> Batch:
    """Pad some pairs."""
    source, lengths = pad([source for source, _ in pairs], multiple=multiple)
    following, _ = pad([target for _, target in pairs], multiple=multiple)
    return Batch(source, lengths, F.pad(following, (1, 0), value=BOS))
