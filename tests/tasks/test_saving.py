import errno
import os
from pathlib import Path

import pytest
import torch

from nlp_rnn.errors import InputError
from nlp_rnn.tasks.saving import DurableCheckpointIO


def test_what_was_saved_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.ckpt"
    plugin = DurableCheckpointIO()
    for step in (1, 2):
        plugin.save_checkpoint({"step": step, "weights": torch.ones(3)}, path)
        assert plugin.load_checkpoint(path)["step"] == step
    assert [each.name for each in path.parent.iterdir()] == ["last.ckpt"]


def test_no_other_file_system_is_written_to(tmp_path: Path, monkeypatch) -> None:
    written = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda a, b: (written.append(a), replace(a, b))[1])
    DurableCheckpointIO().save_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    assert [each.parent for each in written] == [tmp_path]


@pytest.mark.parametrize("method", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch, method: str
) -> None:
    path = tmp_path / "last.ckpt"
    plugin = DurableCheckpointIO()
    plugin.save_checkpoint({"step": 1}, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if method == "fsync" else Path, method, full)
    with pytest.raises(InputError, match=r"No space left on device.*--ckpt_path"):
        plugin.save_checkpoint({"step": 2}, path)
    assert plugin.load_checkpoint(path)["step"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]
