"""What a training step does with its batch, without a trainer around it."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.models.classifier import Classifier
from nlp_rnn.tasks.classify import ClassificationTask
from nlp_rnn.tasks.classify.adversarial import adversarial_nats
from nlp_rnn.tasks.classify.data import Batch
from nlp_rnn.tasks.classify.loss import LabelLoss

COUNTS = torch.tensor([6.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("class_weights", "weights"),
    [
        ("none", [1.0, 1.0, 1.0]),
        ("balanced", [10 / 18, 10 / 9, 10 / 3]),
        ([1.0, 2.0, 0.5], [1.0, 2.0, 0.5]),
    ],
)
def test_a_text_weighs_what_its_label_does(monkeypatch, class_weights, weights):
    data = SimpleNamespace(class_counts=lambda: COUNTS, labelled=lambda name: range(10))
    monkeypatch.setattr(ClassificationTask, "data", data)
    torch.manual_seed(1)
    network = Classifier(vocab_size=9, embedding_size=8, hidden_size=8, labels=["a", "b", "c"])
    task = ClassificationTask(network.eval(), loss=LabelLoss(class_weights=class_weights))
    monkeypatch.setattr(task, "mean_over_ranks", lambda total, count: total / count)
    monkeypatch.setattr(task, "log", lambda *args, **options: None)
    task.on_fit_start()
    tokens, targets = torch.randint(4, 9, (5, 6)), torch.tensor([0, 1, 2, 2, 0])
    lengths = torch.full((5,), 6)
    loss = task.training_step(Batch(tokens, lengths, targets), 0)
    nats = F.cross_entropy(network(tokens, lengths), targets, reduction="none")
    torch.testing.assert_close(loss, (nats * torch.tensor(weights)[targets]).mean())


def test_the_adversarial_loss_is_trained_on_where_it_is_asked_for(monkeypatch):
    torch.manual_seed(1)
    network = Classifier(vocab_size=9, embedding_size=8, hidden_size=8, labels=["a", "b", "c"])
    task = ClassificationTask(network.eval(), adversarial_norm=0.5)
    monkeypatch.setattr(task, "mean_over_ranks", lambda total, count: total / count)
    monkeypatch.setattr(task, "log", lambda *args, **options: None)
    tokens, targets = torch.randint(4, 9, (5, 6)), torch.tensor([0, 1, 2, 2, 0])
    lengths = torch.full((5,), 6)

    def read():
        return F.cross_entropy(network(tokens, lengths), targets, reduction="none")

    loss = task.training_step(Batch(tokens, lengths, targets), 0)
    expected = adversarial_nats(read, [network.reader.encoder.embedding], 0.5).mean()
    torch.testing.assert_close(loss, expected)
    assert loss > read().mean()


def test_a_sanity_check_is_no_calibration(monkeypatch):
    task = ClassificationTask(Classifier(vocab_size=9, embedding_size=8, hidden_size=8))
    monkeypatch.setattr(task, "_gathered", lambda: ([0], torch.zeros(2, 3), torch.tensor([0, 1])))
    monkeypatch.setattr(task, "_end", lambda *found, temperature: None)
    monkeypatch.setattr("nlp_rnn.tasks.classify.task.best_temperature", lambda *found: 2.0)
    for sanity, temperature in ((True, 1.0), (False, 2.0)):
        trainer = SimpleNamespace(state=SimpleNamespace(fn="fit"), sanity_checking=sanity)
        monkeypatch.setattr(ClassificationTask, "trainer", trainer)
        task.on_validation_epoch_end()
        assert task.temperature == temperature
