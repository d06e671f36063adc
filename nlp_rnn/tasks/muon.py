"""Muon for the matrices of recurrent layers, with AdamW for everything else, as one optimizer."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon

__all__ = ["MuonAdamW"]

_CHANGING = ("lr", "betas", "weight_decay")


class MuonAdamW(torch.optim.Optimizer):
    """Steps by the orthogonal part of a matrix' momentum (Jordan et al. 2024).

    Momentum is often nearly of low rank, they find, and Muon moves all directions alike. Its steps
    are scaled to have the size of AdamW's (Liu et al. 2025), so that both share a learning rate
    and a weight decay. Orthogonalisation is in bfloat16.

    Args:
        parameters: all of them, or groups.
        matrices: those among them that Muon takes; embeddings and softmax are better without.
        lr: learning rate of both.
        betas: of AdamW.
        weight_decay: of both.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        matrices: Collection[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        momentum = 0.95
        shared = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(parameters, {**shared, "fused": True})
        chosen = {id(each) for each in matrices}

        def part(muon: bool) -> list[dict[str, Any]]:
            return [
                {"params": [each for each in group["params"] if (id(each) in chosen) == muon]}
                for group in self.param_groups
            ]

        self._muon = Muon(part(True), momentum=momentum, adjust_lr_fn="match_rms_adamw")
        self._adamw = AdamW(part(False), eps=1e-9, fused=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in (self._muon, self._adamw):
            part.state = self.state  # another one after a checkpoint was loaded
            for mine, group in zip(part.param_groups, self.param_groups):
                mine.update({name: group[name] for name in _CHANGING if name in mine})
            part.step()  # type: ignore[no-untyped-call]
        return loss
