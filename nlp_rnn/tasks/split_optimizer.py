"""One optimizer for some parameters and another for the rest, as one to Lightning."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["SplitOptimizer"]

_CHANGING = ("betas", "weight_decay")


class SplitOptimizer(torch.optim.Optimizer):
    """Two optimizers under one schedule.

    Args:
        parameters: all of them, or groups.
        chosen: those among them that ``first`` takes.
        first: builds their optimizer out of groups.
        second: builds that of all others.
        ratio: of the first one's learning rate to that of the second.
        name: of the whole, which a checkpoint remembers.
        lr: learning rate of the second.
        betas: of either one that has them.
        weight_decay: of both.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        chosen: Collection[nn.Parameter],
        *,
        first: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        second: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        ratio: float,
        name: str,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        shared = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "algorithm": name}
        super().__init__(parameters, {**shared, "fused": True})
        ids = {id(each) for each in chosen}

        def part(of_first: bool) -> list[dict[str, Any]]:
            return [
                {"params": [each for each in group["params"] if (id(each) in ids) == of_first]}
                for group in self.param_groups
            ]

        self._parts = (first(part(True)), ratio), (second(part(False)), 1.0)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part, ratio in self._parts:
            part.state = self.state  # another one after a checkpoint was loaded
            for mine, group in zip(part.param_groups, self.param_groups):
                mine.update({name: group[name] for name in _CHANGING if name in mine})
                mine["lr"] = ratio * group["lr"]
            part.step()
        return loss
