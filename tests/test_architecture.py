"""Imports point inward: modules <- models, decoding, data <- inference ... <- tasks, callbacks."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "nlp_rnn"
FILES = sorted(PACKAGE.rglob("*.py"))
RINGS = [
    {"modules", "errors", "paths"},
    {"models", "decoding", "data", "metrics", "checkpoint", "cpu", "evaluation"}
    | {"label_metrics", "baseline", "perplexity"},
    {"__init__", "inference", "explain", "export", "cli"},
    {"tasks", "callbacks"},
]
RING = {name: number for number, ring in enumerate(RINGS) for name in ring}
TASKS = sorted(path.parent.name for path in PACKAGE.glob("tasks/*/__init__.py"))


def imported(path, source):
    """Every module that a file imports, wherever in it, by its full name."""
    package = ("nlp_rnn", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            # `from nlp_rnn import tasks` names a module only in its second half.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def mistakes(path, source):
    """What a file imports against the rules, one line each."""
    place = path.relative_to(PACKAGE).with_suffix("").parts
    found = []
    for name in imported(path, source):
        top, *inner = name.split(".")
        part = inner[0] if inner and inner[0] in RING else "__init__"
        lightning = top in ("lightning", "pytorch_lightning", "lightning_fabric")
        standard = top in sys.stdlib_module_names
        if top == "nlp_rnn" and RING[part] > RING[place[0]]:
            found.append(f"{name} lies outside of {place[0]}")
        if top == "nlp_rnn" and place[0] == part == "tasks":
            other = inner[1] if len(inner) > 1 else ""
            if other in TASKS and other != place[1]:
                found.append(f"{name} is another task")
        if lightning and RING[place[0]] < RING["tasks"]:
            found.append(f"{name} outside of tasks and callbacks")
        if place[0] == "modules" and not (standard or top in ("nlp_rnn", "torch")):
            found.append(f"{name} in a layer: torch only")
        if place == ("data", "tokenizer") and top in ("torch", "datasets"):
            found.append(f"{name} in the tokenizer")
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_point_inward(path):
    assert path.relative_to(PACKAGE).with_suffix("").parts[0] in RING, "give it a ring"
    assert mistakes(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("modules/rnn.py", "from nlp_rnn.models.seq2seq import Seq2Seq"),
        ("modules/rnn.py", "def f():\n    from ..data import tokenizer"),
        ("modules/rnn.py", "import numpy"),
        ("modules/rnn.py", "from nlp_rnn import __version__"),
        ("models/seq2seq.py", "import lightning.pytorch"),
        ("data/tokenizer.py", "from torch import Tensor"),
        ("inference/generation.py", "from nlp_rnn import tasks"),
        ("inference/generation.py", "from ..tasks.translate import task"),
        ("cli.py", "from lightning import Trainer"),
        ("tasks/red/task.py", "from nlp_rnn.tasks.blue.task import Task"),
        ("tasks/red/task.py", "from ..blue import data"),
        ("tasks/base.py", "import nlp_rnn.tasks.blue"),
    ],
)
def test_mistakes_are_found(path, source, monkeypatch):
    monkeypatch.setattr(f"{__name__}.TASKS", ["red", "blue"])
    assert len(mistakes(PACKAGE / path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("modules/rnn.py", "import math\nimport torch\nfrom nlp_rnn.errors import InputError"),
        ("decoding/beam.py", "from nlp_rnn.data.tokenizer import BOS"),
        ("tasks/red/task.py", "from lightning import Trainer\nfrom ..base import Task\n"),
        ("tasks/red/__main__.py", "from nlp_rnn.tasks.red.task import Task"),
        ("callbacks/ema.py", "from nlp_rnn import Translator"),
    ],
)
def test_good_imports_pass(path, source, monkeypatch):
    monkeypatch.setattr(f"{__name__}.TASKS", ["red", "blue"])
    assert mistakes(PACKAGE / path, source) == []


def test_every_file_has_a_subject():
    assert FILES
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "misc")]


def test_imports_are_light():
    code = "import sys, nlp_rnn, nlp_rnn.models.seq2seq, nlp_rnn.decoding; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    loaded = {module.split(".")[0] for module in result.stdout.split()}
    assert "nlp_rnn" in loaded
    assert not loaded & {"lightning", "pytorch_lightning", "datasets", "matplotlib"}
