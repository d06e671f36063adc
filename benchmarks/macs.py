"""How much arithmetic a translator needs, counted from the sizes of its modules.

A weight matrix takes one multiply-accumulate (MAC) per element for each vector it meets. Padding,
element-wise work and the embedding look-up count nothing, so this is a lower bound on what any
implementation computes.
"""

from collections.abc import Sequence

from torch import nn

from benchmarks.corpus import Batch
from nlp_rnn.models.seq2seq import Seq2Seq

__all__ = ["TRAINING_FLOPS_PER_MAC", "batch_macs", "target_macs"]

TRAINING_FLOPS_PER_MAC = 6
"""A product and a sum: forward, for the gradient of the inputs, and for that of the weights."""


def target_macs(network: Seq2Seq) -> int:
    """MACs of the decoder's matrices per target token, the softmax included."""
    return _matrices(network.decoder) - _attention(network, "key", "value", "energy")


def batch_macs(network: Seq2Seq, batches: Sequence[Batch]) -> int:
    """MACs of the forward pass over the real tokens of some batches."""
    per_source = _matrices(network.encoder) + _attention(network, "key", "value")
    # A score and a share of the context, for every pair of a source and a target token.
    per_pair = 2 * network.encoder.output_size if network.decoder.attention else 0
    total = 0
    for batch in batches:
        sources, targets = batch.lengths, batch.target_lengths
        total += per_source * int(sources.sum())
        total += target_macs(network) * int(targets.sum())
        total += per_pair * int((sources * targets).sum())
        total += _matrices(network.bridge) * len(sources)
    return total


def _attention(network: Seq2Seq, *names: str) -> int:
    """Matrices of the attention that do not meet a vector per target token."""
    attention = network.decoder.attention
    parts = attention.named_children() if attention else ()
    return sum(_matrices(part) for name, part in parts if name in names)


def _matrices(module: nn.Module) -> int:
    """Elements of all weight matrices that are multiplied with."""
    return sum(
        weight.numel()
        for part in module.modules()
        if isinstance(part, (nn.RNNBase, nn.Linear))
        for weight in part.parameters(recurse=False)
        if weight.dim() == 2
    )
