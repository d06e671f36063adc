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
    given, understood = yaml.safe_load(text), yaml.safe_load(capsys.readouterr().out)
    for name, value in given["network"].items():
        assert understood["network"][name] == value
