"""A language model: a decoder with nothing to attend to.

N batch, K samples, T time, L layers, H hidden, E embedding, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from nlp_rnn.errors import require
from nlp_rnn.modules.decoder import Decoder
from nlp_rnn.modules.rnn import Cell, State

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """Embedding, stacked recurrent layers, softmax (Mikolov et al. 2010, Zaremba et al. 2014).

    Where hidden_size differs from embedding_size, a tanh layer over both the output and the
    embedding leads to the width of the softmax.

    Args:
        vocab_size: V.
        cell: the recurrence.
        embedding_size: E.
        hidden_size: H.
        num_layers: L.
        tied: the softmax uses the embedding matrix (Press & Wolf 2017, Inan et al. 2017).
        adaptive_cutoffs: ids at which the clusters of an adaptive softmax begin (Grave et al.
            2017), for vocabularies of tens of thousands, sorted by frequency as those of words
            and of unigram models are; empty means the full softmax.
        embedding_dropout: locked dropout on embeddings (Gal & Ghahramani 2016).
        type_dropout: share of word types that are blanked in a batch; "embedding dropout" of
            Merity et al. 2018.
        dropout: locked dropout between the layers.
        weight_dropout: share of recurrent weights left out (Merity et al. 2018).
        output_dropout: locked dropout before the softmax.
        layer_norm: normalise every layer's outputs.
        residual: add a layer's input to its output where the sizes agree, from the second layer
            on.

    Attributes:
        arguments: the constructor's arguments, enough to build this network again.

    Raises:
        InputError: values out of range, or arguments that exclude each other.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 4000,
        cell: Cell = "lstm",
        embedding_size: int = 256,
        hidden_size: int = 256,
        num_layers: int = 2,
        tied: bool = True,
        adaptive_cutoffs: Sequence[int] = (),
        embedding_dropout: float = 0.3,
        type_dropout: float = 0.0,
        dropout: float = 0.3,
        weight_dropout: float = 0.0,
        output_dropout: float = 0.3,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        # A list, as YAML gives: a checkpoint's is compared with that of a command line.
        self.arguments: dict[str, Any] = {**given, "adaptive_cutoffs": list(adaptive_cutoffs)}
        super().__init__()
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            require(self.arguments[name] >= 1, f"{name} {self.arguments[name]}", "1 or more")
        self.decoder = Decoder(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            cell=cell,
            tied=tied,
            adaptive_cutoffs=adaptive_cutoffs,
            embedding_dropout=embedding_dropout,
            type_dropout=type_dropout,
            dropout=dropout,
            weight_dropout=weight_dropout,
            output_dropout=output_dropout,
            layer_norm=layer_norm,
            residual=residual,
        )
        self.num_layers, self.hidden_size = num_layers, hidden_size

    def zero_state(self, size: int) -> State:
        """The state in which nothing was read: zeros (N, L, H) for ``size`` rows."""
        weight = self.decoder.embedding.weight
        zeros = weight.new_zeros(size, self.num_layers, self.hidden_size)
        return (zeros,) * self.decoder.num_states

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Read on.

        Args:
            tokens: ids (N, T).
            state: tensors (N, L, H).

        Returns:
            What the layers put out, without and with dropout, (N, T, E) both, the second to
            be given to `negative_log_likelihood`; and the state after the last token.
        """
        embedded = self.decoder.embed(tokens)
        outputs, state, _ = self.decoder.advance(embedded, embedded, state, None)
        return outputs, self.decoder.output_dropout(outputs), state

    def negative_log_likelihood(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(M, E) and the ids that followed (M,) -> nats (M,), in float32."""
        return self.decoder.projection.negative_log_likelihood(outputs, targets)

    def sampled_negative_log_likelihood(
        self, outputs: Tensor, targets: Tensor, sample: int
    ) -> Tensor:
        """The same among fewer words: see `Softmax`; not for an adaptive softmax."""
        return self.decoder.sampled_negative_log_likelihood(outputs, targets, sample)

    def step(
        self,
        tokens: Tensor,
        state: State,
        memory: tuple[Tensor, ...] = (),  # noqa: ARG002 - as every step of a search
    ) -> tuple[Tensor, State]:
        """One step of a search: see `Decoder.step`; there is no memory."""
        return self.decoder.step(tokens, state, None)
