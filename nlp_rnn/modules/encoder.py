"""Tokens in, one vector per token out.

N batch, S source length, E embedding, H hidden, D memory width.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError
from nlp_rnn.modules.dropout import LockedDropout, WordDropout
from nlp_rnn.modules.rnn import RNN, Cell, State

__all__ = ["Encoded", "Encoder", "reversal"]


class Encoded(NamedTuple):
    """What an encoder made of a batch.

    Attributes:
        outputs: a vector per token, (N, S, D); what stands at padding means nothing.
        mask: (N, S), True at real tokens.
        summary: one vector per row, (N, D): the forward output at the last token, beside it the
            backward output at the first.
        state: of every layer after the last step, to read on from; means nothing where a row has
            padding, and empty if there are two directions.
    """

    outputs: Tensor
    mask: Tensor
    summary: Tensor
    state: tuple[State, ...]


class Encoder(nn.Module):
    """Embedding and stacked recurrent layers, in one direction or both.

    Nothing is packed: `pack_padded_sequence` loses the fused CPU kernels and costs twice the time.
    A backward layer reads each row reversed within its own length instead, so that padding comes
    last for both directions and never reaches a real position.

    Args:
        vocab_size: tokens; id 0 is padding.
        embedding_size: E.
        input_size: of what `read` is given, if that is more than embeddings; 0 means E.
        hidden_size: D; each direction has D / 2 units if there are two.
        num_layers: recurrent layers.
        cell: see `RNN`.
        bidirectional: read from both ends.
        embedding_dropout: locked dropout on the embeddings.
        word_dropout: share of words that are blanked.
        dropout: locked dropout between the layers.
        weight_dropout: share of recurrent weights left out, see `WeightDropout`.
        output_dropout: locked dropout on the outputs.
        layer_norm: normalise every layer's outputs.
        residual: add a layer's input to its output where the sizes agree.

    Raises:
        InputError: an odd ``hidden_size`` with two directions, an unknown cell, or a dropout that
            is no share.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        embedding_size: int = 256,
        input_size: int = 0,
        hidden_size: int = 512,
        num_layers: int = 1,
        cell: Cell = "gru",
        bidirectional: bool = True,
        embedding_dropout: float = 0.0,
        word_dropout: float = 0.0,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        output_dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        directions = 2 if bidirectional else 1
        if hidden_size % directions:
            raise InputError(f"hidden_size {hidden_size} cannot be halved for two directions")
        self.bidirectional = bidirectional
        self.output_size = hidden_size
        self.residual = residual
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
        self.embedding_dropout = LockedDropout(embedding_dropout)
        self.word_dropout = WordDropout(word_dropout)
        self.layers = nn.ModuleList(
            _Layer(
                directions=directions,
                input_size=hidden_size if layer else input_size or embedding_size,
                hidden_size=hidden_size // directions,
                cell=cell,
                weight_dropout=weight_dropout,
            )
            for layer in range(num_layers)
        )
        norm = nn.LayerNorm if layer_norm else nn.Identity
        self.norms = nn.ModuleList(norm(hidden_size) for _ in range(num_layers))
        self.dropout = LockedDropout(dropout)
        self.output_dropout = LockedDropout(output_dropout)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Encoded:
        """Encode a padded batch.

        Args:
            tokens: ids (N, S), padding last.
            lengths: real tokens per row (N,), at least one.
        """
        return self.read(self.embed(tokens), lengths)

    def embed(self, tokens: Tensor) -> Tensor:
        """(N, S) -> (N, S, E), with dropout."""
        embedded: Tensor = self.word_dropout(self.embedding_dropout(self.embedding(tokens)))
        return embedded

    def read(
        self, inputs: Tensor, lengths: Tensor, state: tuple[State, ...] | None = None
    ) -> Encoded:
        """Run the layers.

        Args:
            inputs: (N, S, E) or as wide as ``input_size``, padding last.
            lengths: real tokens per row (N,), at least one.
            state: of an earlier part of the same text, for one direction; None at its start.
        """
        size = inputs.size(1)
        mask = torch.arange(size, device=inputs.device) < lengths.unsqueeze(1)  # (N, S)
        flip = reversal(lengths, size).unsqueeze(2)
        outputs, after = inputs, []
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            before = self.dropout(outputs) if index > 0 else outputs
            read, final = layer(before, flip, state[index] if state else None)
            read = norm(read)
            skip = self.residual and read.size(-1) == before.size(-1)
            outputs = before + read if skip else read
            after.append(final)
        last = outputs.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, outputs.size(2)))
        if self.bidirectional:
            half = outputs.size(2) // 2
            summary = torch.cat([last[:, 0, :half], outputs[:, 0, half:]], 1)
        else:
            summary = last[:, 0]
        carried = () if self.bidirectional else tuple(after)
        return Encoded(self.output_dropout(outputs), mask, summary, carried)


def reversal(lengths: Tensor, size: int) -> Tensor:
    """Where each token of a padded batch is read from in reverse; its own inverse.

    Args:
        lengths: real tokens per row (N,). Padding stays where it is.
        size: S.

    Returns:
        Positions (N, S).
    """
    steps = torch.arange(size, device=lengths.device)
    last = lengths.unsqueeze(1) - 1
    return torch.where(steps <= last, last - steps, steps)


class _Layer(nn.Module):
    """One layer in one or two directions, each a fused call of its own, side by side."""

    def __init__(
        self,
        *,
        directions: int,
        input_size: int,
        hidden_size: int,
        cell: Cell,
        weight_dropout: float,
    ) -> None:
        super().__init__()
        one = partial(
            RNN,
            input_size=input_size,
            hidden_size=hidden_size,
            cell=cell,
            weight_dropout=weight_dropout,
        )
        self.forwards = one()
        self.backwards: RNN | None = one() if directions == 2 else None

    def forward(self, inputs: Tensor, flip: Tensor, state: State | None) -> tuple[Tensor, State]:
        """(N, S, E) -> (N, S, D); ``flip`` (N, S, 1) says what to read in reverse."""
        outputs, after = self.forwards(inputs, state)
        if self.backwards is None:
            return outputs, after
        reverse: Tensor = self.backwards(inputs.gather(1, flip.expand_as(inputs)))[0]
        return torch.cat([outputs, reverse.gather(1, flip.expand_as(reverse))], 2), after
