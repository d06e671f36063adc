"""Settings of the trainer that Lightning takes, and that do something else than they say."""

from collections.abc import Mapping
from typing import Any

from nlp_rnn.errors import InputError

__all__ = ["check_trainer"]

_LIMITS = {
    "validate": "limit_val_batches",
    "test": "limit_test_batches",
    "predict": "limit_predict_batches",
}


def check_trainer(trainer: Mapping[str, Any], subcommand: str) -> None:
    """Refuse what would validate at the wrong time, or leave a subcommand nothing to do.

    Args:
        trainer: its arguments, as configured.
        subcommand: what it is to do.

    Raises:
        InputError: such a setting, with what to give instead.
    """
    interval = trainer.get("val_check_interval")
    if not isinstance(interval, (int, float, type(None))):
        raise InputError(
            f"--trainer.val_check_interval {interval}: a resume knows of no clock; give a "
            "number of batches or a share of an epoch"
        )
    if isinstance(interval, int) and interval == 1:
        raise InputError(
            "--trainer.val_check_interval 1: Lightning would validate after every batch, but "
            "keep the best of an epoch's last alone; give 2 or more, or 1.0 for an epoch"
        )
    limit = _LIMITS.get(subcommand)
    if limit and trainer.get(limit) == 0:
        raise InputError(
            f"--trainer.{limit} 0 leaves nothing to {subcommand}: give 1 or more, or leave it out"
        )
    if subcommand == "fit" and trainer.get("limit_val_batches") == 0:
        raise InputError(
            "--trainer.limit_val_batches 0: the best checkpoint is chosen by validation, and "
            "so is when to stop; give 1 or more, or leave it out"
        )
