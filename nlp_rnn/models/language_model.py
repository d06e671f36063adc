"""A language model: a decoder with nothing to attend to.

N batch, K samples, T time, L layers, H hidden, E embedding, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import require
from nlp_rnn.modules.decoder import Decoder
from nlp_rnn.modules.pointer import Pointer, Pointing
from nlp_rnn.modules.rnn import Cell, State

__all__ = ["LanguageModel", "Reading"]


class Reading(NamedTuple):
    """What a language model makes of a text that it reads.

    Attributes:
        outputs: of the layers, (N, T, E).
        dropped: the same with dropout, which meets the softmax.
        pointing: where the pointer points, if there is one.
    """

    outputs: Tensor
    dropped: Tensor
    pointing: Pointing | None


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
        pointer_span: how many tokens back a `Pointer` reaches; 0 means none. Every stream, and in a
            search every hypothesis, carries that many outputs along.

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
        pointer_span: int = 0,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        # A list, as YAML gives: a checkpoint's is compared with that of a command line.
        self.arguments: dict[str, Any] = {**given, "adaptive_cutoffs": list(adaptive_cutoffs)}
        super().__init__()
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            require(self.arguments[name] >= 1, f"{name} {self.arguments[name]}", "1 or more")
        require(pointer_span >= 0, f"pointer_span {pointer_span}", "0 (no pointer) or more")
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
        self.pointer = Pointer(embedding_size, pointer_span) if pointer_span else None
        self.num_layers, self.hidden_size = num_layers, hidden_size

    def zero_state(self, size: int) -> State:
        """The state in which nothing was read: zeros (N, L, H), and the pointer's, if any."""
        weight = self.decoder.embedding.weight
        zeros = weight.new_zeros(size, self.num_layers, self.hidden_size)
        pointers = () if self.pointer is None else self.pointer.zero_state(size)
        return (*(zeros,) * self.decoder.num_states, *pointers)

    def forward(self, tokens: Tensor, state: State) -> tuple[Reading, State]:
        """Read on.

        Args:
            tokens: ids (N, T).
            state: see `zero_state`.

        Returns:
            What was read, to be given to `nats`, and the state after the last token.
        """
        embedded = self.decoder.embed(tokens)
        layers = self.decoder.num_states
        outputs, after, _ = self.decoder.advance(embedded, embedded, state[:layers], None)
        pointing = None
        if self.pointer is not None:
            pointing, past = self.pointer(outputs, tokens, state[layers:])
            after = (*after, *past)
        return Reading(outputs, self.decoder.output_dropout(outputs), pointing), after

    def nats(self, reading: Reading, following: Tensor, *, sample: int = 0) -> Tensor:
        """What the words that followed cost.

        Args:
            reading: of N streams and T steps.
            following: ids (N, T), 0 where none followed.
            sample: choose among the words of ``following`` and this many others, in training alone,
                see `Softmax`; not for an adaptive softmax. 0 takes the whole vocabulary.

        Returns:
            Nats (N, T) in float32, zero where none followed.
        """
        real = following != PAD
        outputs, targets = reading.dropped[real], following[real]
        if sample:
            nats = self.decoder.sampled_negative_log_likelihood(outputs, targets, sample)
        else:
            nats = self.decoder.projection.negative_log_likelihood(outputs, targets)
        spread = nats.new_zeros(following.shape).masked_scatter(real, nats)
        if reading.pointing is None:
            return spread
        return reading.pointing.mix(spread, following).masked_fill(~real, 0.0)

    def step(
        self,
        tokens: Tensor,
        state: State,
        memory: tuple[Tensor, ...] = (),  # noqa: ARG002 - as every step of a search
    ) -> tuple[Tensor, State]:
        """One step of a search.

        Args:
            tokens: last tokens (N, K).
            state: tensors that lead with (N, K), else as in `zero_state`.
            memory: none.

        Returns:
            Logits (N, K, V), log-probabilities of a model with a pointer, and the next state.
        """
        flat = tuple(part.flatten(0, 1) for part in state)
        reading, after = self(tokens.reshape(-1, 1), flat)
        logits = self.decoder.project(reading.dropped)
        if reading.pointing is not None:
            logits = reading.pointing.mix_all(logits)
        return logits.view(*tokens.shape, -1), tuple(
            part.unflatten(0, tokens.shape) for part in after
        )
