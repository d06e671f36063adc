"""Validation splits carved from training data."""

from itertools import pairwise

import datasets
import pytest
from datasets import Dataset, DatasetDict

from nlp_rnn.data.carving import carve_end, carve_validation
from nlp_rnn.errors import InputError


def make_splits(rows=100, **others):
    return DatasetDict(train=Dataset.from_dict({"x": list(range(rows))}), **others)


def test_moves_rows_and_keeps_the_order():
    carved = carve_validation(make_splits(), size=7, seed=1)
    train, validation = carved["train"]["x"][:], carved["validation"]["x"][:]
    assert len(validation) == 7
    assert train == sorted(train)
    assert sorted(train + validation) == list(range(100))
    again = carve_validation(make_splits(), size=7, seed=1)
    assert again["validation"]["x"][:] == validation
    other = carve_validation(make_splits(), size=7, seed=2)
    assert other["validation"]["x"][:] != validation


def test_neighbours_move_together():
    rows = carve_validation(make_splits(10_000), size=999, seed=3)["validation"]["x"][:]
    assert len(rows) == 999
    breaks = sum(after != before + 1 for before, after in pairwise(rows))
    assert 10 <= breaks < 20
    assert max(rows) - min(rows) > 5_000


def test_takes_a_tenth_at_most_and_leaves_the_other_splits():
    test = Dataset.from_dict({"x": [5]})
    carved = carve_validation(make_splits(test=test))
    assert len(carved["validation"]) == 10
    assert carved["test"]["x"][:] == [5]


def test_leaves_a_validation_split_alone():
    splits = make_splits(validation=Dataset.from_dict({"x": [5]}))
    assert carve_validation(splits) is splits


def test_refuses_what_it_cannot_carve():
    with pytest.raises(InputError, match="train has 9 rows, too few"):
        carve_validation(make_splits(9))
    streamed = datasets.IterableDatasetDict(train=make_splits()["train"].to_iterable_dataset())
    with pytest.raises(InputError, match="streamed"):
        carve_validation(streamed)


def test_running_text_gives_its_end():
    carved = carve_end(make_splits(55))
    assert carved["train"]["x"][:] == list(range(50))
    assert carved["validation"]["x"][:] == list(range(50, 55))


def test_other_names_than_train_are_named():
    with pytest.raises(InputError, match="no train split, only corpus: call the file train"):
        carve_validation(DatasetDict(corpus=Dataset.from_dict({"x": [*range(99)]})))


def test_the_end_begins_with_a_document():
    rows = ["a", "b", ""] * 20 + ["c"] * 40
    splits = DatasetDict(train=Dataset.from_dict({"text": rows[::-1]}))
    carved = carve_end(splits, blank="text")  # row 90 is within a document, row 92 begins one
    assert carved["train"]["text"][-1] == ""
    assert carved["validation"]["text"][:2] == ["b", "a"]
    assert len(carved["train"]) == 92
    late = DatasetDict(train=Dataset.from_dict({"text": ["c"] * 98 + [""] * 2}))
    assert len(carve_end(late, blank="text")["validation"]) == 10  # behind these there is no text
    whole = DatasetDict(train=Dataset.from_dict({"text": ["c"] * 100}))
    assert len(carve_end(whole, blank="text")["validation"]) == 10
    with pytest.raises(InputError, match="train has 9 rows, too few"):
        carve_end(make_splits(9))
