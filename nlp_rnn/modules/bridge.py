"""From what the encoder read to the state in which the decoder starts.

N batch, D memory width, L decoder layers, H hidden.
"""

import torch
from torch import Tensor, nn

from nlp_rnn.modules.rnn import Cell, State

__all__ = ["Bridge"]


class Bridge(nn.Module):
    """A tanh layer from the encoder's summary to the state of every decoder layer.

    Bahdanau et al. 2015 start the decoder from tanh(W h), h being what the backward layer says at
    the first token; here both directions are read. An LSTM's cell state gets a projection of its
    own.

    Args:
        memory_size: D.
        hidden_size: H.
        num_layers: L.
        cell: the decoder's cell.
    """

    def __init__(self, *, memory_size: int, hidden_size: int, num_layers: int, cell: Cell) -> None:
        super().__init__()
        self.shape = (num_layers, hidden_size)
        parts = 2 if cell == "lstm" else 1
        self.parts = nn.ModuleList(
            nn.Linear(memory_size, num_layers * hidden_size) for _ in range(parts)
        )

    def forward(self, summary: Tensor) -> State:
        """(N, D) -> state tensors (N, L, H)."""
        return tuple(torch.tanh(part(summary)).unflatten(1, self.shape) for part in self.parts)
