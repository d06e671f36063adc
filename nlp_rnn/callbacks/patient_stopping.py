"""Early stopping whose patience can be changed on the way."""

from typing import Any

from lightning.pytorch.callbacks import EarlyStopping

__all__ = ["PatientStopping"]


class PatientStopping(EarlyStopping):
    """An `EarlyStopping` that keeps the patience it was given, whatever a checkpoint had.

    Lightning puts the old one back: a training that ran out of patience could not be gone on with.
    """

    @property
    def state_key(self) -> str:
        """That of an `EarlyStopping`, so that each finds what the other wrote."""
        return super().state_key.replace(type(self).__qualname__, EarlyStopping.__qualname__, 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})
