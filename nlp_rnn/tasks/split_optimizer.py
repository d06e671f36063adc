"""One optimizer for some parameters and another for the rest, as one to Lightning."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import nn

__all__ = ["SplitOptimizer"]


class SplitOptimizer(torch.optim.Optimizer):
    """Two optimizers under one schedule.

    Args:
        parameters: all of them, or groups.
        chosen: those among them that ``first`` takes.
        first: builds their optimizer out of groups.
        second: builds that of all others.
        ratio: of the first one's learning rate to that of the second; the weight decay of both, a
            share of the weights at each update, is that of the second.
        defaults: of the groups; ``lr``, ``betas`` and ``weight_decay`` go on to both.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        chosen: Collection[nn.Parameter],
        *,
        first: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        second: Callable[[list[dict[str, Any]]], torch.optim.Optimizer],
        ratio: float,
        defaults: dict[str, Any],
    ) -> None:
        super().__init__(parameters, {**defaults, "fused": True})
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
                mine["lr"] = ratio * group["lr"]
                mine["weight_decay"] = group["weight_decay"] / ratio
                if "betas" in mine:
                    mine["betas"] = group["betas"]
            part.step()
        return loss
