"""Ids to padded tensors: batches of like lengths with a budget of tokens, and an exact resume.

N batch, S length.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import InputError, require

__all__ = [
    "EpochBatches",
    "ResumableLoader",
    "TokenBatches",
    "fingerprint",
    "pad",
    "real_positions",
]

MULTIPLE = 4
"""Padded lengths are multiples of this: few shapes, so oneDNN's cache of kernels stays small."""


def pad(sequences: Sequence[Sequence[int]], *, multiple: int = MULTIPLE) -> tuple[Tensor, Tensor]:
    """One tensor of all the sequences, filled up with `PAD` at their ends.

    Args:
        sequences: N lists of ids; empty ones are allowed.
        multiple: The padded length S is the longest length, at least 1, rounded up to this.

    Returns:
        Ids (N, S) and real lengths (N,), both int64.
    """
    lengths = [len(sequence) for sequence in sequences]
    width = -(-max([1, *lengths]) // multiple) * multiple
    tokens = torch.full((len(lengths), width), PAD)
    for row, sequence in zip(tokens, sequences):
        row[: len(sequence)] = torch.as_tensor(sequence, dtype=torch.long)
    return tokens, torch.tensor(lengths)


def real_positions(tokens: Tensor, *, multiple: int = 64) -> Tensor:
    """Where a padded batch has tokens, in few different numbers.

    What is computed for these positions alone, such as the softmax, then meets few shapes. With a
    number of its own in nearly every batch, oneDNN prepares and keeps its kernels for each: after
    an epoch of Multi30k the process held 2.5 GB instead of 1.7, and went on growing.

    Args:
        tokens: ids (N, T).
        multiple: the number is rounded up to this where there is padding to take.

    Returns:
        Positions in the flattened tokens (M,): all real ones, then some that are padding.
    """
    real = (tokens.flatten() != PAD).byte()
    count = -(-int(real.sum()) // multiple) * multiple
    return real.argsort(descending=True, stable=True)[:count]


def fingerprint(*settings: object) -> str:
    """A short name of plain values, the same in every process."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:24]


class EpochBatches(Sampler[list[Any]]):
    """Batches in an order that belongs to an epoch, and that can be entered in its middle.

    Args:
        seed: Of what is drawn for an epoch.

    Attributes:
        epoch: Set by `set_epoch`, which Lightning calls.
        start: The next iteration, and only that, leaves out this many batches.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.epoch = self.start = 0
        # Lightning calls set_epoch on the sampler of a batch sampler.
        self.sampler: EpochBatches | None = self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next iteration."""
        self.epoch = epoch

    @property
    @abstractmethod
    def cut(self) -> str:
        """A fingerprint of how epochs are cut into batches."""

    def sampling_seed(self, row: int) -> int:
        """A seed to spell the texts of a batch with, another one in every epoch.

        Args:
            row: The first of the batch.
        """
        return hash((self.seed, self.epoch, row))  # of integers: the same in every process


class TokenBatches(EpochBatches):
    """Batches of row numbers whose lengths are alike, up to a budget of padded target tokens.

    Rows are sorted by padded target length, then by padded source length, and cut into batches;
    rows of the same padded lengths come in an order of their own in every epoch, and so do the
    batches. The order is a pure function of (seed, epoch), the number of batches does not depend
    on it, and every row comes once an epoch.

    With several ranks a global batch is dealt out row by row: all ranks make the same number of
    steps, and together they see what one process would see.

    Args:
        lengths: Of every row, its target length, or its (source, target) lengths.
        tokens_per_batch: Most padded target tokens of a global batch. Every rank gets a row of
            every batch, so very long rows, or the last few that make no batch, may exceed it.
        max_sentences: Most rows of a global batch, likewise; no limit by default.
        shuffle: A new order in every epoch; otherwise the longest first, as evaluation wants it.
        seed: Of the shuffling.
        rank: Whose rows to give.
        world_size: Number of ranks.
        multiple: What padded lengths are multiples of; give `pad` the same.

    Raises:
        InputError: No rows, fewer rows than ranks, or a limit too small.
    """

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]] | Sequence[int],
        *,
        tokens_per_batch: int,
        max_sentences: int | None = None,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        multiple: int = MULTIPLE,
    ) -> None:
        super().__init__(seed)
        if len(lengths) < world_size or not lengths:
            raise InputError(
                f"{len(lengths)} examples cannot be split over {world_size} processes; "
                "use more data or fewer processes"
            )
        require(tokens_per_batch >= 1, f"tokens_per_batch {tokens_per_batch}", "1 or more")
        if max_sentences is not None and max_sentences < world_size:
            raise InputError(
                f"batches of {max_sentences} sentences are too small for {world_size} processes; "
                "every process needs a sentence"
            )
        self.shuffle, self.rank, self.world_size = shuffle, rank, world_size
        pairs = torch.tensor(lengths).reshape(len(lengths), -1)  # (rows, 1 or 2)
        padded = (pairs.clamp(min=1) + multiple - 1) // multiple * multiple
        self._keys = padded[:, -1] * (int(padded.max()) + 1) + padded[:, 0]
        targets = padded[:, -1].sort(descending=True).values.tolist()
        self._sizes = _cut(targets, tokens_per_batch, max_sentences or len(targets), world_size)

    def __iter__(self) -> Iterator[list[int]]:
        start, self.start = self.start, 0
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.arange(len(self._keys))
        if self.shuffle:
            order = torch.randperm(len(order), generator=generator)
        order = order[self._keys[order].argsort(stable=True, descending=True)]
        batches = order.split(self._sizes)
        turns = torch.arange(len(batches))
        if self.shuffle:
            turns = torch.randperm(len(batches), generator=generator)
        for turn in turns[start:].tolist():
            yield batches[turn][self.rank :: self.world_size].tolist()

    def __len__(self) -> int:
        """Number of batches of an epoch, the same in every epoch and on every rank."""
        return len(self._sizes)

    @cached_property
    def cut(self) -> str:
        return fingerprint(self.shuffle, self.seed, self._sizes, self._keys.tolist())


class ResumableLoader(DataLoader[Any]):
    """A loader that knows how far into the epoch the training has come, and can go on there.

    It counts the batches that were taken out of it, not those that workers have prepared. Its
    state is that count and the epoch; it serves any number of workers and, unless the batches are
    those of a stream, of ranks.

    Args:
        dataset: Rows by number.
        batch_sampler: Which rows make up which batch.
        collate_fn: Rows to a batch.
        num_workers: Processes that prepare batches; 0 prepares them in this one.
    """

    batch_sampler: EpochBatches

    def __init__(
        self,
        dataset: Dataset[Any] | Sequence[Any],
        *,
        batch_sampler: EpochBatches,
        collate_fn: Callable[[list[Any]], Any],
        num_workers: int = 0,
    ) -> None:
        super().__init__(
            dataset,  # type: ignore[arg-type]
            batch_sampler=batch_sampler,
            collate_fn=collate_fn,
            num_workers=num_workers,
            # Without one, every iteration draws a seed from the global generator, and a resumed
            # run would differ in its dropout.
            generator=torch.Generator(),
        )
        self._epoch, self._position = batch_sampler.epoch, 0
        self._resumed = False
        self._cut_then = ""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = self.batch_sampler
        # Left in the middle of an epoch, the loader starts the next iteration afresh; a position
        # that was loaded counts in the epoch it was saved in, and in no other.
        if not (self._resumed and self._epoch == batches.epoch):
            self._position = 0
        elif self._position and self._cut_then != batches.cut:
            raise InputError(
                "the checkpoint is from the middle of an epoch, which these settings cut into "
                "other batches: resume with the same data, batch size, windows, seed and, of a "
                "stream, number of processes, or from a checkpoint at the end of an epoch"
            )
        self._epoch, self._resumed = batches.epoch, False
        batches.start = self._position
        for batch in super().__iter__():
            self._position += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The epoch, how many of its batches were taken, and a fingerprint of its batches."""
        return {"epoch": self._epoch, "position": self._position, "cut": self.batch_sampler.cut}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Makes the next iteration over that epoch leave out the batches that were taken.

        That iteration raises an `InputError` if the epoch is cut into other batches now.
        """
        self._epoch, self._position = state_dict["epoch"], state_dict["position"]
        self._cut_then = state_dict.get("cut", "")  # which the first versions did not write
        self.batch_sampler.set_epoch(self._epoch)
        self._resumed = True


def _cut(targets: list[int], tokens: int, sentences: int, least: int) -> list[int]:
    """Numbers of rows of the batches, for padded target lengths sorted from long to short."""
    sizes: list[int] = []
    done = 0
    while done < len(targets):
        size = max(least, min(tokens // targets[done], sentences))
        sizes.append(min(size, len(targets) - done))
        done += size
    if sizes[-1] < least:  # too few rows left for all ranks
        last = sizes.pop()
        sizes[-1] += last
    return sizes
