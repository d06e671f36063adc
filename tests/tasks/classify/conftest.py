"""A tiny data set in three classes, negation included, and a classifier trained on it."""

import csv
import itertools
import random

import pytest

from nlp_rnn.tasks.classify.cli import ClassifyCLI

SMALL = [
    "--network.vocab_size=30",
    "--network.embedding_size=16",
    "--network.hidden_size=24",
    "--network.embedding_dropout=0.1",
    "--network.word_dropout=0",
    "--network.head_dropout=0.1",
    "--data.batch_size=16",
    "--model.optimization.learning_rate=0.01",
    "--model.optimization.warmup_steps=5",
    "--averaging.decay=0.8",
    "--trainer.max_epochs=10",
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
]


def rows():
    """Every sentence once: what is good is bad if it is negated."""
    things = ["film", "song", "book", "meal", "room", "play", "game", "ship", "park", "shop"]
    for thing, word, no in itertools.product(things, ("good", "fine", "bad", "dull"), ("", "not ")):
        positive = (word in ("good", "fine")) != bool(no)
        yield f"the {thing} is {no}{word}", "positive" if positive else "negative"
    for thing, time in itertools.product(things, ("long", "short", "new", "old")):
        yield f"the {thing} is {time}", "neutral"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The sentences as csv files, a fifth of them in validation and in test."""
    folder = tmp_path_factory.mktemp("labelled")
    everything = sorted(rows())
    random.Random(0).shuffle(everything)
    fifth = len(everything) // 5
    splits = {
        "validation": everything[:fifth],
        "test": everything[fifth : 2 * fifth],
        "train": everything[2 * fifth :] * 4,
    }
    for split, chosen in splits.items():
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *chosen])
    return folder


@pytest.fixture(scope="session")
def small():
    """Options of a small network and a short training."""
    return SMALL


@pytest.fixture(scope="session")
def fit():
    """Trains on a data set below a folder of its own."""

    def run(dataset, root, *flags):
        common = [f"--data.dataset={dataset}", f"--trainer.default_root_dir={root}"]
        return ClassifyCLI(["fit", *common, *SMALL, *flags])

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory, folder, fit):
    """The best checkpoint of a classifier with layers of both directions."""
    root = tmp_path_factory.mktemp("classify")
    fit(folder, root)
    return root / "classify/version_0/checkpoints/best.ckpt"
