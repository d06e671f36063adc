import pytest

from nlp_rnn.errors import InputError
from nlp_rnn.tasks.trainer_checks import check_trainer


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("interval", [None, 2, 0.5, 1.0])
def test_what_says_what_it_does_is_taken(subcommand: str, interval: float | None) -> None:
    check_trainer({"val_check_interval": interval, "limit_val_batches": 1}, subcommand)


@pytest.mark.parametrize("interval", ["00:00:10:00", {"minutes": 10}])
def test_validation_by_the_clock_is_refused(interval) -> None:
    with pytest.raises(InputError, match="a resume knows of no clock"):
        check_trainer({"val_check_interval": interval}, "fit")


def test_validation_after_every_batch_is_refused() -> None:
    with pytest.raises(InputError, match="give 2 or more"):
        check_trainer({"val_check_interval": 1}, "fit")


@pytest.mark.parametrize(
    ("subcommand", "split"), [("validate", "val"), ("test", "test"), ("predict", "predict")]
)
def test_nothing_to_do_is_refused(subcommand: str, split: str) -> None:
    with pytest.raises(InputError, match=f"limit_{split}_batches 0 leaves nothing to {subcommand}"):
        check_trainer({f"limit_{split}_batches": 0}, subcommand)
    check_trainer({f"limit_{split}_batches": 0.5}, subcommand)


def test_training_without_validation_is_refused() -> None:
    with pytest.raises(InputError, match="the best checkpoint is chosen by validation"):
        check_trainer({"limit_val_batches": 0}, "fit")
