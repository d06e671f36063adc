"""What several commands share: how a model is opened, files that belong together, warnings."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.data.lines import read_lines
from nlp_rnn.errors import InputError

if TYPE_CHECKING:
    from nlp_rnn.inference import Translator

__all__ = [
    "add_model_options",
    "open_translator",
    "positive",
    "read_pair",
    "refuse_existing",
    "warnings_of_lines",
]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Where and how the networks run."""
    group = parser.add_argument_group("model")
    group.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, ...")
    group.add_argument(
        "--precision",
        choices=["fp32", "bf16"],
        default="fp32",
        help="bf16: matrix products in bfloat16, worth it where the machine has them in hardware",
    )
    group.add_argument(
        "--threads", type=positive, metavar="N", help="CPU threads (default: torch's choice)"
    )


def open_translator(args: argparse.Namespace) -> "Translator":
    """The translator of the checkpoints and model options given."""
    import torch

    from nlp_rnn.inference import Translator

    if args.threads:
        torch.set_num_threads(args.threads)
    return Translator.from_checkpoint(
        *args.checkpoint, device=args.device, precision=args.precision
    )


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def read_pair(first: Path, second: Path) -> tuple[list[str], list[str]]:
    """The lines of two files that belong together.

    Raises:
        InputError: they have different numbers of lines, or one is not UTF-8.
    """
    texts = []
    for path in (first, second):
        with path.open("rb") as file:
            texts.append([*read_lines(file, str(path))])
    if len(texts[0]) != len(texts[1]):
        raise InputError(
            f"{first} has {len(texts[0])} lines but {second} has {len(texts[1])}: give files whose "
            "lines belong together"
        )
    return texts[0], texts[1]


def refuse_existing(path: Path | None) -> None:
    """Nothing is ever overwritten.

    Raises:
        InputError: the output exists.
    """
    if path is not None and path.exists():
        raise InputError(f"{path} exists: name a new file with --output")


@contextmanager
def warnings_of_lines(done: int) -> Iterator[None]:
    """Show each warning as one line on standard error.

    Args:
        done: lines of the input before the texts that are being worked on.
    """
    from nlp_rnn.inference import TruncationWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TruncationWarning)
        yield
    for each in caught:
        message = str(each.message)
        if isinstance(each.message, TruncationWarning):
            message = f"line {done + each.message.index + 1} {each.message.reason}"
        sys.stderr.write(f"warning: {message}\n")
