r"""The recurrent network of the textbooks (Elman 1990), one step at a time.

.. math::

    h_t = f(W_{xh} x_t + W_{hh} h_{t-1} + b_h) \qquad y_t = g(W_{hy} h_t + b_y)

A widely copied introduction (the names-classification tutorial of PyTorch, in the form in which
it became known) prints another network under the same name::

    combined = torch.cat((input, hidden), 1)
    hidden = self.i2h(combined)
    output = self.i2o(combined)  # input is x_t, but hidden still was h_{t-1}

Its y_t is computed beside h_t, not from it. What x_t adds to the scores of y_t is then linear and
the same whatever came before: to read "u" moves them by one and the same amount after a "q" and
after an "a", and no weights can make the newest symbol mean different things in different
contexts. The last step's new state is computed for nothing, and at the first step the network is
a linear classifier of x_1. And as no tanh follows `i2h`, all of it is one linear map up to the
softmax, however many steps it takes. Two lines mend it::

    hidden = torch.tanh(self.i2h(combined))
    output = self.h2o(hidden)

This class is for reading; `nlp_rnn.modules.rnn.RNN` with the cell ``rnn_tanh`` or ``rnn_relu``
computes h_t of all steps in one fused call, and leaves y_t to its caller. The command
``python -m nlp_rnn.modules.textbook`` trains this one on characters.

N batch, E input features, H hidden, V outputs, T time.
"""

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TextbookRNN", "generate", "train"]


class TextbookRNN(nn.Module):
    """h_t = f(W_xh x_t + W_hh h_{t-1} + b_h) and y_t = g(W_hy h_t + b_y), with g = log softmax.

    Args:
        input_size: E.
        hidden_size: H.
        output_size: V.
        nonlinearity: f.
    """

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        output_size: int,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
    ) -> None:
        super().__init__()
        self.f = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]
        self.W_xh = nn.Parameter(nn.init.xavier_uniform_(torch.empty(hidden_size, input_size)))
        self.W_hh = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden_size, hidden_size)))
        self.b_h = nn.Parameter(torch.zeros(hidden_size))
        self.W_hy = nn.Parameter(nn.init.xavier_uniform_(torch.empty(output_size, hidden_size)))
        self.b_y = nn.Parameter(torch.zeros(output_size))

    def init_hidden(self, batch_size: int = 1) -> Tensor:
        """h_0: zeros (N, H), for nothing has been read."""
        return self.b_h.new_zeros(batch_size, self.b_h.size(0))

    def forward(self, x_t: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """(N, E) and h_{t-1} (N, H) -> log-probabilities y_t (N, V) and h_t (N, H)."""
        h_t = self.f(x_t @ self.W_xh.T + h @ self.W_hh.T + self.b_h)
        y_t = F.log_softmax(h_t @ self.W_hy.T + self.b_y, dim=1)  # from h_t, not from h
        return y_t, h_t


def train(
    network: TextbookRNN, ids: Tensor, *, updates: int, batch_size: int = 32, length: int = 32
) -> Iterator[float]:
    """Teach it to predict each next symbol of a text.

    Backpropagation through time is cut after ``length`` steps (Williams & Peng 1990), but the
    hidden state goes on. Gradients are clipped, for they may grow with every step that they travel
    back; where they shrink instead, distant steps teach nothing (Bengio et al. 1994, Pascanu et
    al. 2013).

    Args:
        network: reads and predicts symbols 0 to V - 1, so its E and V are equal.
        ids: the text (characters,), read as ``batch_size`` pieces side by side; at least
            ``batch_size * (length + 1)`` characters.
        updates: how many times the weights are changed.
        batch_size: N.
        length: T.

    Yields:
        Bits per symbol, before each update.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=6e-3)
    pieces = ids[: len(ids) // batch_size * batch_size].view(batch_size, -1)  # (N, all steps)
    chunks = (pieces.size(1) - 1) // length
    for update in range(updates):
        start = update % chunks * length
        if start == 0:
            h = network.init_hidden(batch_size)
        loss = torch.zeros(())
        for t in range(start, start + length):
            x_t = F.one_hot(pieces[:, t], network.W_xh.size(1)).to(h.dtype)
            y_t, h = network(x_t, h)
            loss = loss + F.nll_loss(y_t, pieces[:, t + 1]) / length
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), max_norm=1.0)
        optimizer.step()
        h = h.detach()
        yield loss.item() / math.log(2)


@torch.no_grad()
def generate(network: TextbookRNN, *, first: int, length: int) -> list[int]:
    """Draw a text symbol by symbol: each is drawn from y_t and read as the next x_t."""
    ids, h = [first], network.init_hidden()
    while len(ids) < length:
        x_t = F.one_hot(torch.tensor(ids[-1:]), network.W_xh.size(1)).to(h.dtype)
        y_t, h = network(x_t, h)
        ids.append(int(torch.multinomial(y_t.exp(), 1)))
    return ids


def main() -> None:
    """Train on the help texts of the standard library and write one of its own."""
    from pydoc_data.topics import topics

    text = "\n".join(topics.values())
    characters = sorted(set(text))
    index = {character: i for i, character in enumerate(characters)}
    ids = torch.tensor([index[character] for character in text])
    torch.manual_seed(0)
    size = len(characters)
    network = TextbookRNN(input_size=size, hidden_size=128, output_size=size)
    for update, bits in enumerate(train(network, ids, updates=701)):
        if update % 100 == 0:
            print(f"update {update:4}  {bits:.2f} bits per character")  # noqa: T201
    sample = generate(network, first=index["\n"], length=400)
    print("".join(characters[i] for i in sample))  # noqa: T201


if __name__ == "__main__":
    main()
