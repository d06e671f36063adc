"""What the documents tell users to type is what the commands understand."""

import re
import shlex
from pathlib import Path

import pytest

from nlp_rnn.cli import main
from nlp_rnn.errors import InputError
from nlp_rnn.tasks.classify.cli import ClassifyCLI
from nlp_rnn.tasks.language_model.cli import LanguageModelCLI
from nlp_rnn.tasks.translate.cli import TranslateCLI

TOP = Path(__file__).parents[1]
TASKS = {"translate": TranslateCLI, "language_model": LanguageModelCLI, "classify": ClassifyCLI}
TEXTS = [
    path.read_text().replace("\\\n", " ")
    for path in (TOP / "README.md", *sorted(TOP.glob("tasks/*/README.md")))
]


PLAIN = re.compile(r"\S+ fit( --config \S+)?")
"""Commands that are tested with the configs."""


@pytest.fixture(autouse=True)
def new_clone(tmp_path, monkeypatch):
    """Where the commands find their configs, but no runs that were trained before."""
    (tmp_path / "configs").symlink_to(TOP / "configs")
    monkeypatch.chdir(tmp_path)


def commands(pattern):
    found = {" ".join(each.split()) for text in TEXTS for each in re.findall(pattern, text, re.M)}
    assert len(found) > 4
    return sorted(each for each in found if not PLAIN.fullmatch(each))


@pytest.mark.parametrize("command", commands(r"python -m (nlp_rnn\.tasks\.\w+ \w+[^`\n]*)"))
def test_training_commands_parse(command, capsys):
    module, *args = shlex.split(command)
    cli = TASKS[module.rpartition(".")[2]]
    if ".ckpt" in command:  # whose checkpoint comes from another command
        with pytest.raises(InputError, match="no checkpoint at runs/"):
            cli(args)
        return
    with pytest.raises(SystemExit) as stopped:
        cli([*args, "--print_config"])
    assert stopped.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("command", commands(r"^    (?:echo .*\| )?nlp-rnn (.*)$"))
def test_shell_commands_parse(command, capsys):
    assert main(shlex.split(command)) == 2
    assert "no checkpoint at runs/" in capsys.readouterr().err
