import itertools
import math

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from nlp_rnn.errors import InputError
from nlp_rnn.tasks.optimization import Optimization


@pytest.mark.parametrize("decay", ["cosine", "inverse_sqrt", "constant"])
def test_rises_linearly_to_the_peak_and_never_above(decay: str) -> None:
    options = Optimization(warmup_steps=10, decay=decay)
    shares = [options.share(step, 100) for step in range(1, 101)]
    assert shares[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert max(shares) == 1
    assert all(later <= earlier for earlier, later in itertools.pairwise(shares[9:]))


def test_cosine_ends_at_its_final_share_and_stays_there() -> None:
    options = Optimization(warmup_steps=10, final_share=0.1)
    assert options.share(100, 100) == options.share(1000, 100) == pytest.approx(0.1)
    assert options.share(55, 100) == pytest.approx(0.55)


def test_inverse_square_root_needs_no_end() -> None:
    options = Optimization(warmup_steps=25, decay="inverse_sqrt")
    assert options.share(100, math.inf) == pytest.approx(0.5)


def test_the_schedule_drives_the_optimizer() -> None:
    weight = nn.Parameter(torch.zeros(1))
    options = Optimization(learning_rate=0.5, warmup_steps=4, decay="constant")
    optimizer, schedule = options.build([weight], total_steps=10)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        weight.grad = torch.ones(1)
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": -1.0},
        {"learning_rate": math.nan},
        {"warmup_steps": -1},
        {"final_share": 2.0},
        {"beta2": 1.0},
        {"weight_decay": -0.1},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        Optimization(**values)


def test_a_restored_optimizer_adopts_the_present_values() -> None:
    weight = nn.Parameter(torch.zeros(1))
    before = Optimization(learning_rate=0.5, warmup_steps=4)
    optimizer, schedule = before.build([weight], total_steps=10)
    for _ in range(6):
        optimizer.step()
        schedule.step()
    saved = optimizer.state_dict(), schedule.state_dict()
    changed = Optimization(learning_rate=0.1, warmup_steps=4, weight_decay=0.2, beta2=0.5)
    for present in (before, changed):
        other, resumed = present.build([weight], total_steps=10)
        other.load_state_dict(saved[0])
        resumed.load_state_dict(saved[1])
        present.adopt(resumed)
        rate = present.learning_rate
        assert other.param_groups[0]["weight_decay"] == present.weight_decay
        assert other.param_groups[0]["betas"] == (0.9, present.beta2)
        assert other.param_groups[0]["lr"] == rate * present.share(7, 10)
        other.step()
        resumed.step()
        assert other.param_groups[0]["lr"] == rate * present.share(8, 10)


def test_sgd_steps_along_the_gradient() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    options = Optimization(algorithm="sgd", learning_rate=0.5, warmup_steps=0, decay="constant")
    optimizer, _ = options.build([weight], total_steps=10)
    weight.grad = torch.tensor([0.4])
    optimizer.step()
    assert weight.item() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("before", "present"), [*itertools.permutations(("adamw", "muon", "sgd"), 2)]
)
def test_a_checkpoint_of_another_algorithm_is_refused(before: str, present: str) -> None:
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.ones(1)
    optimizer, _ = Optimization(algorithm=before).build([weight], total_steps=10)
    optimizer.step()
    saved = optimizer.state_dict()
    Optimization(algorithm=before).check_resumable(saved)
    with pytest.raises(InputError, match=f"{present} cannot go on with a checkpoint of {before}"):
        Optimization(algorithm=present).check_resumable(saved)


def test_muon_takes_the_matrices_and_adamw_the_rest() -> None:
    torch.manual_seed(0)
    start = [torch.randn(6, 4), torch.randn(4, 4), torch.randn(9, 4), torch.randn(4)]
    own, apart = ([nn.Parameter(each.clone()) for each in start] for _ in range(2))
    options = Optimization(
        algorithm="muon", learning_rate=0.1, warmup_steps=3, weight_decay=0.3, decay="constant"
    )
    groups = [{"params": [own[0], own[2]], "scale": 0.5}, {"params": [own[1], own[3]]}]
    optimizer, schedule = options.build(groups, total_steps=10, matrices=own[:2])
    muon = Muon(
        [{"params": [apart[0]]}, {"params": [apart[1]]}],
        weight_decay=0.3,
        adjust_lr_fn="match_rms_adamw",
    )
    adamw = AdamW(
        [{"params": [apart[2]]}, {"params": [apart[3]]}],
        betas=(0.9, 0.98),
        eps=1e-9,
        weight_decay=0.3,
    )
    for update in range(5):
        for one, other in zip(own, apart):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for part in (muon, adamw):
            for group, scale in zip(part.param_groups, (0.5, 1.0)):
                group["lr"] = 0.1 * scale * min(1.0, (update + 1) / 3)
            part.step()
        if update == 2:  # go on with another one, from its checkpoint
            saved = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = options.build(groups, total_steps=10, matrices=own[:2])
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        optimizer.step()
        schedule.step()
        for one, other in zip(own, apart):
            torch.testing.assert_close(one, other)


def test_muon_calls_its_closure_with_gradients() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer, _ = Optimization(algorithm="muon").build([weight], total_steps=9, matrices=[weight])

    def closure() -> float:
        loss = weight.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 4.0
    assert (weight < 1).all()
