"""``best.ckpt`` is the best one, and remains it when training goes on."""

import re
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from nlp_rnn.errors import InputError

__all__ = ["BestCheckpoint", "best_checkpoint"]

_BEST = {
    "min": re.compile(r"train_loss|val_(loss|ter|\w+_perplexity|bits_per_\w+|calibration_error)"),
    "max": re.compile(r"val_(bleu|chrf|accuracy|macro_\w+)"),
}
"""Metrics of which the smallest or the largest value is best."""


class BestCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that knows its best score again wherever its folder is now.

    Lightning compares the name of the folder as it was written: one that was relative, or moved
    since, makes it forget the score, and the first epoch after a resume overwrites ``best.ckpt``.

    Options that would keep something else than the best under that name are refused.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what would lose the best checkpoint.

        Raises:
            InputError: several under one name, or one under that of the last, the weights without
                their average, between validations, or the worst; also a stop where training does
                best.
        """
        one_name = not self._enable_version_counter and "{step" not in (self.filename or "{step")
        if self.save_top_k not in (0, 1) and one_name:
            raise InputError(
                f"--checkpoint.save_top_k {self.save_top_k}: they would overwrite each other; give "
                "a name for each with --checkpoint.filename best-{step}"
            )
        if self.filename == "last":
            raise InputError(
                "--checkpoint.filename last: the last checkpoint has that name; give another one"
            )
        if self._every_n_train_steps or self._train_time_interval is not None:
            raise InputError(
                "--checkpoint.every_n_train_steps and train_time_interval: they save under the "
                "score of the validation before; leave them out, and validate more often with "
                "--trainer.val_check_interval"
            )
        if self.save_weights_only:
            raise InputError(
                "--checkpoint.save_weights_only: the averaged weights, which validation scores, "
                "would be missing; leave it out"
            )
        if self.save_on_exception or self.save_last:
            raise InputError(
                "--checkpoint.save_on_exception and save_last: an interrupted training leaves "
                "last.ckpt as it is; leave them out"
            )
        within = trainer.val_check_interval != 1.0 or trainer.check_val_every_n_epoch != 1
        if self._save_on_train_epoch_end and within:
            raise InputError(
                "--checkpoint.save_on_train_epoch_end true: it would save under the score of an "
                "earlier validation; leave it out, or validate at the end of every epoch"
            )
        watching: list[tuple[str, ModelCheckpoint | EarlyStopping]] = [("checkpoint", self)]
        watching += [("early_stopping", each) for each in trainer.early_stopping_callbacks]
        for option, callback in watching:
            for best, names in _BEST.items():
                if names.fullmatch(str(callback.monitor)) and callback.mode != best:
                    raise InputError(
                        f"--{option}.monitor {callback.monitor}: its {best}imum is best; add "
                        f"--{option}.mode {best}"
                    )
        super().setup(trainer, pl_module, stage)

    @property
    def state_key(self) -> str:
        """That of a `ModelCheckpoint`, so that each finds what the other wrote."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the score over if what it belongs to lies in this folder."""

        def here(path: str) -> str:
            return str(Path(self.dirpath or ".") / Path(path).name) if path else path

        if not Path(here(state_dict["best_model_path"])).is_file():
            return  # a score without its checkpoint would keep better ones from being saved
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        super().load_state_dict(
            {
                **state_dict,
                **{name: here(state_dict[name]) for name in names},
                "best_k_models": {here(k): v for k, v in state_dict["best_k_models"].items()},
                "dirpath": self.dirpath,
            }
        )


def best_checkpoint(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that keeps the best checkpoint, whatever others a user has added."""
    found = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
    found.sort(key=lambda each: not isinstance(each, BestCheckpoint))
    return found[0] if found else None
