"""The optimizer and its learning-rate schedule, as one plain value."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from nlp_rnn.errors import InputError, require
from nlp_rnn.tasks.muon import MuonAdamW

__all__ = ["Optimization"]


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """AdamW, Muon or plain SGD, with warm-up and decay.

    Args:
        algorithm: ``adamw`` (Loshchilov & Hutter 2019), ``muon`` for the matrices of recurrent
            layers and AdamW for the rest, see `MuonAdamW`, or ``sgd`` without momentum, the
            classic of language models, which takes rates of 1 to 30.
        learning_rate: the peak, reached after the warm-up.
        warmup_steps: updates over which the rate rises linearly.
        decay: after it the rate falls to ``final_share`` of the peak along a ``cosine``
            (Loshchilov & Hutter 2017), falls as the ``inverse_sqrt`` of the update (Vaswani et
            al. 2017), or stays ``constant``.
        final_share: where the cosine ends, as a share of the peak.
        beta2: decay of AdamW's squared-gradient average.
        weight_decay: share of the weights, times the rate, taken off at each update; of all of
            them, biases and embeddings too.

    Raises:
        InputError: a value out of range.
    """

    algorithm: Literal["adamw", "muon", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    warmup_steps: int = 400
    decay: Literal["cosine", "inverse_sqrt", "constant"] = "cosine"
    final_share: float = 0.02
    beta2: float = 0.98
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        rate = self.learning_rate
        require(0 < rate < math.inf, f"learning_rate {rate}", "a rate above 0")
        require(self.warmup_steps >= 0, f"warmup_steps {self.warmup_steps}", "0 or more")
        require(0 <= self.final_share <= 1, f"final_share {self.final_share}", "0 to 1")
        require(0 <= self.beta2 < 1, f"beta2 {self.beta2}", "0 to below 1")
        require(self.weight_decay >= 0, f"weight_decay {self.weight_decay}", "0 or more")

    def build(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        *,
        total_steps: float,
        matrices: Collection[nn.Parameter] = (),
    ) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimizer and a schedule to be stepped once an update.

        Args:
            parameters: what to train, or groups of it, whose rate is multiplied by their
                ``scale`` if they have one.
            total_steps: updates in all, where the cosine ends; may be infinite for the others.
            matrices: those of the parameters that Muon takes.

        Raises:
            InputError: a cosine without an end.
        """
        if self.decay == "cosine" and math.isinf(total_steps):
            raise InputError(
                "a cosine decay ends with the last update, which is not known here: give "
                "--trainer.max_steps, or --model.optimization.decay inverse_sqrt or constant"
            )
        rate, decay, betas = self.learning_rate, self.weight_decay, (0.9, self.beta2)
        optimizer: torch.optim.Optimizer
        if self.algorithm == "sgd":  # where a penalty and a decay of the weights are the same
            optimizer = torch.optim.SGD(parameters, lr=rate, weight_decay=decay, fused=True)
        elif self.algorithm == "muon":
            optimizer = MuonAdamW(parameters, matrices, lr=rate, betas=betas, weight_decay=decay)
        else:
            optimizer = torch.optim.AdamW(
                parameters, lr=rate, betas=betas, eps=1e-9, weight_decay=decay, fused=True
            )
        for group in optimizer.param_groups:
            group["lr"] = rate * group.setdefault("scale", 1.0)
        return optimizer, LambdaLR(optimizer, lambda step: self.share(step + 1, total_steps))

    def check_resumable(self, state: dict[str, Any]) -> None:
        """Refuse the saved state of another algorithm's optimizer.

        Raises:
            InputError: naming both.
        """
        names = state["param_groups"][0].keys()
        saved = "sgd" if "betas" not in names else "muon" if "momentum" in names else "adamw"
        if saved != self.algorithm:
            raise InputError(
                f"optimization.algorithm {self.algorithm} cannot go on with a checkpoint of "
                f"{saved}: leave it out, or start afresh without --ckpt_path"
            )

    def adopt(self, schedule: LambdaLR) -> None:
        """Put these values in place of those that a checkpoint restored, at the same update.

        Where they are the same nothing changes. Without this a lower rate given to resume a
        training that diverged would be ignored.
        """
        groups = schedule.optimizer.param_groups
        schedule.base_lrs = [self.learning_rate * group.get("scale", 1.0) for group in groups]
        for group, rate, share in zip(groups, schedule.base_lrs, schedule.lr_lambdas):
            group["initial_lr"] = rate
            group["lr"] = rate * share(schedule.last_epoch)
            if self.algorithm != "sgd":
                group["betas"] = (0.9, self.beta2)
            group["weight_decay"] = self.weight_decay

    def share(self, step: int, total_steps: float) -> float:
        """The share of the peak rate at an update, counted from 1."""
        warmup = max(1, self.warmup_steps)
        if step < warmup:
            return step / warmup
        if self.decay == "inverse_sqrt":
            return math.sqrt(warmup / step)
        if self.decay == "constant":
            return 1.0
        done = min(1.0, (step - warmup) / max(1.0, total_steps - warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return self.final_share + (1 - self.final_share) * cosine
