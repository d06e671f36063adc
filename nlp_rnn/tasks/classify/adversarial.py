"""Adversarial training: texts are read a second time, embeddings moved where it hurts most.

N batch, S source length, E embedding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["adversarial_nats"]


def adversarial_nats(
    read: Callable[[], Tensor], embeddings: Sequence[nn.Embedding], norm: float
) -> Tensor:
    """The mean of what a text costs as it is, and with its embeddings moved against the network.

    r = norm * g / |g|, where g is the gradient of the cost by the embeddings of the whole text, and
    r is taken as a constant (Miyato et al. 2017, equations 5 and 6). Unlike there, embeddings are
    not scaled to unit variance. They start at a length of about 1, those of a language model with a
    tied softmax at five times that, which then want five times the norm.

    Args:
        read: reads the texts by these embeddings and gives the cost of each (N,).
        embeddings: of the network's readers; each is moved on its own.
        norm: length of a text's shift, over all of its tokens.

    Returns:
        Costs (N,).
    """
    seen: list[Tensor] = []

    def record(vectors: Tensor) -> Tensor:
        seen.append(vectors.requires_grad_())  # of frozen weights, too
        return vectors

    with _changed(embeddings, [record] * len(embeddings)):
        nats = read()
    gradients = torch.autograd.grad(nats.sum(), seen, retain_graph=True)
    shifts = [norm * _unit(gradient) for gradient in gradients]
    with _changed(embeddings, [shift.add for shift in shifts]):
        return (nats + read()) / 2


def _unit(gradient: Tensor) -> Tensor:
    """Each text's (N, S, E), scaled to a length of 1; 0 stays 0."""
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    return gradient / length.view(-1, 1, 1)


@contextmanager
def _changed(
    embeddings: Sequence[nn.Embedding], changes: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[None]:
    """What an embedding gives goes through its change."""
    handles = [
        embedding.register_forward_hook(lambda *call, change=change: change(call[-1]))
        for embedding, change in zip(embeddings, changes)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
