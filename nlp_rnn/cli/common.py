"""What several commands share: how a model is opened, files that belong together, warnings."""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nlp_rnn.data.lines import read_lines
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.paths import home

if TYPE_CHECKING:
    from nlp_rnn.inference import TextClassifier, TextGenerator, Translator

__all__ = [
    "UnknownTokens",
    "add_input",
    "add_model_options",
    "add_options",
    "new_path",
    "open_classifier",
    "open_generator",
    "open_translator",
    "positive",
    "read_texts",
    "read_together",
    "warnings_of_lines",
]


def add_input(parser: argparse.ArgumentParser) -> None:
    """Where the texts stand, one a line; the files of several such options are read in turn."""
    parser.add_argument(
        "--input",
        action="extend",
        nargs="+",
        type=Path,
        metavar="FILE",
        default=[],
        help="text files (default: standard input)",
    )


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


def add_options(group: Any, options: Mapping[str, tuple[type, str]]) -> None:
    """Add options that are absent unless given, so that the search class's defaults hold.

    Args:
        group: a parser, or a group of one.
        options: name of a search class's field to its type and its help.
    """
    for name, (kind, text) in options.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=kind, default=argparse.SUPPRESS, metavar="X", help=text)


def open_translator(args: argparse.Namespace) -> "Translator":
    """The translator of the checkpoints and model options given."""
    from nlp_rnn.inference import Translator

    _prepare(args)
    return Translator.from_checkpoint(
        *args.checkpoint, device=args.device, precision=args.precision
    )


def open_generator(args: argparse.Namespace) -> "TextGenerator":
    """The language model of the checkpoint and model options given."""
    from nlp_rnn.inference import TextGenerator

    _prepare(args)
    return TextGenerator.from_checkpoint(
        args.checkpoint, device=args.device, precision=args.precision
    )


def open_classifier(args: argparse.Namespace) -> "TextClassifier":
    """The classifier of the checkpoint and model options given."""
    from nlp_rnn.inference import TextClassifier

    _prepare(args)
    return TextClassifier.from_checkpoint(
        args.checkpoint, device=args.device, precision=args.precision
    )


def _prepare(args: argparse.Namespace) -> None:
    import torch

    from nlp_rnn.cpu import emulates_bf16, tune_cpu

    if args.precision == "bf16" and args.device == "cpu" and emulates_bf16():
        sys.stderr.write(
            "warning: this CPU has no instructions for bf16 and takes many times as long: "
            "--precision fp32\n"
        )
    if args.threads:
        torch.set_num_threads(min(args.threads, 1024))  # which no machine gains from
    tune_cpu()


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    if value >= 2**31:
        raise argparse.ArgumentTypeError(f"{text} is more than two billion")
    return value


def read_together(*paths: Path) -> list[list[str]]:
    """The lines of files that belong together.

    Raises:
        InputError: they have different numbers of lines, or one is not UTF-8.
    """
    texts = []
    for path in paths:
        with path.open("rb") as file:
            texts.append([*read_lines(file, str(path))])
        if len(texts[-1]) != len(texts[0]):
            raise InputError(
                f"{paths[0]} has {len(texts[0])} lines but {path} has {len(texts[-1])}: give files "
                "whose lines belong together"
            )
    return texts


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """The lines of files one after the other, or of standard input if there are none.

    Raises:
        OSError: a file cannot be opened; now, not when its turn comes.
        InputError: a line is not UTF-8; when its turn comes.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        names = [str(path) for path in paths]
        if not paths:
            # A reader of its own: the one of sys.stdin is locked while a thread waits in it.
            files, names = [open(0, "rb", closefd=False)], ["standard input"]  # noqa: SIM115
        opened = stack.pop_all()
    return _lines(opened, files, names)


def _lines(opened: ExitStack, files: Sequence[BinaryIO], names: Sequence[str]) -> Iterator[str]:
    with opened:
        for file, name in zip(files, names):
            yield from read_lines(file, name)


def new_path(path: Path, option: str) -> Path:
    """Where results are to be written, tried before there are any that could be lost.

    Args:
        path: a file or folder.
        option: that gave it.

    Returns:
        The path, a leading tilde resolved.

    Raises:
        InputError: it exists, as nothing is ever overwritten; or its folder cannot be written to.
    """
    path = Path(home(path))
    if path.exists():
        raise InputError(f"{path} exists: name a new one with {option}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): name another one with {option}"
        ) from error
    return path


class UnknownTokens:
    """Counts the tokens of texts, and those of them that a model does not know."""

    def __init__(self) -> None:
        self.unknown = self.tokens = 0

    def add(self, ids: Sequence[Sequence[int]], unknown: int) -> None:
        """Count the ids of some texts, of which one stands for the unknown."""
        self.tokens += sum(map(len, ids))
        self.unknown += sum(each.count(unknown) for each in ids)

    def warn(self, meaning: str) -> None:
        """Say how many there were, if any, and what that means."""
        if self.unknown:
            sys.stderr.write(
                f"warning: {self.unknown} of {self.tokens} tokens are unknown to the model; "
                f"{meaning}\n"
            )


@contextmanager
def warnings_of_lines(done: int, unit: str = "line") -> Iterator[None]:
    """Show each warning as one line on standard error.

    Args:
        done: lines of the input before the texts that are being worked on.
        unit: what they are called; a row of a table need not be a line.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TruncationWarning)
        yield
    for each in caught:
        message = str(each.message)
        if isinstance(each.message, TruncationWarning):
            message = f"{unit} {done + each.message.index + 1} {each.message.reason}"
        sys.stderr.write(f"warning: {message}\n")
