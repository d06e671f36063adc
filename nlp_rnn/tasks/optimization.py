"""The optimizer and its learning-rate schedule, as one plain value."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import SGD, AdamW, Muon
from torch.optim.lr_scheduler import LambdaLR

from nlp_rnn.errors import InputError, require
from nlp_rnn.tasks.split_optimizer import SplitOptimizer

__all__ = ["Optimization"]


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """AdamW, plain SGD, or two algorithms for two parts of the network; with warm-up and decay.

    SGD is the classic of language models: it moves an embedding as far as there is to learn about
    it, where Adam moves those of rare words as far as any. Layers learn faster by Adam. With
    ``adam_sgd`` each has its own, and no momentum, as Melis et al. (2018) have Adam for language
    models: successive windows of a text are about the same things.

    Args:
        algorithm: ``adamw`` (Loshchilov & Hutter 2019); ``sgd`` without momentum, with rates of 1
            to 30; ``adam_sgd``, SGD for embeddings, a softmax tied to them among these, and Adam
            without momentum for all else; or ``muon``, for the matrices of recurrent layers, with
            AdamW for all else: steps by the orthogonal part of a matrix' momentum (Jordan et al.
            2024), of the size of AdamW's (Liu et al. 2025), found in bfloat16.
        learning_rate: the peak, reached after the warm-up.
        embedding_rate: that of the embeddings under ``adam_sgd``.
        warmup_steps: updates over which the rate rises linearly.
        decay: after it the rate falls to ``final_share`` of the peak along a ``cosine``
            (Loshchilov & Hutter 2017), falls as the ``inverse_sqrt`` of the update (Vaswani et
            al. 2017), or stays ``constant``.
        final_share: where the cosine ends, as a share of the peak.
        beta2: decay of Adam's squared-gradient average.
        weight_decay: share of the weights, times the rate, taken off at each update; of all of
            them, biases and embeddings too.

    Raises:
        InputError: a value out of range.
    """

    algorithm: Literal["adamw", "adam_sgd", "muon", "sgd"] = "adamw"
    learning_rate: float = 2e-3
    embedding_rate: float = 300.0
    warmup_steps: int = 400
    decay: Literal["cosine", "inverse_sqrt", "constant"] = "cosine"
    final_share: float = 0.02
    beta2: float = 0.98
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "embedding_rate"):
            rate = getattr(self, name)
            require(0 < rate < math.inf, f"{name} {rate}", "a rate above 0")
        require(self.warmup_steps >= 0, f"warmup_steps {self.warmup_steps}", "0 or more")
        require(0 <= self.final_share <= 1, f"final_share {self.final_share}", "0 to 1")
        require(0 <= self.beta2 < 1, f"beta2 {self.beta2}", "0 to below 1")
        require(self.weight_decay >= 0, f"weight_decay {self.weight_decay}", "0 or more")

    def build(
        self,
        parameters: Iterable[nn.Parameter] | list[dict[str, Any]],
        *,
        total_steps: float,
        network: nn.Module | None = None,
    ) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimizer and a schedule to be stepped once an update.

        Args:
            parameters: what to train, or groups of it, whose rate is multiplied by their
                ``scale`` if they have one.
            total_steps: updates in all, where the cosine ends; may be infinite for the others.
            network: where two algorithms find their parts of the parameters.

        Raises:
            InputError: a cosine without an end.
        """
        if self.decay == "cosine" and math.isinf(total_steps):
            raise InputError(
                "a cosine decay ends with the last update, which is not known here: give "
                "--trainer.max_steps, or --model.optimization.decay inverse_sqrt or constant"
            )
        optimizer = self._optimizer(parameters, nn.Module() if network is None else network)
        for group in optimizer.param_groups:
            group["lr"] = self.learning_rate * group.setdefault("scale", 1.0)
        return optimizer, LambdaLR(optimizer, lambda step: self.share(step + 1, total_steps))

    @property
    def betas(self) -> tuple[float, float]:
        """Decay of Adam's averages of gradients and of their squares."""
        return (0.0 if self.algorithm == "adam_sgd" else 0.9, self.beta2)

    def _optimizer(
        self, parameters: Iterable[nn.Parameter] | list[dict[str, Any]], network: nn.Module
    ) -> torch.optim.Optimizer:
        rate, decay = self.learning_rate, self.weight_decay
        adamw = partial(AdamW, eps=1e-9, fused=True)
        if self.algorithm == "sgd":  # where a penalty and a decay of the weights are the same
            return SGD(parameters, lr=rate, weight_decay=decay, fused=True)
        defaults: dict[str, Any] = {"lr": rate, "betas": self.betas, "weight_decay": decay}
        if self.algorithm == "adamw":
            return adamw(parameters, **defaults)
        if self.algorithm == "muon":
            chosen = [each for each in _weights(network, nn.RNNBase) if each.ndim == 2]
            first: Any = partial(Muon, momentum=0.95, adjust_lr_fn="match_rms_adamw")
            ratio = 1.0
        else:
            chosen = _weights(network, nn.Embedding)
            first = partial(SGD, fused=True)
            ratio = self.embedding_rate / rate
        return SplitOptimizer(
            parameters,
            chosen,
            first=first,
            second=adamw,
            ratio=ratio,
            defaults={**defaults, "algorithm": self.algorithm},
        )

    def check_resumable(self, state: dict[str, Any]) -> None:
        """Refuse the saved state of another algorithm's optimizer.

        Raises:
            InputError: naming both.
        """
        group = state["param_groups"][0]
        saved = group.get("algorithm", "adamw" if "betas" in group else "sgd")
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
                group["betas"] = self.betas
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


def _weights(network: nn.Module, kind: type[nn.Module]) -> list[nn.Parameter]:
    """The parameters of all layers of a kind."""
    layers = [layer for layer in network.modules() if isinstance(layer, kind)]
    return [weight for layer in layers for weight in layer.parameters()]
