"""Batches of a parallel corpus that is read while training, and never held as a whole.

N batch, S source length, T target length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch.utils.data
from datasets import Dataset, IterableDataset

from nlp_rnn.data.batching import EpochBatches, ResumableLoader, TokenBatches, fingerprint
from nlp_rnn.data.tokenizer import Tokenizer
from nlp_rnn.errors import InputError, reason_of

__all__ = ["StreamLoader", "StreamedBatches", "in_memory"]

Row = dict[str, Any]


class StreamedBatches(EpochBatches):
    """Batches of the rows themselves, from a stream, of like lengths within a buffer of rows.

    The stream is read into a buffer; `TokenBatches` sorts and cuts that, and shuffles its batches.
    The rows of a batch thus come from as near as the buffer is large, so a corpus that is sorted
    by subject should be shuffled once, or have many files: their order is another in each epoch.
    The order is a pure function of (seed, epoch), and every pair comes once an epoch.

    What it costs to know nothing in advance: there is no length; every rank reads and tokenizes
    the whole stream to take its rows of each global batch; and to begin in the middle of an epoch
    everything before is read and tokenized again, for the exact batch.

    Args:
        rows: A split with the text columns `source` and `target`.
        source: Tokenizes the source.
        target: Tokenizes the target.
        buffer_size: Pairs that are sorted at a time. The last buffer of an epoch may hold less, or
            as many more as there are ranks, since each of them gets a row of every batch.
        max_length: Pairs with more tokens on a side, the end token included, are left out, and
            so are pairs with an empty side.
        tokens_per_batch: Most padded target tokens of a global batch, as in `TokenBatches`.
        seed: Of the shuffling.
        rank: Whose rows to give.
        world_size: Number of ranks.
        say: Told how many pairs were left out, after the first buffer and at the end of the
            first epoch.

    Attributes:
        read: Pairs read so far in this epoch.
        left_out: Those of them that were empty or too long.

    Yields:
        Lists of rows with the columns `row` (its number in this epoch), `source`, `target`,
        `source_ids` and `target_ids`.

    Raises:
        InputError: No buffer; while reading: no row has a fitting length, fewer rows than ranks,
            limits too small, or damaged data.
    """

    def __init__(
        self,
        rows: IterableDataset,
        *,
        source: Tokenizer,
        target: Tokenizer,
        buffer_size: int,
        max_length: int,
        tokens_per_batch: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        say: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(seed)
        if buffer_size < world_size:
            raise InputError(
                f"a buffer of {buffer_size} pairs: {world_size} or more are needed, one for each "
                "process"
            )
        # The order of the files is shuffled, and some are read in turn; rows stay in the buffer.
        self.rows = rows.shuffle(seed=seed, buffer_size=1)
        self.source = source
        self.target = target
        self.buffer_size = buffer_size
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.rank = rank
        self.world_size = world_size
        self.say = say
        self.read = self.left_out = 0

    def __iter__(self) -> Iterator[list[Row]]:
        start, self.start = self.start, 0
        number = 0
        for number, buffer in enumerate(self._buffers()):
            if number == 0:
                self._say_left_out()
            batches = TokenBatches(
                [(len(row["source_ids"]) + 1, len(row["target_ids"]) + 1) for row in buffer],
                tokens_per_batch=self.tokens_per_batch,
                shuffle=True,
                seed=self.seed + number,
                rank=self.rank,
                world_size=self.world_size,
            )
            batches.set_epoch(self.epoch)
            batches.start = start
            start = max(0, start - len(batches))
            for batch in batches:
                yield [buffer[row] for row in batch]
        if number > 0:
            self._say_left_out()

    @property
    def cut(self) -> str:
        limits = (self.buffer_size, self.max_length, self.tokens_per_batch)
        # Where the last batch of a buffer is too short for all ranks, it joins the one before.
        return fingerprint(self.seed, *limits, self.world_size)

    def _buffers(self) -> Iterator[list[Row]]:
        """The pairs of fitting length in lists; none has fewer rows than there are ranks."""
        buffer: list[Row] = []
        for row in self._pairs():
            buffer.append(row)
            if len(buffer) == self.buffer_size + self.world_size:
                yield buffer[: self.buffer_size]
                buffer = buffer[self.buffer_size :]
        if not buffer:
            raise InputError(
                f"none of {self.read} training pairs has 1 to {self.max_length} tokens on both "
                "sides, the end token included: raise max_length"
            )
        yield buffer

    def _pairs(self) -> Iterator[Row]:
        """The pairs of fitting length, with ids."""
        self.read = self.left_out = 0
        self.rows.set_epoch(self.epoch)
        for texts in _readable(self.rows):
            source, target = (
                self.source.encode(texts["source"]),
                self.target.encode(texts["target"]),
            )
            number, self.read = self.read, self.read + 1
            if source and target and max(len(source), len(target)) < self.max_length:
                yield {"row": number, **texts, "source_ids": source, "target_ids": target}
            else:
                self.left_out += 1

    def _say_left_out(self) -> None:
        if self.say and self.left_out and self.epoch == 0:
            self.say(
                f"left out {self.left_out} of the first {self.read} training pairs: empty, or "
                f"more than {self.max_length} tokens"
            )


class StreamLoader(ResumableLoader):
    """A `ResumableLoader` without a length, with the same state.

    Lightning fetches one batch ahead, to see whether it is the last, unless it is told how many an
    epoch has. So a batch counts as taken when the next one is asked for; after the last one, the
    position is the start of the next epoch.

    Args:
        batches: Read in this process; the workers make rows to batches.
        collate_fn: Rows to a batch.
        num_workers: Processes that do so; 0 does it in this one.
        ahead: Batches that are taken before they are trained on: 1, or 0 where Lightning was told
            how many batches an epoch has. With fewer, it would leave the epoch without validation.

    Raises:
        InputError: while reading: the epoch has fewer batches than Lightning was told.
    """

    def __init__(
        self,
        batches: StreamedBatches,
        *,
        collate_fn: Callable[[list[Row]], Any],
        num_workers: int = 0,
        ahead: int = 1,
    ) -> None:
        self.ahead = ahead
        super().__init__(
            _Themselves(), batch_sampler=batches, collate_fn=collate_fn, num_workers=num_workers
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            for batch in super().__iter__():
                self._position -= self.ahead
                yield batch
                self._position += self.ahead
        except InputError:  # while one was read ahead, the one before waits to be trained on
            self._position -= self.ahead
            raise
        if not self.ahead:
            raise InputError(
                f"an epoch of the stream has only {self._position} batches: give a lower "
                "--trainer.limit_train_batches, or none"
            )
        self._epoch, self._position = self._epoch + 1, 0


class _Themselves(torch.utils.data.Dataset[Row]):
    """The data set of a sampler that gives rows instead of their numbers."""

    def __getitem__(self, row: Row) -> Row:
        return row


def in_memory(rows: IterableDataset, *, most: int | None = None) -> Dataset:
    """The rows of a stream that are small enough to be held, or the first ones.

    Args:
        rows: The stream.
        most: Rows to take; all by default.

    Raises:
        InputError: There are none, or they are damaged.
    """
    taken = list(islice(_readable(rows), most))
    if not taken:
        raise InputError("a split is empty, or no pair of it was asked for")
    return Dataset.from_list(taken)


def _readable(rows: IterableDataset) -> Iterator[dict[str, Any]]:
    """The rows of a stream, whose errors are of many types where a file is damaged."""
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the stream cannot be read on behind row {number}: {reason_of(error)}"
        ) from error
