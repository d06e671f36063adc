from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from nlp_rnn.callbacks.averaging import Averaging
from nlp_rnn.errors import InputError


def average(decay: float, values: list[float]) -> float:
    """What the callback's own update makes of a weight that takes these values."""
    update = Averaging(decay)._kwargs["multi_avg_fn"]
    kept = [torch.tensor(values[0])]
    for count, value in enumerate(values[1:], 1):
        update(kept, [torch.tensor(value)], torch.tensor(count))
    return float(kept[0])


def test_a_constant_weight_is_its_own_average() -> None:
    assert average(0.9, [3.0] * 20) == pytest.approx(3.0)


def test_the_start_is_forgotten_long_before_the_decay_would_allow() -> None:
    values = [100.0] + [1.0] * 300
    assert average(0.998, values) == pytest.approx(1.0, abs=1e-3)
    assert 0.998**300 * 99 > 50  # what a constant decay would still hold of it


def test_late_updates_follow_the_decay() -> None:
    long = [0.0] * 5000
    assert average(0.99, [*long, 1.0]) == pytest.approx(0.01, rel=1e-3)


def non_monotone(weights: list[float], losses: list[float], patience: int) -> list[float]:
    """What NT-ASGD keeps of a weight after every update, each followed by a validation."""
    callback: Any = Averaging(non_monotone=patience)
    kept, seen = [torch.tensor(weights[0])], [weights[0]]
    for count, (weight, loss) in enumerate(zip(weights[1:], losses), 1):
        callback._update(kept, [torch.tensor(weight)], torch.tensor(count))
        seen.append(float(kept[0]))
        metrics = {"val_loss": torch.tensor(loss)}
        trainer = SimpleNamespace(sanity_checking=False, callback_metrics=metrics)
        callback.on_validation_end(trainer, None)
    return seen


def test_the_weights_themselves_as_long_as_the_loss_falls() -> None:
    weights = [1.0, 2.0, 5.0, 3.0]
    assert non_monotone(weights, [3.0, 2.0, 1.0], patience=1) == weights


def test_the_plain_mean_once_the_loss_is_above_the_best_but_for_the_last() -> None:
    losses = [3.0, 2.0, 2.5, 2.9, 3.1, 1.0]
    weights = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0]
    # 2.5 is below the 3.0 of two validations before, 2.9 is above the 2.0 of two before.
    assert non_monotone(weights, losses, patience=1) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    # Three left out, 3.1 is the first above what remains: 3.0.
    kept = non_monotone([*weights, 8.0], [*losses, 1.0], patience=3)
    assert kept == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 7.5]


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_that_is_no_share_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"averaging\.decay"):
        Averaging(decay)


def test_a_negative_number_of_validations_is_refused() -> None:
    with pytest.raises(InputError, match=r"averaging\.non_monotone"):
        Averaging(non_monotone=-1)


class Line(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Linear(1, 1)

    def training_step(self, batch: Tensor) -> Tensor:
        return self.weight(batch).square().mean()

    def validation_step(self, batch: Tensor) -> None:
        self.log("val_loss", self.weight(batch).square().mean())

    def test_step(self, batch: Tensor) -> None:
        self.log("weight", self.weight.weight.sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.2)


def train(callback: Averaging, folder: Path) -> tuple[Trainer, Line]:
    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=[callback, ModelCheckpoint(folder, monitor="val_loss", filename="best")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Line()
    trainer.fit(module, DataLoader(torch.ones(4, 1)), DataLoader(torch.ones(1, 1)))
    return trainer, module


def test_a_callback_may_be_used_again(tmp_path: Path) -> None:
    callback = Averaging(0.5)
    _, first = train(callback, tmp_path / "first")
    _, second = train(callback, tmp_path / "second")
    assert torch.equal(first.weight.weight, second.weight.weight)


def test_the_average_is_what_a_test_after_training_scores(tmp_path: Path) -> None:
    trainer, _ = train(Averaging(0.9), tmp_path)
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert best["state_dict"]["weight.weight"] != best["current_model_state"]["weight.weight"]
    (found,) = trainer.test(Line(), DataLoader(torch.ones(1, 1)), ckpt_path=tmp_path / "best.ckpt")
    assert found["weight"] == pytest.approx(float(best["state_dict"]["weight.weight"]))
