import shutil
import warnings
from datetime import timedelta

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from nlp_rnn.callbacks import BestCheckpoint
from nlp_rnn.errors import InputError


def build(folder, **options):
    return BestCheckpoint(
        dirpath=folder,
        **{"monitor": "val_loss", "filename": "best", "enable_version_counter": False, **options},
    )


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


def test_a_score_whose_checkpoint_is_not_there_is_not_taken_over(written, tmp_path):
    (tmp_path / "runs" / "best.ckpt").unlink()
    for folder in (tmp_path / "new", tmp_path / "runs"):
        after = build(folder)
        after.load_state_dict({**written, "dirpath": str(folder)})
        assert after.best_model_score is None
        assert after.best_k_models == {}


def test_an_epochs_end_is_no_place_to_save_where_validations_are_within(tmp_path):
    options = {"logger": False, "accelerator": "cpu", "enable_progress_bar": False}
    best = build(tmp_path, save_on_train_epoch_end=True)
    best.setup(Trainer(**options), None, "fit")
    for validation in ({"val_check_interval": 0.4}, {"check_val_every_n_epoch": 2}):
        with pytest.raises(InputError, match="score of an earlier validation"):
            best.setup(Trainer(**options, **validation), None, "fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_top_k": 3}, "would overwrite each other"),
        ({"save_top_k": -1, "filename": "best-{epoch}"}, "would overwrite each other"),
        ({"save_weights_only": True}, "averaged weights"),
        ({"every_n_train_steps": 5}, "score of the validation before"),
        ({"train_time_interval": timedelta(minutes=1)}, "score of the validation before"),
        ({"save_last": True}, "save_last: an interrupted training leaves last.ckpt"),
        ({"save_on_exception": True}, "save_last: an interrupted training leaves last.ckpt"),
        ({"mode": "max"}, "val_loss: its minimum is best; add --checkpoint.mode min"),
        ({"monitor": "val_bleu"}, "val_bleu: its maximum is best; add --checkpoint.mode max"),
    ],
)
def test_what_would_not_keep_the_best_is_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        build(tmp_path, **options).setup(Trainer(logger=False, accelerator="cpu"), None, "fit")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"save_top_k": 3, "filename": "best-{step}"},
        {"monitor": "val_ter"},
        {"monitor": None},
        {"monitor": "val_wer"},
    ],
)
def test_what_keeps_the_best_is_not(tmp_path, options):
    trainer = Trainer(logger=False, accelerator="cpu")
    build(tmp_path, **options).setup(trainer, LightningModule(), "fit")


def test_a_stop_where_training_does_best_is_refused(tmp_path):
    stopping = EarlyStopping("val_word_perplexity", mode="max")
    trainer = Trainer(logger=False, accelerator="cpu", callbacks=[stopping])
    with pytest.raises(InputError, match="add --early_stopping"):
        build(tmp_path).setup(trainer, LightningModule(), "fit")
