"""Early stopping whose patience can be changed on the way."""

from typing import Any

from lightning.pytorch.callbacks import EarlyStopping

__all__ = ["PatientStopping"]


class PatientStopping(EarlyStopping):
    """An `EarlyStopping` that keeps the patience it was given, whatever a checkpoint had.

    Lightning puts the old one back: a training that ran out of patience could not be gone on with.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})
