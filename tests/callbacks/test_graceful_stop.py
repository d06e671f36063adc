"""A training that is stopped and resumed validates when one that was left alone does."""

import os
import signal

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
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
        self.validated = []

    def training_step(self, batch):
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


def train(folder, *, interval=1.0, every=1, updates=-1, ckpt_path=None, **interruption):
    torch.manual_seed(0)
    module = Line(**interruption)
    best = BestCheckpoint(dirpath=folder, filename="best", monitor="val_loss")
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        max_steps=updates,
        val_check_interval=interval,
        check_val_every_n_epoch=every,
        callbacks=[EarlyStopping("val_loss"), best, LastCheckpoint(), GracefulStop()],
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
    assert f"stopped at update {update};" in stopped
    assert trainer.global_step == update
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


def test_a_second_signal_in_the_validation_leaves_the_update(tmp_path):
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path, interrupted=BATCHES, signals=2)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == BATCHES
