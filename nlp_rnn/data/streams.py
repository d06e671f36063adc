"""A text as streams side by side, read window after window: truncated BPTT without a special loop.

N streams, T steps of a window.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate, cycle
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nlp_rnn.data.batching import EpochBatches, fingerprint
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import InputError, require

__all__ = ["Streams", "Window", "WindowBatches", "side_by_side", "take_window"]


class Window(NamedTuple):
    """T steps of N streams.

    Attributes:
        inputs: ids (N, T).
        following: the id after each, (N, T); `PAD` behind the end of a stream.
        first: whether the streams begin here, so that no state is carried into it.
    """

    inputs: Tensor
    following: Tensor
    first: bool


def side_by_side(ids: Tensor, rows: int, *, what: str = "a text", option: str = "rows") -> Tensor:
    """Cuts one long text into equal parts.

    Row r begins with the last id of row r - 1, so that every id but the very first is predicted
    exactly once.

    Args:
        ids: the text (length,), with an id in front that is only read.
        rows: N.
        what: the text is, for errors.
        option: that gave the rows, for errors.

    Returns:
        Ids (N, steps + 1), the last rows filled up with `PAD`.

    Raises:
        InputError: N below 1, or more than the tokens of the text.
    """
    length = len(ids) - 1
    require(rows >= 1, f"{option} {rows}", "1 or more")
    if length < rows:
        raise InputError(
            f"{what} of {length} tokens cannot be read as {rows} streams: give more text, or a "
            f"smaller {option}"
        )
    steps = -(-length // rows)
    padded = torch.cat([ids, ids.new_full((rows * steps - length,), PAD)])
    return padded.unfold(0, steps + 1, steps)


class Streams(Dataset[Window]):
    """Windows of streams, by their start and end.

    Args:
        ids: from `side_by_side`, (N, steps + 1).
    """

    def __init__(self, ids: Tensor) -> None:
        self.ids = ids

    def __getitem__(self, window: tuple[int, int]) -> Window:
        start, stop = window
        return Window(self.ids[:, start:stop], self.ids[:, start + 1 : stop + 1], start == 0)


class WindowBatches(EpochBatches):
    """The windows of an epoch, in the order of the text.

    Where there are several lengths, each is used equally often, and their order is drawn for every
    epoch: windows then end at other places each time. A few lengths instead of arbitrary ones keep
    the number of shapes small, for each of which oneDNN prepares kernels.

    Args:
        steps: of every stream.
        lengths: T, or several to choose from.
        shuffle: whether to draw the order; otherwise they take turns.
        seed: of the drawing.

    Raises:
        InputError: no length, or one below 1.
    """

    def __init__(
        self, steps: int, *, lengths: Sequence[int], shuffle: bool = False, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if not lengths or min(lengths) < 1:
            raise InputError(f"windows of {list(lengths)} steps: give one or more lengths from 1")
        self.shuffle = shuffle
        self._sizes: list[int] = []
        for length in cycle(lengths):
            self._sizes.append(min(length, steps))
            steps -= self._sizes[-1]
            if not steps:
                break

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        skipped, self.start = self.start, 0
        sizes = list(self._sizes)
        if self.shuffle:
            random.Random(self.seed * 1_000_003 + self.epoch).shuffle(sizes)
        stops = list(accumulate(sizes))
        for window in list(zip([0, *stops], stops))[skipped:]:
            yield [window]

    def __len__(self) -> int:
        """Number of windows, the same in every epoch."""
        return len(self._sizes)

    @property
    def cut(self) -> str:
        return fingerprint(self.shuffle, self.seed, self._sizes)


def take_window(windows: list[Window]) -> Window:
    """The collate function: a batch is one window."""
    return windows[0]
