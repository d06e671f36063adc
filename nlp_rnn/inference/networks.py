"""How networks are taken out of checkpoints and run."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

from nlp_rnn.checkpoint import network_weights
from nlp_rnn.cpu import runs_bf16_lstm
from nlp_rnn.errors import InputError

__all__ = [
    "Precision",
    "build_network",
    "check_bf16_cells",
    "check_device",
    "check_precision",
    "running",
    "unreadable",
]

Precision = Literal["fp32", "bf16"]
"""Of matrix products; bfloat16 is worth it where the machine has it in hardware."""

Network = TypeVar("Network", bound=nn.Module)


def check_device(device: str | torch.device) -> None:
    """Raise one clear line if there is no such device.

    Raises:
        InputError: naming it.
    """
    try:
        torch.zeros(1, device=device).item()  # which the device "meta" cannot
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"device '{device}' cannot be used here: give cpu, or cuda on a machine with a GPU"
        ) from error


def check_precision(precision: str, network: nn.Module) -> None:
    """Raise one clear line unless it is a `Precision` that the network can be run in, here.

    Raises:
        InputError: naming it.
    """
    if precision not in get_args(Precision):
        raise InputError(f"precision '{precision}' is neither 'fp32' nor 'bf16'")
    if precision == "bf16" and next(network.parameters()).device.type == "cpu":
        check_bf16_cells(network, "precision bf16", "fp32")


def check_bf16_cells(network: nn.Module, setting: str, instead: str) -> None:
    """Raise one clear line if the network has an LSTM, and this CPU no bf16 kernel for it.

    Args:
        network: any.
        setting: what asks for bf16.
        instead: what to give instead.

    Raises:
        InputError: naming both.
    """
    lstm = any(isinstance(module, nn.LSTM) for module in network.modules())
    if lstm and not runs_bf16_lstm():
        raise InputError(
            f"{setting}: this CPU has no bf16 kernel for an LSTM, only for other cells: give "
            f"{instead}"
        )


@contextlib.contextmanager
def unreadable(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong with the contents of a checkpoint into one line.

    Raises:
        InputError: naming the file and the reason.
    """
    try:
        yield
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        if "allocate" in str(error):  # a lack of memory is no fault of the file
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"{path} holds no {what} that this version can build ({reason}): use the version of "
            "nlp-rnn that trained it"
        ) from error


def build_network(
    kind: type[Network], checkpoint: dict[str, Any], device: str | torch.device
) -> Network:
    """The network of an opened checkpoint, ready to be used."""
    network = kind(**checkpoint["hyper_parameters"])
    network.load_state_dict(network_weights(checkpoint))
    return network.to(device).eval()


@contextlib.contextmanager
def running(model: nn.Module, precision: Precision) -> Iterator[None]:
    """Evaluation mode, no gradients, the chosen precision; the modes are put back after.

    Each module's own: a model that was put together around a network just now is in training
    mode, whatever the network is in. No inference mode: in it autocast rounds the weights again at
    every step, which is a sixth of a beam search.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    device = next(model.parameters()).device.type
    try:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, precision == "bf16"):
            yield
    finally:
        for module, training in modes.items():
            module.training = training
