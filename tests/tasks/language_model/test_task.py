"""What a training step does with its window, without a trainer around it."""

from itertools import pairwise, product
from string import ascii_lowercase
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nlp_rnn.data.streams import Window
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError
from nlp_rnn.evaluation import DynamicEvaluation, NeuralCache
from nlp_rnn.inference import TextGenerator
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.tasks.language_model import LanguageModelTask
from nlp_rnn.tasks.optimization import Optimization

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
    (outputs, dropped, _), _ = task.network(whole.inputs, task.network.zero_state(2))
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


def test_every_batch_epoch_rank_and_seed_has_dropout_of_its_own(build, monkeypatch):
    task, drawn = build(), []
    for seed, rank, epoch, batch in [*product((0, 1), repeat=4), (0, 0, 0, 0)]:
        monkeypatch.setenv("PL_GLOBAL_SEED", str(seed))
        monkeypatch.setattr(LanguageModelTask, "global_rank", rank)
        monkeypatch.setattr(LanguageModelTask, "current_epoch", epoch)
        task.on_train_batch_start(None, batch)
        drawn.append(tuple(torch.rand(4).tolist()))
    assert len(set(drawn)) == 16
    assert drawn[0] == drawn[-1]


def gradient_norm(task):
    grads = [each.grad for each in task.parameters() if each.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads))


@pytest.mark.parametrize(("most", "left"), [(0.1, 0.1), (3.0, 1.0), (0.0, 1.0), (-1.0, 1.0)])
def test_the_norm_of_the_gradient_is_clipped(build, most, left):
    task = build()
    task.training_step(window(0, 40), 0).backward()
    norm = gradient_norm(task)
    task.configure_gradient_clipping(None, most * norm, "norm")
    assert gradient_norm(task) == pytest.approx(left * norm, rel=1e-3)


def test_clipping_by_value_is_left_to_the_trainer(build, monkeypatch):
    task, asked = build(), []
    monkeypatch.setattr(task, "clip_gradients", lambda *options: asked.append(options))
    task.training_step(window(0, 40), 0).backward()
    task.configure_gradient_clipping(None, 0.2, "value")
    assert asked == [(None, 0.2, "value")]


@pytest.mark.parametrize(("fn", "size"), [("fit", 0), ("validate", 50)])
def test_a_validation_in_training_has_no_cache(build, monkeypatch, fn, size):
    trainer = SimpleNamespace(state=SimpleNamespace(fn=fn))
    monkeypatch.setattr(LanguageModelTask, "trainer", trainer)
    task = build(cache=NeuralCache(size=50), dynamic=DynamicEvaluation(learning_rate=1.0))
    task.on_validation_epoch_start()
    assert task._reader.cache.size == size
    assert bool(task._reader.dynamic.learning_rate) == bool(size)


def test_numbers_that_no_checkpoint_holds_are_refused_before_training(build, monkeypatch):
    monkeypatch.setattr(LanguageModelTask, "trainer", SimpleNamespace(precision="32-true"))
    task = build(optimization=Optimization(learning_rate=np.float64(0.1)))
    with pytest.raises(InputError, match=r"^learning_rate is .* give plain text, numbers"):
        task.setup("fit")
    task = build()
    task.network.arguments["dropout"] = np.float64(0)
    with pytest.raises(InputError, match=r"^dropout is .* give plain text, numbers"):
        task.setup("fit")


@pytest.mark.parametrize(
    ("batch_idx", "last", "stops"), [(0, False, False), (1, False, True), (2, True, True)]
)
def test_a_stop_waits_for_the_end_of_an_update(build, monkeypatch, batch_idx, last, stops):
    trainer = SimpleNamespace(
        should_stop=True, max_steps=-1, accumulate_grad_batches=2, is_last_batch=last
    )
    monkeypatch.setattr(LanguageModelTask, "trainer", trainer)
    monkeypatch.setattr(LanguageModelTask, "global_step", 0)
    build().on_train_batch_end(None, None, batch_idx)
    assert trainer.should_stop == stops


def test_predict_reads_in_the_direction_it_learnt(build, monkeypatch):
    vocabulary = WordVocabulary([*ascii_lowercase])
    data = SimpleNamespace(vocabulary=vocabulary, direction="backward")
    state = SimpleNamespace(fn="predict")
    trainer = SimpleNamespace(state=state, precision="32-true", datamodule=data)
    monkeypatch.setattr(LanguageModelTask, "trainer", trainer)
    task = build()
    forward, backward = (
        sum(TextGenerator(task.network, vocabulary, direction=way).log_probs(["a b c"])[0])
        for way in ("forward", "backward")
    )
    assert task.predict_step(["a b c"], 0) == [pytest.approx(backward)]
    assert forward != pytest.approx(backward)
