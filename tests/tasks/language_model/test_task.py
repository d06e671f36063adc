"""What a training step does with its window, without a trainer around it."""

from itertools import pairwise

import pytest
import torch

from nlp_rnn.data.streams import Window
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.tasks.language_model import LanguageModelTask

IDS = torch.randint(4, 30, (2, 41), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def build(monkeypatch):
    """Makes tasks whose networks are alike."""

    def build(*, output_dropout=0.0, **arguments):
        torch.manual_seed(1)
        network = LanguageModel(
            vocab_size=30,
            embedding_size=16,
            hidden_size=16,
            embedding_dropout=0,
            dropout=0,
            output_dropout=output_dropout,
        )
        task = LanguageModelTask(network, **arguments)
        monkeypatch.setattr(task, "mean_over_ranks", lambda total, count: total / count)
        monkeypatch.setattr(task, "log", lambda *args, **options: None)
        return task

    return build


def window(start, stop):
    return Window(IDS[:, start:stop], IDS[:, start + 1 : stop + 1], start == 0)


def nats(task, *bounds):
    """The mean loss over windows with these bounds."""
    parts = [
        (stop - start) * task.training_step(window(start, stop), 0)
        for start, stop in pairwise(bounds)
    ]
    return sum(parts) / bounds[-1]


@pytest.mark.parametrize("bounds", [(0, 10, 20, 30, 40), (0, 1, 2, 40), (0, 33, 40)])
def test_training_carries_the_state_over_its_windows(build, bounds):
    expected = nats(build(), 0, 40)
    task = build()
    torch.testing.assert_close(nats(task, *bounds), expected)
    torch.testing.assert_close(nats(task, *bounds), expected)  # the next epoch begins anew


@pytest.mark.parametrize(
    ("name", "weight", "cost"),
    [
        ("activation_regularization", 2.0, lambda outputs, dropped: dropped.square().mean()),
        (
            "temporal_regularization",
            3.0,
            lambda outputs, dropped: (outputs[:, 1:] - outputs[:, :-1]).square().mean(),
        ),
    ],
)
def test_regularisers_of_activations_are_those_of_merity(build, name, weight, cost):
    whole = window(0, 40)
    losses = []
    for task in (build(output_dropout=0.5), build(output_dropout=0.5, **{name: weight})):
        torch.manual_seed(2)
        losses.append(task.training_step(whole, 0))
    torch.manual_seed(2)
    outputs, dropped, _ = task.network(whole.inputs, task.network.zero_state(2))
    assert not torch.equal(outputs, dropped)
    torch.testing.assert_close(losses[1] - losses[0], weight * cost(outputs, dropped))


def test_a_step_alone_has_no_temporal_regulariser(build):
    expected = build().training_step(window(0, 1), 0)
    found = build(temporal_regularization=1.0).training_step(window(0, 1), 0)
    assert torch.equal(found, expected)


def test_only_the_softmax_is_rounded_to_bf16(build):
    expected, rounded = build(), build(head_precision="bf16")
    exact, found = (task.training_step(window(0, 40), 0) for task in (expected, rounded))
    assert found != exact
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0)
    for one, other in zip(expected._state, rounded._state):
        assert torch.equal(one, other)
