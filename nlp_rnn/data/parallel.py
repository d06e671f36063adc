"""Parallel text: files of as many lines each, where line n of one translates line n of another."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

from nlp_rnn.data.lines import read_lines
from nlp_rnn.errors import InputError

__all__ = ["parallel_files", "parallel_rows"]

_VALIDATION = ("val", "valid", "dev")


def parallel_files(
    path: Path, names: list[str], splits: Collection[str] | None = None
) -> dict[str, list[Path]]:
    """The files of every split: `<split>.<name>` in a folder, else `<path>.<name>` as `train`.

    Args:
        path: A folder, or what the names of the files have in common.
        names: Endings of the files, such as `en` and `de`.
        splits: Those that are wanted; others may lack files, and are left out then.

    Returns:
        The files of each split in the order of `names`, `val`, `valid` and `dev` being called
        `validation`; nothing if no file has such an ending.

    Raises:
        InputError: Some file has no counterpart, or two files are the same split.
    """
    if path.is_dir():
        files = [(name, file) for name in names for file in path.glob(f"*.{name}")]
        stems = {str(file).removesuffix(f".{name}") for name, file in files}
    else:
        stems = {str(path)} if any(Path(f"{path}.{name}").is_file() for name in names) else set()
    found: dict[str, list[Path]] = {}
    for stem in sorted(stems):
        paths = [Path(f"{stem}.{name}") for name in names]
        split = Path(stem).name if path.is_dir() else "train"
        split = "validation" if split in _VALIDATION else split
        whole = all(file.is_file() for file in paths)
        if not whole and splits is not None and split not in splits:
            continue
        for file in paths:
            if not file.is_file():
                there = sorted(
                    each.name for each in file.parent.glob(f"{glob.escape(file.stem)}.*")
                )
                raise InputError(
                    f"{file} is missing; parallel text has a file for each column, and here are "
                    f"{', '.join(there)}"
                )
        if split in found:
            raise InputError(f"{found[split][0]} and {paths[0]} are both the {split} split")
        found[split] = paths
    return found


def parallel_rows(paths: dict[str, Path]) -> Iterator[dict[str, str]]:
    r"""Rows of text; lines end with `\n` or `\r\n` and nothing else, and may be empty.

    Args:
        paths: The file of each column.

    Raises:
        InputError: A line is not UTF-8, or a file has more lines than another.
    """
    with ExitStack() as stack:
        sides = [
            read_lines(stack.enter_context(path.open("rb")), str(path)) for path in paths.values()
        ]
        while True:
            texts = [next(side, None) for side in sides]
            if None in texts:
                break
            yield dict(zip(paths, texts))  # type: ignore[arg-type]
    if any(text is not None for text in texts):
        counts = [f"{path} has {_count(path)} lines" for path in paths.values()]
        raise InputError(f"parallel text has as many lines in every file, but {', '.join(counts)}")


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
