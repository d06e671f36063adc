"""What a step does with its batch, without a trainer around it."""

import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import BOS, EOS, PAD
from nlp_rnn.errors import InputError
from nlp_rnn.tasks.translate import TranslationTask
from nlp_rnn.tasks.translate.data import Batch

SOURCE, LENGTHS = pad([[5, 6, 7, EOS], [8, EOS]])
TARGET, _ = pad([[BOS, 9, 8, 7, EOS], [BOS, 6, EOS]])
BATCH = Batch(SOURCE, LENGTHS, TARGET, [], [], [])


@pytest.fixture
def build(make_network, monkeypatch):
    """Makes tasks whose networks are alike, and what they log."""

    def build(**arguments):
        task, logged = TranslationTask(make_network(), **arguments), {}
        monkeypatch.setattr(task, "mean_over_ranks", lambda total, count: total / count)
        monkeypatch.setattr(
            task, "log", lambda name, value, **options: logged.update({name: value})
        )
        monkeypatch.setattr(task, "_write", lambda *args: None)
        return task, logged

    return build


@pytest.mark.parametrize("sample", [0, 999])  # all of the vocabulary
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_mean_cost_of_real_tokens(build, smoothing, sample):
    task, logged = build(label_smoothing=smoothing, softmax_sample=sample)
    loss = task.training_step(BATCH, 0)
    task.validation_step(BATCH, 0)
    outputs, _ = task.network(SOURCE, LENGTHS, TARGET[:, :-1])
    logits, following = task.network.decoder.project(outputs).flatten(0, 1), TARGET[:, 1:].flatten()
    for found, share in ((loss, smoothing), (logged["val_loss"], 0.0)):
        expected = F.cross_entropy(logits, following, ignore_index=PAD, label_smoothing=share)
        torch.testing.assert_close(found, expected)


def test_a_sample_of_words_is_drawn_anew_and_for_training_alone(build):
    (whole, seen), (sampled, seen_too) = build(), build(softmax_sample=2)
    torch.manual_seed(1)
    first, second = (sampled.training_step(BATCH, 0) for _ in range(2))
    expected = whole.training_step(BATCH, 0)
    assert min(abs(first - second), abs(first - expected), abs(second - expected)) > 1e-4
    for task in (whole, sampled):
        task.validation_step(BATCH, 0)
    torch.testing.assert_close(seen_too["val_loss"], seen["val_loss"])


def test_a_negative_sample_is_refused(build):
    with pytest.raises(InputError, match="softmax_sample -1 is out of range"):
        build(softmax_sample=-1)
