"""A validation split for data that has none, carved from its training split."""

import random

from datasets import Dataset, DatasetDict, IterableDatasetDict

from nlp_rnn.errors import InputError

__all__ = ["carve_end", "carve_validation"]

_BLOCKS = 20
"""Of consecutive rows, in all: fewer would differ more from the whole, in labels for example."""


def carve_validation(splits: DatasetDict, *, size: int = 1000, seed: int = 0) -> DatasetDict:
    """Moves random blocks of `train` to a new split `validation`; the rest keeps its order.

    Rows of one source often stand together, as the reviews of a film do in IMDB. Single rows from
    among them would be judged by a model that has learnt about their film from the others, and
    seem easier than texts of films that it never read of.

    Args:
        splits: With the split `train`. If there is a `validation` already, nothing happens.
        size: Rows to move, but at most a tenth of `train`.
        seed: The same seed moves the same rows.

    Raises:
        InputError: No `train`, or too few rows, or data that is streamed.
    """
    if "validation" in splits:
        return splits
    train = _carvable(splits)
    size = min(size, len(train) // 10)
    width = -(-size // _BLOCKS)
    starts = random.Random(seed).sample(range(0, len(train) - width + 1, width), -(-size // width))
    chosen = set([row for start in starts for row in range(start, start + width)][:size])
    rest = [row for row in range(len(train)) if row not in chosen]
    carved = {"train": train.select(rest), "validation": train.select(sorted(chosen))}
    return DatasetDict({**splits, **carved})


def carve_end(splits: DatasetDict, *, blank: str | None = None) -> DatasetDict:
    """Moves the last tenth of `train` to a new split `validation`: for text read in one piece.

    Args:
        splits: As for `carve_validation`.
        blank: Begin right behind a row in which this column is blank, if there is one and text
            behind it.

    Raises:
        InputError: As `carve_validation`.
    """
    if "validation" in splits:
        return splits
    train = _carvable(splits)
    begin = len(train) - len(train) // 10
    if blank is not None:
        rows = [row.strip() for row in train[blank][begin - 1 :]]
        begin += next((n for n, row in enumerate(rows) if not row and any(rows[n:])), 0)
    carved = {
        "train": train.select(range(begin)),
        "validation": train.select(range(begin, len(train))),
    }
    return DatasetDict({**splits, **carved})


def _carvable(splits: DatasetDict) -> Dataset:
    if isinstance(splits, IterableDatasetDict):
        raise InputError(
            "data that is streamed needs a validation split of its own: name one with "
            "--data.validation"
        )
    if "train" not in splits:
        raise InputError(
            f"there is no train split, only {', '.join(splits)}: call the file train, or name it "
            "(parallel text: what the names of its files have in common)"
        )
    if (count := len(splits["train"])) < 10:
        raise InputError(
            f"train has {count} rows, too few to carve a validation split from it: name another "
            "data set for validation"
        )
    return splits["train"]
