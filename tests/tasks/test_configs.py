"""Every published config is one that its task reads, and is named in the recipe book."""

from pathlib import Path

import pytest
import yaml

from nlp_rnn.tasks.classify.cli import ClassifyCLI
from nlp_rnn.tasks.language_model.cli import LanguageModelCLI
from nlp_rnn.tasks.translate.cli import TranslateCLI

TOP = Path(__file__).parents[2]
CONFIGS = sorted(TOP.glob("configs/*/*.yaml"))
CLIS = {"translate": TranslateCLI, "language_model": LanguageModelCLI, "classify": ClassifyCLI}


@pytest.mark.parametrize(
    "path", CONFIGS, ids=[f"{each.parent.name}/{each.name}" for each in CONFIGS]
)
def test_every_config_parses_and_has_a_row(path, capsys):
    task = path.parent.name
    text = path.read_text()
    place = path.relative_to(TOP)
    assert text.startswith(f"# python -m nlp_rnn.tasks.{task} fit --config {place}")
    assert path.name in (TOP / f"tasks/{task}/README.md").read_text()
    with pytest.raises(SystemExit) as stopped:
        CLIS[task](["fit", "--config", str(path), "--print_config"])
    assert stopped.value.code == 0
    assert_read(yaml.safe_load(text), yaml.safe_load(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("task", "name"),
    [("translate", "phrasebook"), ("language_model", "topics"), ("classify", "opinions")],
)
def test_fit_without_a_config_reads_the_packaged_one(task, name, capsys):
    path = TOP / f"nlp_rnn/tasks/{task}/{name}.yaml"
    with pytest.raises(SystemExit) as stopped:
        CLIS[task](["fit", "--print_config"])
    assert stopped.value.code == 0
    assert_read(yaml.safe_load(path.read_text()), yaml.safe_load(capsys.readouterr().out))


def assert_read(given, understood):
    """Whatever a config says is what the task has."""
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(understood[name], dict):
            assert_read(value, understood[name])
        else:
            assert understood[name] == value, name
