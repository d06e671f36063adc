"""The ``nlp-rnn`` command. Nothing heavy is imported before a command needs it."""

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence

from nlp_rnn import __version__
from nlp_rnn.cli import align, bleu, classify, generate, score, score_text, translate
from nlp_rnn.errors import InputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments; `sys.argv` if None.

    Returns:
        The exit code: 2 after a user's mistake, 130 after Ctrl-C, 141 when nobody reads on.
    """
    args = _parsed(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale says
            # Half a surrogate pair of the input has no UTF-8; JSON writes it as Python does.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        args.run(args)
        sys.stdout.flush()
    except InputError as error:
        return _fail(str(error))
    except BrokenPipeError:
        _discard_output()
        return 141
    except OSError as error:
        if not error.filename:  # nothing that could not be opened, so it was the output
            _discard_output()
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}")
    except RuntimeError as error:
        if "allocate" not in str(error):  # torch has no class of its own for it on a CPU
            raise
        return _fail("not enough memory: give a smaller batch, beam or number of samples")
    except KeyboardInterrupt:
        return 130
    return 0


_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=.*)?", re.DOTALL)


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nlp-rnn",
        description="Use trained checkpoints. Training: python -m nlp_rnn.tasks.translate --help",
    )
    parser.add_argument("--version", action="version", version=f"nlp-rnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (translate, score, bleu, align, generate, score_text, classify):
        command.add_command(commands)
    args, rest = parser.parse_known_args(argv)
    options = rest[: rest.index("--")] if "--" in rest else rest  # behind it nothing is one
    if "prompt" in args and not any(_OPTION.fullmatch(each) for each in options):
        # Behind an option, where argparse takes no more of a list.
        args.prompt += [*options, *rest[len(options) + 1 :]]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return args


def _discard_output() -> None:
    """Standard output cannot be written: Python would complain when it tries again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {message}\n")
    return 2
