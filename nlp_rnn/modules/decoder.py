"""The recurrent decoder that trains without a loop over time.

N batch, K beams, T target length, S source length, E embedding, H hidden, D memory width, V
vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError
from nlp_rnn.modules.attention import Attention, AttentionKind, Memory
from nlp_rnn.modules.dropout import LockedDropout, TypeDropout, WordDropout
from nlp_rnn.modules.rnn import RNN, Cell, State
from nlp_rnn.modules.softmax import AdaptiveSoftmax, Softmax

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """Predicts each next token from the tokens before it and, if it attends, from a memory.

    Without a memory it is a language model: embedding, stacked recurrent layers, softmax. With
    one, layer 1 reads the whole gold prefix in one fused call; its outputs query the memory for
    all steps in one batched attention; the upper layers read ``[layer-1 output; context]`` and so
    carry what was attended to before, which is the job of input feeding (Luong et al. 2015)
    without its loop; a tanh bottleneck over ``[output; context; embedding]`` (the deep output of
    Bahdanau et al. 2015) meets the softmax. `step` is `forward` for one token and many beams:
    beams are queries of the same attention, so the memory is never copied for them.

    Args:
        vocab_size: V; id 0 is padding.
        embedding_size: E, also the width that meets the softmax.
        hidden_size: H.
        num_layers: recurrent layers in all, layer 1 included.
        cell: see `RNN`.
        attention: the score of `Attention`, or ``none``.
        memory_size: D; ignored by ``none``.
        lexical: the last E numbers of the memory are the embeddings of the source's words; their
            mean by the attention weights meets the softmax past all layers (Nguyen & Chiang 2018,
            with their output matrix that of the softmax).
        tied: the softmax uses the embedding matrix (Press & Wolf 2017).
        adaptive_cutoffs: ids at which the clusters of an `AdaptiveSoftmax` begin; none means the
            full softmax.
        embedding_dropout: locked dropout on the embeddings.
        word_dropout: share of words that are blanked.
        type_dropout: share of word types that are blanked, see `TypeDropout`.
        dropout: locked dropout between the layers.
        weight_dropout: share of recurrent weights left out, see `WeightDropout`.
        output_dropout: locked dropout before the softmax.
        layer_norm: normalise every layer's outputs.
        residual: add an upper layer's input to its output where the sizes agree.

    Raises:
        InputError: an adaptive softmax that is to be tied, sizes that do not fit, or ``lexical``
            with an attention whose contexts are no means of the memory.
    """

    inputs_read = 1  # vectors of width E that layer 1 reads at a step: the embedding

    def __init__(
        self,
        *,
        vocab_size: int,
        embedding_size: int = 256,
        hidden_size: int = 512,
        num_layers: int = 2,
        cell: Cell = "gru",
        attention: AttentionKind = "none",
        memory_size: int = 0,
        lexical: bool = False,
        tied: bool = True,
        adaptive_cutoffs: Sequence[int] = (),
        embedding_dropout: float = 0.0,
        word_dropout: float = 0.0,
        type_dropout: float = 0.0,
        dropout: float = 0.0,
        weight_dropout: float = 0.0,
        output_dropout: float = 0.0,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if tied and adaptive_cutoffs:
            raise InputError(
                "an adaptive softmax has no matrix that could be tied to the embedding: leave out "
                "adaptive_cutoffs, or set tied to false"
            )
        if lexical and attention not in ("general", "additive"):
            raise InputError(
                f"lexical takes words from the memory itself, which attention {attention!r} does "
                "not give: choose 'general' or 'additive', or leave lexical out"
            )
        self.embedding = nn.Embedding(vocab_size, embedding_size, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=embedding_size**-0.5)
        self.embedding_dropout = LockedDropout(embedding_dropout)
        self.word_dropout = WordDropout(word_dropout)
        self.type_dropout = TypeDropout(type_dropout)
        self.dropout = LockedDropout(dropout)
        self.attention: Attention | None = None
        context_size = 0
        if attention != "none":
            context_size = memory_size
            self.attention = Attention(
                kind=attention, query_size=hidden_size, memory_size=memory_size
            )
        self.lower = RNN(
            input_size=embedding_size * self.inputs_read,
            hidden_size=hidden_size,
            cell=cell,
            weight_dropout=weight_dropout,
            layer_norm=layer_norm,
        )
        self.upper: RNN | None = None
        if num_layers > 1:
            self.upper = RNN(
                input_size=hidden_size + context_size,
                hidden_size=hidden_size,
                num_layers=num_layers - 1,
                cell=cell,
                dropout=dropout,
                weight_dropout=weight_dropout,
                layer_norm=layer_norm,
                residual=residual,
            )
        self.output_dropout = LockedDropout(output_dropout)
        self.bottleneck: nn.Sequential | None = None
        if self.attention or hidden_size != embedding_size:
            width = hidden_size + context_size + embedding_size
            self.bottleneck = nn.Sequential(nn.Linear(width, embedding_size), nn.Tanh())
        self.lexical = nn.Linear(embedding_size, embedding_size) if lexical else None
        self.projection: Softmax | AdaptiveSoftmax
        if adaptive_cutoffs:
            self.projection = AdaptiveSoftmax(embedding_size, vocab_size, cutoffs=adaptive_cutoffs)
        else:
            self.projection = Softmax(embedding_size, vocab_size)
            if tied:
                self.projection.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, state: State, memory: Memory | None = None
    ) -> tuple[Tensor, State, Tensor | None]:
        """Read whole prefixes at once (teacher forcing, or one step of a search).

        Args:
            tokens: ids (N, T); or (N * K, T), rows of one sentence side by side, where K
                hypotheses share a row of the memory.
            state: tensors leading like ``tokens``, (N, L, H).
            memory: what to attend to, N rows; None for a decoder without attention.

        Returns:
            What meets the softmax (N, T, E), the state after the last step, and the attention
            weights (N, T, S) or None.
        """
        embedded = self.embed(tokens)
        outputs, after, weights = self.advance(embedded, embedded, state, memory)
        return self.output_dropout(outputs), after, weights

    @property
    def num_states(self) -> int:
        """How many tensors the state holds."""
        return 2 if self.lower.cell == "lstm" else 1

    def start(self, state: State) -> State:
        """The state of the first step, given that of the recurrent layers, (N, L, H)."""
        return state

    def embed(self, tokens: Tensor) -> Tensor:
        """(N, T) -> (N, T, E), with dropout."""
        embedded = self.embedding_dropout(self.embedding(tokens))
        embedded = self.type_dropout(embedded, tokens, self.embedding.num_embeddings)
        return self.word_dropout(embedded)

    def advance(
        self, inputs: Tensor, embedded: Tensor, state: State, memory: Memory | None
    ) -> tuple[Tensor, State, Tensor | None]:
        """Run the layers over ``inputs`` (N, T, E or more); returns as `forward`, undropped."""
        outputs, first = self.lower(inputs, tuple(part[:, :1] for part in state))
        context: list[Tensor] = []
        weights = None
        if self.attention is not None and memory is not None:
            queries = outputs.reshape(memory.mask.size(0), -1, outputs.size(2))  # (N, K * T, H)
            attended, weights = self.attention(queries, memory)
            context = [attended.reshape(*outputs.shape[:2], -1)]  # (N * K, T, D)
            weights = weights.reshape(*outputs.shape[:2], -1)
        after = first
        if self.upper is not None:
            outputs = torch.cat([self.dropout(outputs), *context], 2)
            outputs, rest = self.upper(outputs, tuple(part[:, 1:] for part in state))
            after = tuple(torch.cat(parts, 1) for parts in zip(first, rest))
        if self.bottleneck is not None:
            outputs = self.bottleneck(torch.cat([outputs, *context, embedded], 2))
        if self.lexical is not None and context:
            words = context[0][:, :, -embedded.size(2) :].tanh()  # (N * K, T, E)
            outputs = outputs + words + self.lexical(words).tanh()
        return outputs, after, weights

    def project(self, outputs: Tensor) -> Tensor:
        """Logits (..., V) of outputs (..., E).

        The largest product of a training step: leave padding out before.

        Those of an adaptive softmax are log-probabilities.
        """
        logits: Tensor = self.projection(outputs)
        return logits

    def sampled_negative_log_likelihood(
        self, outputs: Tensor, targets: Tensor, sample: int, *, label_smoothing: float = 0.0
    ) -> Tensor:
        """What targets (M,) cost after outputs (M, E), see `Softmax`; not for an adaptive one."""
        assert isinstance(self.projection, Softmax)
        return self.projection.sampled_negative_log_likelihood(
            outputs, targets, sample, label_smoothing=label_smoothing
        )

    def step(
        self, tokens: Tensor, state: State, memory: Memory | None = None
    ) -> tuple[Tensor, State]:
        """Advance K hypotheses per sentence by one token.

        Args:
            tokens: last tokens (N, K).
            state: tensors (N, K, L, H).
            memory: N rows, shared by the K hypotheses.

        Returns:
            Logits (N, K, V) and the next state.
        """
        flat = tuple(part.flatten(0, 1) for part in state)
        outputs, after, _ = self(tokens.reshape(-1, 1), flat, memory)
        logits = self.project(outputs).view(*tokens.shape, -1)
        return logits, tuple(part.unflatten(0, tokens.shape) for part in after)
