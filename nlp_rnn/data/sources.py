"""Text from one string: a built-in corpus, a local folder or file, or a Hub id."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import datasets
import pyarrow.compute
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, Value

from nlp_rnn.data.cache import code_version
from nlp_rnn.data.lines import read_lines
from nlp_rnn.data.opinions import opinions
from nlp_rnn.data.parallel import parallel_files, parallel_rows
from nlp_rnn.data.phrasebook import phrasebook
from nlp_rnn.data.tables import TOO_WIDE, find_tables, reading_options, refuse_archives, short_row
from nlp_rnn.data.topics import topics
from nlp_rnn.errors import InputError, reason_of
from nlp_rnn.paths import home

__all__ = ["load_splits"]

_BUILDERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
_NOTES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""What `datasets` writes beside the data."""
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")


def load_splits(
    dataset: str,
    *,
    columns: dict[str, str],
    streaming: bool = False,
    splits: Collection[str] | None = None,
    plain_text: bool = True,
) -> DatasetDict | IterableDatasetDict:
    r"""Loads the splits of a data set with exactly the columns that are wanted, as plain strings.

    Empty texts are kept. Numbers become text, class labels their names. What is to be called
    `label` may be a list of labels, which become one text with `|` between them.

    Args:
        dataset: One of
            `phrasebook`, built in, whose columns are named by their locales;
            `topics`, built in, whose one column is `text`;
            `opinions`, built in, with the columns `text` and `label`;
            a folder, of parallel text `<split>.<column>`, or of files that `datasets` reads;
            a file (jsonl, json, csv, tsv without quoting, parquet), which is the split `train`;
            for one column also a text file, or a folder of them, `<split>.txt`, which has
            `train.txt`, or that of a wanted split, or no tables;
            a prefix of parallel text files `<prefix>.<column>`, likewise;
            a Hub id, with its configuration if it has several: `wmt/wmt14:de-en`; csv there is
            read by pandas' own rules, for which `NA` is a missing cell and `01` the number 1.
            Lines of parallel text end with `\n` or `\r\n` only; the splits `val`, `valid` and
            `dev` are called `validation`.
        columns: New name to name in the data, such as {"source": "en", "target": "de"}; a name
            may stand within a `translation` column, as on the Hub.
        streaming: Read while iterating; only the first row is looked at here.
        splits: Those that are wanted; others may lack columns, and are left as they are, or out
            where every split is a file and one of these is wanted.
        plain_text: One column may be the lines of a text file beside tables.

    Raises:
        InputError: The data set does not exist, cannot be reached, is damaged or empty, or lacks
            a column; or a cell is missing or no text (streaming: when its row is read, and a row of
            csv or tsv that ends early has empty texts).
    """
    wanted = list(columns.values())
    if len(set(wanted)) < len(wanted):
        raise InputError(f"the columns {', '.join(wanted)} must differ from each other")
    path = Path(home(dataset))
    kind = IterableDatasetDict if streaming else DatasetDict
    built_in = {"phrasebook": _phrasebook, "topics": _topics, "opinions": _opinions}
    if dataset in built_in:
        found = built_in[dataset](columns)
        return kind({k: v.to_iterable_dataset() for k, v in found.items()}) if streaming else found
    files = parallel_files(path, wanted, splits)
    if len(wanted) == 1 and path.suffix == ".txt" and path.is_file():
        files = {"train": [path]}
    elif len(wanted) == 1 and not files:
        files = parallel_files(path, ["txt"])
        wanted_files = plain_text and {"train", *(splits or ())} & files.keys()
        if not wanted_files and _has_tables(path):  # beside which it is a note, no data
            files = {}
    if files:
        read = _stream if streaming else _read
        chosen = [name for name in files if splits is None or name in splits] or [*files]
        return kind({name: read(dict(zip(columns, files[name]))) for name in chosen})
    with _explained(dataset, path, wanted):
        loaded = _local(path, streaming) if path.exists() else _from_hub(dataset, streaming)
        picked = kind(
            {
                name: data
                if splits is not None and name not in splits
                else _pick(data, columns, f"{dataset}, {name}")
                for name, data in loaded.items()
            }
        )
        chosen = [data for name, data in picked.items() if splits is None or name in splits]
        if not streaming and path.exists() and any(map(_has_empty_texts, chosen)):
            place = short_row(find_tables(path), wanted)
            if place:
                raise InputError(f"{place}: the row has fewer cells than the header")
        return picked


