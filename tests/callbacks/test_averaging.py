import pytest
import torch

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


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_that_is_no_share_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"averaging\.decay"):
        Averaging(decay)
