"""What happens to a training from outside: the same for all tasks."""

import contextlib
import os
import signal

import pytest
from lightning.pytorch.callbacks import Callback

from nlp_rnn.callbacks.graceful_stop import Stopped


class _At(Callback):
    """Does something in the middle of one update, once."""

    def __init__(self, step, action):
        self.step = step
        self.action = action

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step:
            self.step = -1  # an update may have several batches
            self.action(loss)


@pytest.fixture
def during_update(monkeypatch):
    """Does something in one update of the trainings of a `with` block."""

    @contextlib.contextmanager
    def add(cli, step, action):
        instantiate = cli._instantiate_trainer
        with monkeypatch.context() as patch:
            patch.setattr(
                cli,
                "_instantiate_trainer",
                lambda self, config, extra: instantiate(self, config, [*extra, _At(step, action)]),
            )
            yield

    return add


@pytest.fixture
def interrupted(during_update):
    """Presses Ctrl-C in one update of the training of a `with` block, which ends with it."""

    @contextlib.contextmanager
    def press(cli, step):
        with (
            during_update(cli, step, lambda loss: os.kill(os.getpid(), signal.SIGINT)),
            pytest.raises(Stopped, match="with fit --ckpt_path"),
        ):
            yield

    return press
