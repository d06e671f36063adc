"""``nlp-rnn classify``: a label for every line, or for every row of a table."""

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlp_rnn.cli.common import (
    add_model_options,
    open_classifier,
    positive,
    read_texts,
    warnings_of_lines,
)
from nlp_rnn.data.lines import arriving
from nlp_rnn.errors import InputError

__all__ = ["add_command"]

_TABLES = (".csv", ".tsv", ".jsonl")
_OTHER_TABLES = (".json", ".parquet")
POOL = 1024
"""Texts that are sorted by length together, once that many are waiting."""


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "classify",
        help="labels and probabilities of texts",
        description="Print for each text, in order, its label and the probability of every label, "
        "with tabs between them. In a pipe, labels appear as soon as the input pauses.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("checkpoint", type=Path, metavar="CKPT")
    parser.add_argument(
        "--input",
        type=Path,
        metavar="FILE",
        help="a text a line, or with --column a .csv, .tsv or .jsonl; default: standard input",
    )
    parser.add_argument("--column", metavar="NAME", help="where the text stands in a table")
    parser.add_argument(
        "--jsonl", action="store_true", help="print an object a line, with the text"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="texts (default 64)"
    )
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    if args.column and args.input is None:
        raise InputError("--column names a column of a table: give its file with --input")
    if args.input and args.input.suffix.lower() in _OTHER_TABLES:
        raise InputError(
            f"{args.input} is a table that predict of the classify task reads, but not this "
            "command: convert it to jsonl, a row a line"
        )
    if args.input and not args.column and args.input.suffix.lower() in _TABLES:
        raise InputError(f"{args.input} is a table: say where its texts stand with --column")
    from nlp_rnn.inference.classification import label_line

    classifier = open_classifier(args)
    files = [args.input] if args.input else []
    texts = _column(args.input, args.column) if args.column else read_texts(files)
    done, unit = 0, "row" if args.column else "line"
    for pool in arriving(texts, first=args.batch_size, most=max(POOL, args.batch_size)):
        with warnings_of_lines(done, unit):
            found = classifier(pool, batch_size=args.batch_size)
        for number, (text, each) in enumerate(zip(pool, found), done + 1):
            if not text.strip():
                sys.stderr.write(f"warning: {unit} {number} is empty: its label is a guess\n")
            whole = text if args.jsonl else None
            sys.stdout.write(f"{label_line(each.label, each.probabilities, text=whole)}\n")
        sys.stdout.flush()
        done += len(pool)
    if not done:
        raise InputError("there is no text: give lines on standard input or a file with --input")


def _column(path: Path, name: str) -> Iterator[str]:
    """One column of a table, row by row.

    Raises:
        InputError: no such column, a row without it, no table, or not UTF-8.
    """
    suffix = path.suffix.lower()
    if suffix not in _TABLES:
        raise InputError(f"{path} is no table: --column reads .csv, .tsv and .jsonl")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from (
                _objects(file, path, name) if suffix == ".jsonl" else _rows(file, path, name)
            )
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text: {error.reason}") from error
        except csv.Error as error:
            raise InputError(f"{path} is no table: {error}") from error


def _objects(file: Iterator[str], path: Path, name: str) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: no JSON object") from error
        if not isinstance(row, dict) or name not in row:
            raise InputError(f"{path}, line {number}: no {name!r}; it has {_names(row)}")
        if not isinstance(row[name], (str, int, float)):
            raise InputError(f"{path}, line {number}: {name!r} is no text")
        yield str(row[name])


def _rows(file: Any, path: Path, name: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)  # texts may be long
    lines = iter(file)
    numbered = ((number, line) for number, line in enumerate(lines) if line.strip())
    blank, header = next(numbered, (0, ""))  # lines before the header
    file = itertools.chain([header], lines)
    # As in training: quotes of a .tsv are text.
    table = (
        csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if path.suffix.lower() == ".tsv"
        else csv.DictReader(file)
    )
    names = [*(table.fieldnames or [])]
    if name not in names:
        raise InputError(f"{path}: no column {name!r}; there are {', '.join(names or ['nothing'])}")
    if names.count(name) > 1:
        raise InputError(f"{path}: {names.count(name)} columns are called {name!r}: rename them")
    for row in table:
        if None in row:
            raise InputError(
                f"{path}, line {blank + table.line_num}: more cells than the header has; in .csv, "
                "quote cells with commas"
            )
        first, *rest = row.values()
        if not first.strip() and rest == [None] * len(rest):
            continue  # a blank line to pandas, which reads for training
        if row[name] is None:
            raise InputError(f"{path}, line {blank + table.line_num}: the row ends before {name!r}")
        yield row[name]


def _names(row: Any) -> str:
    return ", ".join(row) if isinstance(row, dict) else f"a {type(row).__name__}"
