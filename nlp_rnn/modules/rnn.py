"""Stacked recurrent layers with batch-first state, on PyTorch's fused kernels.

N batch, T time, E input features, H hidden, L layers.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError
from nlp_rnn.modules.dropout import LockedDropout, WeightDropout

__all__ = ["RNN", "Cell", "State"]

Cell = Literal["rnn_tanh", "rnn_relu", "gru", "lstm"]

State = tuple[Tensor, ...]
"""(h,) or, for the LSTM, (h, c); every tensor is batch first, (N, L, H)."""


class RNN(nn.Module):
    r"""A stack of recurrent layers of one cell.

    - ``rnn_tanh``, ``rnn_relu``: :math:`h_t = f(W_{xh} x_t + W_{hh} h_{t-1} + b_h)` (Elman 1990).
    - ``gru``: :math:`r, z = \sigma(W x_t + U h_{t-1} + b)`,
      :math:`n = \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + c_n))`,
      :math:`h_t = (1 - z) \odot n + z \odot h_{t-1}` (Cho et al. 2014, but with the reset gate r
      after the matrix product, as cuDNN has it).
    - ``lstm``: :math:`i, f, o = \sigma(W x_t + U h_{t-1} + b)`,
      :math:`g = \tanh(W_g x_t + U_g h_{t-1} + b_g)`,
      :math:`c_t = f \odot c_{t-1} + i \odot g`, :math:`h_t = o \odot \tanh(c_t)` (Hochreiter &
      Schmidhuber 1997, with the forget gate f of Gers et al. 2000).

    The gates of a line, such as r and z, have a W, U and b each.

    Each layer is one fused call over all steps. PyTorch gives every cell two biases; where they
    only add up (all but the GRU) the second stays zero and is not trained.

    Args:
        input_size: E.
        hidden_size: H of every layer.
        num_layers: L.
        cell: which recurrence.
        dropout: locked dropout on the outputs of every layer but the last (the caller owns that).
        weight_dropout: share of the recurrent weights left out in a forward pass.
        layer_norm: normalise the outputs of every layer (Ba et al. 2016, outside the recurrence,
            which stays fused).
        residual: add a layer's input to its output wherever the sizes agree.

    Raises:
        InputError: an unknown cell, or a dropout that is no share.
    """

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        cell: Cell = "gru",
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if cell not in get_args(Cell):
            raise InputError(f"cell {cell!r} is none of {', '.join(get_args(Cell))}")
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.residual = residual
        sizes = [input_size] + [hidden_size] * (num_layers - 1)
        self.layers = nn.ModuleList(_layer(cell, size, hidden_size) for size in sizes)
        norm = nn.LayerNorm if layer_norm else nn.Identity
        self.norms = nn.ModuleList(norm(hidden_size) for _ in range(num_layers))
        self.dropout = LockedDropout(dropout)
        self.weight_dropout = WeightDropout(weight_dropout)

    def zero_state(self, inputs: Tensor) -> State:
        """The state before the first step: zeros (N, L, H) on the device of ``inputs`` (N, ...)."""
        zeros = inputs.new_zeros(inputs.size(0), self.num_layers, self.hidden_size)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read a sequence.

        Args:
            inputs: (N, T, E).
            state: tensors (N, L, H) to start from; zeros if None.

        Returns:
            The last layer's outputs (N, T, H) and the state after the last step.
        """
        state = self.zero_state(inputs) if state is None else state
        finals: list[State] = []
        outputs = inputs
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            if index > 0:
                outputs = self.dropout(outputs)
            before = tuple(part[:, index].unsqueeze(0).contiguous() for part in state)
            start = before if self.cell == "lstm" else before[0]
            read, after = self.weight_dropout(layer, outputs, start)
            finals.append(tuple(after) if self.cell == "lstm" else (after,))
            read = norm(read)
            skip = self.residual and read.size(-1) == outputs.size(-1)
            outputs = outputs + read if skip else read
        return outputs, tuple(torch.cat(parts).transpose(0, 1) for parts in zip(*finals))


FEW_ROWS = 8
"""Up to this many, a single step of an LSTM takes plain products; a beam of one text fits in."""


class _LSTM(nn.LSTM):
    """One layer, with a way of its own for one step of few rows: text that is written one by one.

    The fused CPU kernel arranges the weights anew at every call: at one row of 512 units it takes
    five times as long as the plain products. Searches in batches of 64 are 7% faster with it.
    """

    def forward(  # type: ignore[override]
        self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(N, T, E) and two states (1, N, H) -> (N, T, H) and two states."""
        if state is None or inputs.size(1) > 1 or inputs.size(0) > FEW_ROWS:
            return super().forward(inputs, state)
        before = (state[0][0], state[1][0])
        hidden, cell = torch.lstm_cell(inputs[:, 0], before, *self.parameters())
        return hidden.unsqueeze(1), (hidden.unsqueeze(0), cell.unsqueeze(0))


def _layer(cell: Cell, input_size: int, hidden_size: int) -> nn.RNNBase:
    """One fused layer, initialised gate by gate."""
    layer: nn.RNNBase
    if cell == "gru":
        layer = nn.GRU(input_size, hidden_size, batch_first=True)
    elif cell == "lstm":
        layer = _LSTM(input_size, hidden_size, batch_first=True)
    else:
        layer = nn.RNN(
            input_size, hidden_size, nonlinearity=cell.removeprefix("rnn_"), batch_first=True
        )
    weights = dict(layer.named_parameters())
    for gate in weights["weight_ih_l0"].split(hidden_size):
        nn.init.xavier_uniform_(gate)
    for gate in weights["weight_hh_l0"].split(hidden_size):
        # Orthogonal (or, for ReLU, identity: Le et al. 2015) keeps gradients from vanishing or
        # exploding at the start, whatever the length.
        if cell == "rnn_relu":
            nn.init.eye_(gate)
        else:
            nn.init.orthogonal_(gate)
    bias, second = weights["bias_ih_l0"], weights["bias_hh_l0"]
    nn.init.zeros_(bias)
    nn.init.zeros_(second)
    if cell == "lstm":  # An open forget gate remembers (Jozefowicz et al. 2015).
        nn.init.ones_(bias[hidden_size : 2 * hidden_size])
    if cell != "gru":
        second.requires_grad_(False)
    return layer
