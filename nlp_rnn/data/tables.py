"""Tables in csv and tsv, with cells as they are written."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlp_rnn.errors import InputError

__all__ = ["TOO_WIDE", "find_tables", "reading_options", "refuse_archives", "short_row"]

TOO_WIDE = "Length of header or names does not match"
"""How pandas' warning of a row with too many cells begins, some of which it drops."""

_TABLES = {".csv", ".tsv"}
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")


def find_tables(path: Path) -> list[Path]:
    """The csv and tsv files in a folder, or the one that is named.

    Raises:
        InputError: one is compressed, which is read by other rules than its name says.
    """
    if path.is_file():
        return [path] if path.suffix in _TABLES else []
    for file in path.rglob("*.[ct]sv.*"):
        if file.suffix in _PACKED:
            raise InputError(f"{file} is compressed: unpack it, or leave it out of the folder")
    return [*path.rglob("*.[ct]sv")]


def refuse_archives(path: Path) -> None:
    """Refuse tables in zip files, which are read by pandas' own rules.

    Raises:
        InputError: naming the file.
    """
    for file in path.rglob("*.zip"):
        if zipfile.is_zipfile(file) and _TABLES & {
            Path(name).suffix for name in zipfile.ZipFile(file).namelist()
        }:
            raise InputError(f"{file} has tables in it: unpack it, or leave it out of the folder")


def reading_options(tables: Sequence[Path]) -> dict[str, Any]:
    """What `datasets`, and so pandas, is to be told of tables; nothing if there are none.

    By itself pandas reads the text NA as a missing value, a stray quote as text over many lines,
    the first of too many cells as the name of the row, which moves all others to the wrong columns,
    and 01 as a number, which is a label.

    Some of the tables may be of no split, and need not be readable.
    """
    if not tables:
        return {}
    options: dict[str, Any] = {"keep_default_na": False, "index_col": False}
    if all(file.suffix == ".tsv" for file in tables):
        options["quoting"] = csv.QUOTE_NONE
    names = {name for file in tables for name in next(_rows(file), (0, []))[1]}
    return {**options, "converters": dict.fromkeys(sorted(names), str)} if names else options


def short_row(tables: Sequence[Path], wanted: Collection[str]) -> str:
    """File and line of the first row that ends before a wanted cell, which pandas fills up.

    Args:
        tables: csv and tsv files.
        wanted: names of columns.

    Returns:
        "", if there is none.
    """
    for file in tables:
        rows = _rows(file)
        _, header = next(rows, (0, []))
        least = max((number for number, name in enumerate(header, 1) if name in wanted), default=0)
        for line, row in rows:
            if len(row) < least:
                return f"{file}, line {line}"
    return ""


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, the header first, each with the line it ends in."""
    csv.field_size_limit(2**31 - 1)  # a cell may be a book
    with (
        file.open(encoding="utf-8-sig", errors="replace", newline="") as opened,
        suppress(csv.Error),
    ):
        rows = csv.reader(opened)
        if file.suffix == ".tsv":
            rows = csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE)
        for row in rows:
            if row:
                yield rows.line_num, row
