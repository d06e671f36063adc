"""``nlp-rnn score-text``: how likely a language model finds each line."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.cli.common import (
    UnknownTokens,
    add_input,
    add_model_options,
    open_generator,
    positive,
    read_texts,
)
from nlp_rnn.data.lines import arriving
from nlp_rnn.errors import InputError

if TYPE_CHECKING:
    from nlp_rnn.inference import TextGenerator

__all__ = ["add_command"]

_ESCAPED = str.maketrans({"\t": "\\t", "\r": "\\r", "\n": "\\n"})
POOL = 1024
"""Lines that are sorted by length together, once that many are waiting."""


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "score-text",
        help="log-probabilities of text under a language model",
        description="Print the natural log-probability of each line, read alone, its end included. "
        "In a pipe, they appear as soon as the input pauses.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("checkpoint", type=Path, metavar="CKPT")
    add_input(parser)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--tokens",
        action="store_true",
        help="a line for each token: number of the input line from 1, token, log-probability",
    )
    kinds.add_argument(
        "--pairs",
        action="store_true",
        help="minimal pairs: lines are two texts with a tab between them; print 1 or 2 for the "
        "likelier one (0 for neither) and both log-probabilities, and the share of 1 at the end",
    )
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="lines (default 64)"
    )
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.data.tokenizer import UNK

    generator = open_generator(args)
    lines = read_texts(args.input)
    done = better = 0
    unknown = UnknownTokens()
    for batch in arriving(lines, first=args.batch_size, most=max(POOL, args.batch_size)):
        if args.pairs:
            better += _pairs(generator, batch, done, args.batch_size)
        else:
            for number, (line, values) in enumerate(
                zip(batch, generator.log_probs(batch, batch_size=args.batch_size)), done + 1
            ):
                if not args.tokens:
                    sys.stdout.write(f"{sum(values):.4f}\n")
                    continue
                for piece, value in zip(generator.pieces(line), values):
                    shown = piece.translate(_ESCAPED)
                    sys.stdout.write(f"{number}\t{shown}\t{value:.4f}\n")
        sys.stdout.flush()
        done += len(batch)
        texts = [text for line in batch for text in (line.split("\t") if args.pairs else [line])]
        unknown.add(generator.vocabulary.encode_batch(texts), UNK)
    if not done:
        raise InputError("there is no text: give lines on standard input or a file with --input")
    unknown.warn("each counts as one token, whatever it stands for")
    if args.pairs:
        sys.stderr.write(f"the first text is likelier in {better} of {done} pairs\n")


def _pairs(generator: "TextGenerator", lines: list[str], done: int, batch_size: int) -> int:
    """Prints which of two texts is likelier, and counts the first ones."""
    texts = []
    for number, line in enumerate(lines, done + 1):
        both = line.split("\t")
        if len(both) != 2:
            raise InputError(
                f"line {number} has {len(both) - 1} tabs: give two texts with one tab between them"
            )
        texts += both
    scores = [sum(values) for values in generator.log_probs(texts, batch_size=batch_size)]
    firsts, seconds = scores[::2], scores[1::2]
    for first, second in zip(firsts, seconds):
        likelier = 1 if first > second else 2 if second > first else 0
        sys.stdout.write(f"{likelier}\t{first:.4f}\t{second:.4f}\n")
    return sum(first > second for first, second in zip(firsts, seconds))
