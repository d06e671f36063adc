"""What becomes of errors, on the command line of translation."""

import pytest

from nlp_rnn.callbacks.graceful_stop import Stopped
from nlp_rnn.errors import InputError
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.tasks.base import DivergedError
from nlp_rnn.tasks.run import run
from nlp_rnn.tasks.translate import TranslationTask
from nlp_rnn.tasks.translate.cli import TranslateCLI


def test_a_trainer_option_out_of_range_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(lambda: TranslateCLI(["fit", "--trainer.max_epochs=-3"]))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: `max_epochs` must be")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such file"), 2, "error: no such file"),
        (DivergedError("update 3: nan"), 1, "training diverged at update 3: nan"),
        (Stopped("stopped at update 3"), 130, "stopped at update 3"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run(fail)
    assert stopped.value.code == code
    assert capsys.readouterr().err.splitlines() == [line]


def test_our_own_errors_keep_their_traceback() -> None:
    def fail() -> None:
        raise ValueError("a mistake of ours")

    def misuse() -> None:  # which Lightning detects
        TranslationTask(Seq2Seq(vocab_size=9)).on_validation_epoch_end()

    for mistake, message in ((fail, "of ours"), (misuse, "not attached to a `Trainer`")):
        with pytest.raises((ValueError, RuntimeError), match=message):
            run(mistake)
