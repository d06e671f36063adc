"""``nlp-rnn align``: a picture of the attention of one translation."""

import argparse
from pathlib import Path
from typing import Any

from nlp_rnn.cli.common import (
    add_model_options,
    new_path,
    open_translator,
    warnings_of_lines,
)

__all__ = ["add_command"]


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "align",
        help="draw where a translator looks",
        description="Draw the attention of one translation as a heat map.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("checkpoint", nargs=1, type=Path, metavar="CKPT")
    parser.add_argument("sentence", help="source text")
    parser.add_argument("--target", metavar="TEXT", help="translation (default: the best found)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", required=True, help="new .png or .svg file"
    )
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.explain.heatmap import check_picture, save_heatmap

    check_picture(args.output)  # and its place, before the work
    output = new_path(args.output, "--output")
    translator = open_translator(args)
    with warnings_of_lines(0):
        save_heatmap(translator.align(args.sentence, args.target), output)
