"""Lines of text from files and pipes, and batches of them as they arrive."""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from nlp_rnn.errors import InputError

__all__ = ["arriving", "one_line", "read_lines"]

_BREAKS = str.maketrans("\r\n\t", "   ")
PATIENCE = 0.05
"""Seconds that a line waits for others to share its batch."""


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    r"""Lines of UTF-8 text without their ends, which are ``\n`` or ``\r\n`` and nothing else.

    Args:
        file: opened for bytes.
        name: for people.

    Raises:
        InputError: a line is not UTF-8.
    """
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            at = error.start + len(line) - len(error.object)  # which has lost the mark in front
            raise InputError(
                f"{name}, line {number}: byte 0x{line[at]:02x} at {at + 1} is "
                "not UTF-8: convert the file first, for example with iconv"
            ) from None
        yield text.removesuffix("\n").removesuffix("\r")


def one_line(text: str) -> str:
    """A text as a line of output, with spaces for what would end it or make columns of it."""
    return text.translate(_BREAKS)


def arriving(
    lines: Iterable[str], *, first: int, most: int, patience: float | None = PATIENCE
) -> Iterator[list[str]]:
    """Batches of the lines that have arrived: large while the input flows, small when it pauses.

    The input is read in a thread, so a batch can be worked on while the next one forms.

    Args:
        lines: read ahead by ``most`` lines.
        first: most lines of the first batch; each one after may have twice as many as the last.
        most: most lines of any batch.
        patience: seconds to wait for a batch to fill; None waits until it is full.

    Raises:
        Exception: what reading raised, after all lines before it were given out.
    """
    arrived: queue.Queue[str | Exception | None] = queue.Queue(most)

    def read() -> None:
        try:
            for line in lines:
                arrived.put(line)
        except Exception as error:
            arrived.put(error)
        else:
            arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    size = first
    while isinstance(last := arrived.get(), str):
        batch = [last]
        until = None if patience is None else time.monotonic() + patience
        while len(batch) < size and isinstance(last, str):
            try:
                last = arrived.get(timeout=until and max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(last, str):
                batch.append(last)
        yield batch
        if not isinstance(last, str):
            break
        size = min(2 * size, most)
    if isinstance(last, Exception):
        raise last