def _has_tables(path: Path) -> bool:
    """Whether there are tables in a folder."""
    return path.is_dir() and any(
        file.suffix in _BUILDERS and file.name not in _NOTES for file in path.rglob("*.*")
    )


def _topics(columns: dict[str, str]) -> DatasetDict:
    if list(columns.values()) != ["text"]:
        raise InputError(f"topics has the column text, not {', '.join(columns.values())}")
    name = next(iter(columns))
    return DatasetDict({k: Dataset.from_dict({name: texts}) for k, texts in topics().items()})


def _opinions(columns: dict[str, str]) -> DatasetDict:
    if not {"text", "label"} >= set(columns.values()):
        raise InputError(
            f"opinions has the columns text and label, not {', '.join(columns.values())}"
        )
    splits = DatasetDict()
    for split, rows in opinions().items():
        texts, labels = zip(*rows)
        cells = {"text": list(texts), "label": list(labels)}
        splits[split] = Dataset.from_dict({new: cells[name] for new, name in columns.items()})
    return splits


def _phrasebook(columns: dict[str, str]) -> DatasetDict:
    if len(columns) != 2:
        raise InputError(f"the phrasebook has two columns, not {len(columns)}")
    splits = DatasetDict()
    for name, pairs in phrasebook(*columns.values()).items():
        sides = [list(side) for side in zip(*pairs)]
        splits[name] = Dataset.from_dict(dict(zip(columns, sides)))
    return splits


def _read(paths: dict[str, Path]) -> Dataset:
    """A table in the cache of `datasets`, which the next start finds there."""
    if next(parallel_rows(paths), None) is None:
        raise InputError(f"{', '.join(map(str, paths.values()))}: empty, text is wanted")
    # As text: `datasets` takes a list for shards, and reads everything once for each.
    stamps = code_version() + str(
        [(file.stat().st_size, file.stat().st_mtime_ns) for file in paths.values()]
    )
    try:
        return Dataset.from_generator(
            _stamped_rows,
            features=Features(dict.fromkeys(paths, Value("string"))),
            gen_kwargs={"paths": {k: file.absolute() for k, file in paths.items()}, "of": stamps},
        )
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        raise


def _stamped_rows(paths: dict[str, Path], of: str) -> Iterator[dict[str, str]]:
    """Rows of files.

    Their sizes and times, and the version of this code, are in the key of `datasets`' cache: an
    edited file is read again.
    """
    del of
    yield from parallel_rows(paths)


def _stream(paths: dict[str, Path]) -> IterableDataset:
    return IterableDataset.from_generator(parallel_rows, gen_kwargs={"paths": paths})


def _local(path: Path, streaming: bool) -> Any:
    options = reading_options(find_tables(path))
    if path.is_dir():
        if not _has_tables(path):  # beside which an archive is what they came in
            refuse_archives(path)
        return datasets.load_dataset(str(path), streaming=streaming, **options)
    if path.suffix not in _BUILDERS:
        raise InputError(f"{path}: no data with this ending is known; use {', '.join(_BUILDERS)}")
    if path.suffix == ".tsv":
        options["sep"] = "\t"
    files = {"train": str(path)}
    builder = _BUILDERS[path.suffix]
    return datasets.load_dataset(builder, data_files=files, streaming=streaming, **options)


@contextmanager
def _explained(dataset: str, path: Path, wanted: list[str]) -> Iterator[None]:
    """Says in one line what is wrong with data that cannot be read, with file and line if known.

    The libraries below raise errors of many types, even StopIteration for an empty file, and log
    them before; none names the line.
    """
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", TOO_WIDE)
            yield
    except InputError:
        raise
    except Exception as error:
        for file in [path] if path.is_file() else sorted(path.rglob("*.*")):
            _check(file)
        reason = reason_of(error)
        if reason.startswith(TOO_WIDE):
            reason = "its rows have more cells than its header; in csv, quote cells with commas"
        if "data files found" in reason:
            endings = " and ".join(f".{name}" for name in wanted)
            reason = f"it has neither tables nor text files with the endings {endings}"
        raise InputError(f"{dataset} cannot be read: {reason}") from error
    finally:
        datasets.logging.set_verbosity(verbosity)


