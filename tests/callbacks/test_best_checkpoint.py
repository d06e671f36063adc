import shutil
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from nlp_rnn.callbacks import BestCheckpoint


def build(folder):
    return BestCheckpoint(dirpath=folder, monitor="val_loss", filename="best")


@pytest.fixture
def written(tmp_path):
    """What a run remembers whose folder was named relative to another working directory."""
    folder = tmp_path / "runs"
    folder.mkdir()
    (folder / "best.ckpt").touch()
    before = build(folder)
    before.best_model_score = torch.tensor(0.5)
    before.best_model_path = before.kth_best_model_path = "runs/best.ckpt"
    before.best_k_models = {"runs/best.ckpt": torch.tensor(0.5)}
    return {**before.state_dict(), "dirpath": "runs"}


@pytest.mark.parametrize("moved", [False, True])
def test_the_best_score_is_known_again_wherever_the_folder_is(written, tmp_path, moved):
    folder = tmp_path / "runs"
    if moved:
        folder = shutil.move(folder, tmp_path / "elsewhere")
    after = build(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after.load_state_dict(written)
    assert after.best_model_score == 0.5
    assert after.best_model_path == after.kth_best_model_path == str(folder / "best.ckpt")
    assert after.best_k_models == {str(folder / "best.ckpt"): torch.tensor(0.5)}


def test_it_reads_what_a_model_checkpoint_wrote(tmp_path):
    plain = ModelCheckpoint(dirpath=tmp_path, monitor="val_loss", filename="best")
    assert build(tmp_path).state_key == plain.state_key


def test_a_score_whose_checkpoint_lies_elsewhere_is_not_taken_over(written, tmp_path):
    after = build(tmp_path / "new")
    with pytest.warns(UserWarning, match="dirpath has changed"):
        after.load_state_dict(written)
    assert after.best_model_score is None
