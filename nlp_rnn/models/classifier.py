"""A classifier: an encoder with a pooled head.

N batch, S source length, E embedding, D features, C classes.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError, require
from nlp_rnn.modules.convolution import CausalConvolution, CharacterCNN
from nlp_rnn.modules.encoder import Encoder, reversal
from nlp_rnn.modules.pooling import Pooled, Pooling, PoolingKind
from nlp_rnn.modules.rnn import Cell, State

__all__ = ["Classifier", "Reading"]


class Reading(NamedTuple):
    """How far a text was read in one direction.

    Attributes:
        gathered: by the pooling, of the tokens so far.
        state: of the recurrent layers.
        tail: the last inputs of the convolution; None without one.
    """

    gathered: tuple[Pooled, ...]
    state: tuple[State, ...]
    tail: Tensor | None


class Classifier(nn.Module):
    """Reads a text and says which of the labels fit it.

    Args:
        labels: C names.
        multi_label: any number of labels may fit, each by itself (sigmoid); else exactly one
            (softmax).
        vocab_size: tokens; id 0 is padding.
        cell: the recurrence.
        embedding_size: E.
        hidden_size: D; in layers of both directions each has D / 2 units.
        num_layers: recurrent layers.
        directions: ``both`` in every layer, ``forward`` alone, or ``apart``: two stacks of layers,
            one of which reads from the end, as two language models would; their poolings stand
            side by side.
        pooling: how vectors of tokens become one of the text, see `Pooling`.
        num_hops: of attention pooling.
        convolution: words that a convolution before the recurrence looks at; 0 leaves it out.
        characters: features that a convolution makes of each token's spelling, beside its
            embedding; 0 leaves it out.
        head_size: units of a hidden layer between pooling and scores; 0 leaves it out.
        embedding_dropout: locked dropout on the embeddings.
        word_dropout: share of words whose embedding is blanked.
        dropout: locked dropout between the layers.
        weight_dropout: share of recurrent weights left out (Merity et al. 2018).
        output_dropout: locked dropout on the recurrent layers' outputs (the last state, which
            ``last`` and ``concat`` pool, has ``head_dropout`` alone).
        head_dropout: dropout before the scores.
        layer_norm: normalise every layer's outputs.
        residual: add a layer's input to its output where the sizes agree.

    Attributes:
        arguments: the constructor's arguments, enough to build this network again.

    Raises:
        InputError: values out of range, or arguments that exclude each other.
    """

    def __init__(
        self,
        *,
        labels: Sequence[str] = ("negative", "neutral", "positive"),
        multi_label: bool = False,
        vocab_size: int = 4000,
        cell: Cell = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        directions: Literal["both", "forward", "apart"] = "both",
        pooling: PoolingKind = "concat",
        num_hops: int = 1,
        convolution: int = 0,
        characters: int = 0,
        head_size: int = 0,
        embedding_dropout: float = 0.3,
        word_dropout: float = 0.1,
        dropout: float = 0.3,
        weight_dropout: float = 0.0,
        output_dropout: float = 0.0,
        head_dropout: float = 0.5,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        given = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        # A list, as YAML gives: a checkpoint's is compared with that of a command line.
        self.arguments: dict[str, Any] = {**given, "labels": list(labels)}
        super().__init__()
        labels = list(labels)
        if len(set(labels)) < len(labels) or len(labels) < 2:
            raise InputError(f"labels {labels}: give at least two labels, each once")
        if multi_label and any("|" in label for label in labels):
            raise InputError(
                f"labels {labels}: of several at once none may hold |, which parts them"
            )
        if directions not in ("both", "forward", "apart"):
            raise InputError(f"directions {directions!r} is none of 'both', 'forward', 'apart'")
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_layers"):
            require(self.arguments[name] >= 1, f"{name} {self.arguments[name]}", "1 or more")
        for name in ("convolution", "characters", "head_size"):
            require(self.arguments[name] >= 0, f"{name} {self.arguments[name]}", "0 or more")
        require(0 <= head_dropout < 1, f"head_dropout {head_dropout}", "0 to below 1")
        self.labels, self.multi_label = labels, multi_label

        def make_reader() -> _Reader:
            width = embedding_size + characters
            return _Reader(
                Encoder(
                    vocab_size=vocab_size,
                    embedding_size=embedding_size,
                    input_size=width,
                    hidden_size=hidden_size,
                    num_layers=num_layers,
                    cell=cell,
                    bidirectional=directions == "both",
                    embedding_dropout=embedding_dropout,
                    word_dropout=word_dropout,
                    dropout=dropout,
                    weight_dropout=weight_dropout,
                    output_dropout=output_dropout,
                    layer_norm=layer_norm,
                    residual=residual,
                ),
                CharacterCNN(vocab_size, characters) if characters else None,
                CausalConvolution(width, convolution) if convolution else None,
                Pooling(kind=pooling, size=hidden_size, num_hops=num_hops),
            )

        self.reader = make_reader()
        self.reversed_reader = make_reader() if directions == "apart" else None
        width = sum(reader.pooling.output_size for reader in self.readers)
        hidden: list[nn.Module] = []
        if head_size:
            hidden = [nn.Linear(width, head_size), nn.ReLU(), nn.Dropout(head_dropout)]
        self.head = nn.Sequential(
            nn.Dropout(head_dropout), *hidden, nn.Linear(head_size or width, len(labels))
        )

    @property
    def readers(self) -> "list[_Reader]":
        """One, or two if the directions are apart: the second reads from the end."""
        return [self.reader] + ([self.reversed_reader] if self.reversed_reader else [])

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Read whole texts.

        Args:
            tokens: ids (N, S), padding last.
            lengths: real tokens per row (N,), at least one.

        Returns:
            Scores (N, C): logits of a softmax, or of sigmoids.
        """
        backwards = tokens
        if self.reversed_reader is not None:
            backwards = tokens.gather(1, reversal(lengths, tokens.size(1)))
        return self.score(self.read(tokens, backwards, lengths))

    def read(
        self,
        tokens: Tensor,
        backwards: Tensor,
        lengths: Tensor,
        before: Sequence[Reading] | None = None,
    ) -> list[Reading]:
        """Read texts, or a part of them, to be given to `score` after the last part.

        Reading in parts takes recurrent layers of one direction, and texts without padding. The
        result is that of `forward`, and memory does not grow with the length.

        Args:
            tokens: ids (N, S), padding last.
            backwards: the same of the texts read from their end; used by ``apart``.
            lengths: real tokens per row (N,), at least one.
            before: what the part before gave; None at the start.
        """
        return [
            reader(each, lengths, earlier)
            for reader, each, earlier in zip(
                self.readers, (tokens, backwards), before or (None, None)
            )
        ]

    def score(self, readings: Sequence[Reading]) -> Tensor:
        """What was read to the end -> scores (N, C)."""
        pooled = [
            reader.pooling.result(reading.gathered)
            for reader, reading in zip(self.readers, readings)
        ]
        scores: Tensor = self.head(torch.cat(pooled, 1))
        return scores

    def log_probs(self, scores: Tensor) -> Tensor:
        """Scores (N, C) -> log-probabilities (N, C), of all labels or of each by itself."""
        scores = scores.float()
        return nn.functional.logsigmoid(scores) if self.multi_label else scores.log_softmax(1)


class _Reader(nn.Module):
    """Tokens to what was gathered of them, in one stack of layers."""

    def __init__(
        self,
        encoder: Encoder,
        characters: CharacterCNN | None,
        convolution: CausalConvolution | None,
        pooling: Pooling,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.characters = characters
        self.convolution = convolution
        self.pooling = pooling

    def forward(self, tokens: Tensor, lengths: Tensor, before: Reading | None) -> Reading:
        inputs, tail = self.encoder.embed(tokens), None
        if self.characters is not None:
            inputs = torch.cat([inputs, self.characters(tokens)], 2)
        if self.convolution is not None:
            inputs, tail = self.convolution(inputs, before.tail if before else None)
        encoded = self.encoder.read(inputs, lengths, before.state if before else None)
        gathered = self.pooling.gather(encoded, before.gathered if before else None)
        return Reading(gathered, encoded.state, tail)
