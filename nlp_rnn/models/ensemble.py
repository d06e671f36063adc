"""Several translators that decide together.

N batch, K beams, S source length, T target length, V vocabulary, M members.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.attention import Memory
from nlp_rnn.modules.rnn import State

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Averages the next-token probabilities of networks that share a vocabulary.

    It has the `encode`, `step` and `score` of a `Seq2Seq`; state and memory are those of the
    members one after the other.

    Args:
        members: the networks; a single one gives its own results, as log-probabilities.
    """

    def __init__(self, members: Sequence[Seq2Seq]) -> None:
        super().__init__()
        self.networks = list(members)
        self.members = nn.ModuleList(members)
        self.sizes = [
            (each.decoder.num_states, len(Memory._fields) if each.attends else 0)
            for each in members
        ]

    @property
    def attends(self) -> bool:
        """Whether a member does."""
        return any(network.attends for network in self.networks)

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[State, tuple[Tensor, ...]]:
        """As `Seq2Seq.encode`."""
        states, memories = zip(*(network.encode(source, lengths) for network in self.networks))
        return sum(states, ()), sum(memories, ())

    def step(
        self, tokens: Tensor, state: State, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, State]:
        """As `Seq2Seq.step`, but the logits are log-probabilities (N, K, V)."""
        log_probs, states = [], []
        for network, (state_size, memory_size) in zip(self.networks, self.sizes):
            logits, after = network.step(tokens, state[:state_size], memory[:memory_size])
            state, memory = state[state_size:], memory[memory_size:]
            log_probs.append(logits.float().log_softmax(-1))
            states.append(after)
        return _log_mean(log_probs), sum(states, ())

    def score(
        self, source: Tensor, lengths: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """As `Seq2Seq.score`; attention weights are averaged over the members that attend."""
        log_probs, weights = zip(*(net.score(source, lengths, target) for net in self.networks))
        attended = [each for each in weights if each is not None]
        mean = torch.stack(attended).mean(0) if attended else None
        return _log_mean(log_probs), mean


def _log_mean(log_probs: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of M probabilities."""
    return torch.logsumexp(torch.stack(list(log_probs)), 0) - math.log(len(log_probs))