def _check(file: Path) -> None:
    """Raises what is wrong with a text file, if it can be told."""
    if not file.is_file() or file.suffix not in _BUILDERS:
        return
    if not file.stat().st_size:
        raise InputError(f"{file} is empty, data is wanted")
    if file.suffix in (".json", ".parquet"):
        return
    with file.open("rb") as opened:
        for number, line in enumerate(read_lines(opened, str(file)), 1):
            if file.suffix == ".jsonl" and line.strip() and not _is_object(line):
                raise InputError(f"{file}, line {number}: no JSON object; is the file cut short?")
    if file.suffix != ".jsonl" and number == 1:
        raise InputError(f"{file} has a header only, data is wanted")


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _from_hub(dataset: str, streaming: bool) -> Any:
    suffixes = (".txt", *_BUILDERS)
    looks_local = dataset.startswith((".", "/", "~")) or Path(dataset).suffix in suffixes
    if looks_local or not _HUB_ID.fullmatch(dataset):
        raise InputError(
            f"{dataset} does not exist; give a folder, a file, the prefix of parallel text files, "
            "a Hub id (owner/name or owner/name:config), or a built-in corpus"
        )
    name, _, config = dataset.partition(":")
    try:
        return datasets.load_dataset(name, config or None, streaming=streaming)
    except Exception as error:  # of any type, as above
        unreachable = isinstance(error, ConnectionError)
        reason = "cannot be reached" if unreachable else f"does not serve it: {reason_of(error)}"
        raise InputError(
            f"{dataset} is no local file or folder, and the Hugging Face Hub {reason}; give a "
            "folder or file, or a built-in corpus"
        ) from error


def _pick(data: Any, columns: dict[str, str], where: str) -> Any:
    """Reduces a split to the wanted columns, under their new names, as strings."""
    first = next(iter(data), None)
    if first is None:
        raise InputError(f"{where}: the split is empty")
    nested = first.get("translation")
    nested = nested if isinstance(nested, dict) else {}
    for name in columns.values():
        if name not in first and name not in nested:
            present = ", ".join([*nested, *(key for key in first if key != "translation")])
            raise InputError(f"{where}: no column {name!r}; there are {present}")
    labels = {}
    for name, feature in (data.features or {}).items():
        label = getattr(feature, "feature", feature)  # of a list, that of its members
        if isinstance(label, datasets.ClassLabel):
            labels[name] = label.names
    return data.map(
        _texts,
        batched=True,
        with_indices=True,
        remove_columns=list(first),
        features=Features(dict.fromkeys(columns, Value("string"))),
        fn_kwargs={"columns": columns, "labels": labels, "where": where, "code": code_version()},
    )


def _has_empty_texts(data: Dataset) -> bool:
    columns = [data.data.column(name) for name in data.column_names]
    return any(pyarrow.compute.any(pyarrow.compute.equal(each, "")).as_py() for each in columns)


def _texts(
    rows: dict[str, list[Any]],
    indices: list[int],
    columns: dict[str, str],
    labels: dict[str, list[str]],
    where: str,
    code: str,  # noqa: ARG001 - for the key of the cache of `datasets`
) -> dict[str, list[str]]:
    """The wanted columns of a batch of rows."""
    picked = {}
    for new, name in columns.items():
        if name in rows:
            cells = rows[name]
        else:
            cells = [pair and pair[name] for pair in rows["translation"]]
        texts = []
        for index, cell in zip(indices, cells):
            members = cell if new == "label" and isinstance(cell, list) else [cell]
            for member in members:
                if not isinstance(member, (str, int, float)):
                    what = "is missing" if member is None else f"is a {type(member).__name__}"
                    if isinstance(member, date):
                        what = "was taken for a date, as JSON is read (csv and plain text are not)"
                    raise InputError(f"{where}, row {index + 1}: {name!r} {what}; text is wanted")
            names = labels.get(name)
            texts.append("|".join(_text(member, names) for member in members))
        picked[new] = texts
    return picked


def _text(cell: str | int | float, names: list[str] | None) -> str:
    """A label's number as its name, other numbers as they are written."""
    if names is not None and isinstance(cell, int) and cell >= 0:
        return names[cell]
    return str(cell)
