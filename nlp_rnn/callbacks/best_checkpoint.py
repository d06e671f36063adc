"""``best.ckpt`` remains the best one when training goes on."""

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint

__all__ = ["BestCheckpoint"]


class BestCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that knows its best score again wherever its folder is now.

    Lightning compares the name of the folder as it was written: one that was relative, or moved
    since, makes it forget the score, and the first epoch after a resume overwrites ``best.ckpt``.
    """

    @property
    def state_key(self) -> str:
        """That of a `ModelCheckpoint`, so that each finds what the other wrote."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the score over if what it belongs to lies in this folder."""

        def here(path: str) -> str:
            return str(Path(self.dirpath or ".") / Path(path).name) if path else path

        if Path(here(state_dict["best_model_path"])).is_file():
            names = ("best_model_path", "kth_best_model_path", "last_model_path")
            state_dict = {
                **state_dict,
                **{name: here(state_dict[name]) for name in names},
                "best_k_models": {here(k): v for k, v in state_dict["best_k_models"].items()},
                "dirpath": self.dirpath,
            }
        super().load_state_dict(state_dict)
