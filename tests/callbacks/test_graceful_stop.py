"""A training that is stopped and resumed validates when one that was left alone does."""

import os
import signal

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from nlp_rnn.callbacks import BestCheckpoint, GracefulStop, LastCheckpoint
from nlp_rnn.callbacks.graceful_stop import Stopped
from nlp_rnn.tasks.base import Task

BATCHES, EPOCHS = 4, 2


class Line(LightningModule):
    """One weight; presses Ctrl-C within an update, and notes when it is validated."""

    def __init__(self, interrupted=0, signals=1):
        super().__init__()
        self.weight = nn.Linear(1, 1)
        self.interrupted, self.signals = interrupted, signals
        self.validated, self.seen = [], []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch_idx)
        if self.global_step + 1 == self.interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        return self.weight(batch).square().mean()

    on_train_batch_end = Task.on_train_batch_end

    def validation_step(self, batch):
        if self.signals > 1 and self.global_step == self.interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        self.log("val_loss", self.weight(batch).square().mean())

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.validated.append(self.global_step)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(
    folder,
    *,
    interval=1.0,
    every=1,
    epochs=EPOCHS,
    updates=-1,
    threshold=None,
    ckpt_path=None,
    **interruption,
):
    torch.manual_seed(0)
    module = Line(**interruption)
    best = BestCheckpoint(dirpath=folder, filename="best", monitor="val_loss")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        max_steps=updates,
        val_check_interval=interval,
        check_val_every_n_epoch=every,
        callbacks=[
            EarlyStopping("val_loss", stopping_threshold=threshold),
            best,
            LastCheckpoint(),
            GracefulStop(),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    data = [DataLoader(torch.ones(count, 1)) for count in (BATCHES, 1)]
    stopped = ""
    try:
        trainer.fit(module, *data, ckpt_path=ckpt_path)
    except Stopped as error:
        stopped = str(error)
    return module, trainer, stopped


@pytest.mark.parametrize(
    ("validation", "update"),
    [
        *(({}, update) for update in (3, 4, 8)),
        *(({"interval": 2}, update) for update in (2, 3, 4, 6)),
        *(({"interval": 3, "every": None}, update) for update in (3, 4, 6)),
        *(({"every": 2}, update) for update in (4, 8)),
        *(({"updates": 6}, update) for update in (4, 5, 6)),
        ({"updates": 6, "interval": 2}, 4),
        ({"updates": 6, "interval": 3}, 4),
    ],
)
def test_no_validation_is_lost(tmp_path, validation, update):
    whole, _, _ = train(tmp_path / "whole", **validation)
    first, trainer, stopped = train(tmp_path / "parts", interrupted=update, **validation)
    assert trainer.global_step == update
    if update == whole.trainer.global_step:  # it is over anyway
        assert not stopped
        assert first.validated == whole.validated
        return
    assert f"stopped at update {update};" in stopped
    last = tmp_path / "parts" / "last.ckpt"
    second, trainer, stopped = train(tmp_path / "parts", ckpt_path=last, **validation)
    assert not stopped
    assert trainer.global_step == validation.get("updates", BATCHES * EPOCHS)
    assert first.validated + second.validated == whole.validated
    assert torch.equal(second.weight.weight, whole.weight.weight)
    scores = [
        torch.load(tmp_path / run / "last.ckpt", weights_only=True)["callbacks"]
        for run in ("whole", "parts")
    ]
    best, resumed = (
        next(v["best_model_score"] for k, v in each.items() if "ModelCheckpoint" in k)
        for each in scores
    )
    assert best == resumed


@pytest.mark.parametrize("again", [2 * BATCHES - 1, 2 * BATCHES])
@pytest.mark.parametrize("updates", [-1, 3 * BATCHES])
def test_a_second_signal_in_the_validation_leaves_the_update(tmp_path, again, updates):
    common = {"epochs": 3, "updates": updates}
    last = tmp_path / "last.ckpt"
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, interrupted=BATCHES, signals=2, **common)
    assert torch.load(last, weights_only=True)["global_step"] == BATCHES
    _, _, stopped = train(tmp_path, interrupted=again, ckpt_path=last, **common)
    assert f"stopped at update {again};" in stopped
    resumed, trainer, stopped = train(tmp_path, ckpt_path=last, **common)
    assert not stopped
    assert trainer.current_epoch == 3
    assert trainer.global_step == 3 * BATCHES
    assert resumed.validated[-1] == 3 * BATCHES


def test_more_updates_go_on_in_the_epoch_that_was_cut(tmp_path):
    train(tmp_path, updates=BATCHES + 2)
    module, trainer, _ = train(tmp_path, updates=2 * BATCHES, ckpt_path=tmp_path / "last.ckpt")
    assert trainer.global_step == 2 * BATCHES
    assert module.validated == [2 * BATCHES]
    assert module.seen == [2, 3]


def test_a_stop_that_was_due_anyway_is_none(tmp_path):
    """Early stopping is not in a checkpoint: a resumed run would train on."""
    module, trainer, stopped = train(tmp_path, interrupted=BATCHES, epochs=3, threshold=1e9)
    assert not stopped
    assert trainer.global_step == BATCHES
    assert module.validated == [BATCHES]


@pytest.mark.parametrize("validation", [{"interval": 2}, {"every": 2}])
def test_the_best_of_an_epochs_end_is_gone_on_with(tmp_path, validation):
    """It is saved by the validation, before the epoch is closed."""
    whole, _, _ = train(tmp_path / "whole", epochs=6, **validation)
    parts = tmp_path / "parts"
    train(parts, epochs=2, **validation)
    assert torch.load(parts / "best.ckpt", weights_only=True)["global_step"] == 2 * BATCHES
    for epochs, name in ((4, "best"), (6, "last")):
        module, trainer, _ = train(
            parts, epochs=epochs, ckpt_path=parts / f"{name}.ckpt", **validation
        )
        assert module.seen == [*range(BATCHES)] * 2
        assert trainer.global_step == epochs * BATCHES
    assert torch.equal(module.weight.weight, whole.weight.weight)


def test_a_validation_by_itself_leaves_the_last_checkpoint(tmp_path):
    module, trainer, _ = train(tmp_path, interval=2)
    written = (tmp_path / "last.ckpt").read_bytes()
    trainer.validate(module, DataLoader(torch.ones(1, 1)), ckpt_path=tmp_path / "best.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == written


def test_a_training_after_one_that_was_stopped_goes_on_to_its_end(tmp_path):
    _, trainer, stopped = train(tmp_path, interrupted=2)
    assert stopped
    module = Line()
    trainer.fit(module, *[DataLoader(torch.ones(n, 1)) for n in (BATCHES, 1)], ckpt_path="last")
    assert trainer.global_step == BATCHES * EPOCHS


def test_the_checkpoint_of_another_callback_is_not_taken_for_ours(tmp_path):
    other = ModelCheckpoint(dirpath=tmp_path / "backup")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[
            other,
            BestCheckpoint(dirpath=tmp_path / "ours", monitor="val_loss"),
            LastCheckpoint(),
        ],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Line(), *[DataLoader(torch.ones(n, 1)) for n in (BATCHES, 1)])
    assert (tmp_path / "ours" / "last.ckpt").is_file()
    assert not (tmp_path / "backup" / "last.ckpt").exists()
