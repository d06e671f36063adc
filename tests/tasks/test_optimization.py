import itertools
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon

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
        {"embedding_rate": 0.0},
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
    ("before", "present"), [*itertools.permutations(("adamw", "adam_sgd", "muon", "sgd"), 2)]
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


class Small(nn.Module):
    """A recurrent layer, and an embedding that a softmax is tied to."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(9, 4)
        self.layer = nn.GRU(4, 3)
        self.softmax = nn.Linear(4, 9)
        self.softmax.weight = self.embedding.weight


def apart(algorithm: str, first: list[nn.Parameter], rest: list[nn.Parameter]) -> Any:
    """The two optimizers, and the ratio of the first one's rate."""
    if algorithm == "muon":
        muon = Muon(first, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
        return muon, 1.0, AdamW(rest, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.3)
    adam = AdamW(rest, betas=(0.0, 0.98), eps=1e-9, weight_decay=0.3)
    return SGD(first, weight_decay=0.3 / 7), 7.0, adam


@pytest.mark.parametrize("algorithm", ["muon", "adam_sgd"])
def test_two_algorithms_train_their_parts_as_each_would_alone(algorithm: str) -> None:
    own, other = Small(), Small()
    options = Optimization(
        algorithm=algorithm,
        learning_rate=0.1,
        embedding_rate=0.7,
        warmup_steps=3,
        weight_decay=0.3,
        decay="constant",
    )
    weights = dict(own.named_parameters())
    halves = [*weights.values()][:2], [*weights.values()][2:]
    groups = [{"params": [*halves[0]], "scale": 0.5}, {"params": [*halves[1]]}]
    optimizer, schedule = options.build(groups, total_steps=10, network=own)
    chosen = {
        "muon": {"layer.weight_ih_l0", "layer.weight_hh_l0"},
        "adam_sgd": {"embedding.weight"},
    }[algorithm]
    halved = {name for name, weight in weights.items() if any(weight is e for e in halves[0])}
    references = []
    for scale, names in ((0.5, halved), (1.0, set(weights) - halved)):
        parts = [
            [weight for name, weight in other.named_parameters() if name in names & which]
            for which in (chosen, set(weights) - chosen)
        ]
        first, ratio, rest = apart(algorithm, *(part or [nn.Parameter()] for part in parts))
        references += [(first, scale * ratio), (rest, scale)]
    for update in range(5):
        for one, two in zip(own.parameters(), other.parameters()):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        for reference, ratio in references:
            reference.param_groups[0]["lr"] = 0.1 * ratio * min(1.0, (update + 1) / 3)
            reference.step()
        if update == 2:  # go on with another one, from its checkpoint
            saved = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = options.build(groups, total_steps=10, network=own)
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        optimizer.step()
        schedule.step()
        for one, two in zip(own.parameters(), other.parameters()):
            torch.testing.assert_close(one, two)


def test_a_resume_takes_the_present_rate_of_embeddings() -> None:
    network = nn.Embedding(2, 1)
    saved: Any = None
    for rate in (1.0, 10.0):
        options = Optimization(
            algorithm="adam_sgd", embedding_rate=rate, warmup_steps=0, decay="constant"
        )
        optimizer, schedule = options.build(network.parameters(), total_steps=9, network=network)
        if saved:
            optimizer.load_state_dict(saved)
        options.adopt(schedule)
        nn.init.zeros_(network.weight).grad = torch.ones(2, 1)
        optimizer.step()
        saved = optimizer.state_dict()
        torch.testing.assert_close(network.weight.detach(), torch.full((2, 1), -rate))


def test_a_split_optimizer_calls_its_closure_with_gradients() -> None:
    layer = nn.RNN(2, 2)
    options = Optimization(algorithm="muon")
    optimizer, _ = options.build(layer.parameters(), total_steps=9, network=layer)
    before = layer.weight_ih_l0.detach().clone()

    def closure() -> float:
        loss = layer.weight_ih_l0.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == pytest.approx(before.square().sum().item())
    assert (layer.weight_ih_l0 != before).all()
