"""``nlp-rnn bleu``: scores of translations, and whether two systems differ."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.cli.common import read_together
from nlp_rnn.errors import InputError

if TYPE_CHECKING:  # sacreBLEU takes a while to import, and --help does not need it
    from nlp_rnn.metrics import Score

__all__ = ["add_command", "print_scores"]


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bleu",
        help="BLEU, chrF and TER of translations",
        description="Score detokenised translations with sacreBLEU.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("hypotheses", type=Path, metavar="HYP", help="a translation per line")
    parser.add_argument("references", type=Path, metavar="REF", help="a reference per line")
    parser.add_argument(
        "--compare", type=Path, metavar="HYP2", help="another system, with a paired bootstrap test"
    )
    parser.add_argument(
        "--language",
        default="en",
        help="target language; zh, ja and ko have BLEU tokenizers of their own, th, lo, km and my "
        "are scored by character (default en: 13a)",
    )


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.metrics import compare_systems, translation_scores

    compared = [args.compare] if args.compare else []
    hypotheses, references, *others = read_together(args.hypotheses, args.references, *compared)
    if not references:
        raise InputError(f"{args.references} is empty: nothing to score")
    language = args.language
    if not others:
        scores = translation_scores(hypotheses, references, language=language)
        print_scores(scores, f"{args.hypotheses}, {len(references)} sentences")
        return
    comparisons = compare_systems(hypotheses, others[0], references, language=language)
    _print_table(
        f"Paired bootstrap test, {len(references)} sentences",
        ["metric", str(args.hypotheses), str(args.compare), "difference", "p value"],
        [
            [
                each.title,
                f"{each.baseline:.2f}",
                f"{each.system:.2f}",
                f"{each.system - each.baseline:+.2f}",
                f"{each.p_value:.3f}",
            ]
            for each in comparisons
        ],
        [f"{each.title}: {each.signature}" for each in comparisons],
    )


def print_scores(scores: Sequence["Score"], title: str) -> None:
    """A table of scores and their signatures."""
    _print_table(
        title,
        ["metric", "value"],
        [[score.title, f"{score.value:.2f}"] for score in scores],
        [f"{score.title}: {score.signature}" for score in scores],
    )


def _print_table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[str]], signatures: Iterable[str]
) -> None:
    """A table, and below it the signatures, each on a line that can be copied."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for name in header:
        table.add_column(
            Text(name), justify="right" if name != header[0] else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    console = Console()
    with console.capture() as printed:  # it would answer a closed pipe in its own way
        console.print(table)
    sys.stdout.write(printed.get())
    sys.stdout.writelines(f"{signature}\n" for signature in signatures)
