"""``nlp-rnn score``: how likely given translations are."""

import argparse
import sys
from pathlib import Path
from typing import Any

from nlp_rnn.cli.common import (
    UnknownTokens,
    add_model_options,
    open_translator,
    positive,
    read_together,
    warnings_of_lines,
)

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "score",
        help="log-probabilities of given translations",
        description="Print the natural log-probability of each target line given its source line, "
        "end of sentence included.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "checkpoint", nargs="+", type=Path, metavar="CKPT", help="several make an ensemble"
    )
    parser.add_argument("--source", type=Path, metavar="FILE", required=True)
    parser.add_argument("--target", type=Path, metavar="FILE", required=True)
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="sentences (default 64)"
    )
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.data.tokenizer import UNK

    sources, targets = read_together(args.source, args.target)
    translator = open_translator(args)
    with warnings_of_lines(0):
        scores = translator.score(sources, targets, batch_size=args.batch_size)
    sys.stdout.writelines(f"{score:.4f}\n" for score in scores)
    unknown = UnknownTokens()
    unknown.add(translator.source_tokenizer.encode_batch(sources), UNK)
    unknown.add(translator.target_tokenizer.encode_batch(targets), UNK)
    unknown.warn("their characters were not in the texts that it was trained on")
