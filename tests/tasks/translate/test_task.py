"""What a step does with its batch, without a trainer around it."""

import pytest
import torch
import torch.nn.functional as F

from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import BOS, EOS, PAD
from nlp_rnn.tasks.translate import TranslationTask
from nlp_rnn.tasks.translate.data import Batch


@pytest.mark.parametrize(("smoothing", "sample"), [(0.0, 0), (0.3, 0), (0.3, 999), (0.3, 2)])
def test_the_loss_is_the_mean_cost_of_real_tokens(make_network, monkeypatch, smoothing, sample):
    task = TranslationTask(make_network(), label_smoothing=smoothing, softmax_sample=sample)
    logged = {}
    monkeypatch.setattr(task, "mean_over_ranks", lambda total, count: total / count)
    monkeypatch.setattr(task, "log", lambda name, value, **options: logged.update({name: value}))
    monkeypatch.setattr(task, "_write", lambda *args: None)
    source, lengths = pad([[5, 6, 7, EOS], [8, EOS]])
    target, _ = pad([[BOS, 9, 8, 7, EOS], [BOS, 6, EOS]])
    batch = Batch(source, lengths, target, [], [], [])
    loss = task.training_step(batch, 0)
    task.validation_step(batch, 0)
    outputs, _ = task.network(source, lengths, target[:, :-1])
    logits, following = task.network.decoder.project(outputs).flatten(0, 1), target[:, 1:].flatten()
    for found, share in ((loss, smoothing), (logged["val_loss"], 0.0)):
        expected = F.cross_entropy(logits, following, ignore_index=PAD, label_smoothing=share)
        if sample == 2 and found is loss:
            # Among a few words; drawn again, they cost otherwise.
            assert loss != task.training_step(batch, 0)
        else:
            torch.testing.assert_close(found, expected)
