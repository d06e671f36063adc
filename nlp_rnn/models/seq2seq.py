"""A translator: an encoder, a bridge and a decoder.

N batch, S source length, T target length, L decoder layers, H hidden, E embedding, V vocabulary.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from nlp_rnn.errors import InputError, require
from nlp_rnn.modules.attention import AttentionKind, Memory
from nlp_rnn.modules.bridge import Bridge
from nlp_rnn.modules.decoder import Decoder
from nlp_rnn.modules.encoder import Encoder
from nlp_rnn.modules.input_feeding import InputFeedingDecoder
from nlp_rnn.modules.rnn import Cell, State
from nlp_rnn.modules.softmax import LOGITS

__all__ = ["Seq2Seq"]

_COUNTS = ("vocab_size", "embedding_size", "hidden_size", "encoder_layers", "decoder_layers")


class Seq2Seq(nn.Module):
    """Sequence to sequence with attention (Bahdanau et al. 2015, Luong et al. 2015).

    Args:
        vocab_size: source tokens, and target tokens unless they have a vocabulary of their own.
        target_vocab_size: target tokens; 0 means the joint vocabulary.
        cell: the recurrence of encoder and decoder.
        embedding_size: E.
        hidden_size: H; also the width of the encoder's outputs.
        encoder_layers: recurrent layers of the encoder.
        decoder_layers: recurrent layers of the decoder.
        bidirectional: the encoder reads from both ends.
        attention: how the decoder looks at the source, or ``none``.
        lexical: the decoder looks at the source's embeddings beside the encoder's outputs, and what
            it finds there meets the softmax directly, see `Decoder`.
        decoder: ``parallel`` trains all steps at once; ``input_feeding`` loops (Luong et al. 2015).
        tied: matrices that are one: ``none``, the decoder's ``two`` (Press & Wolf 2017), or all
            ``three`` with the encoder's embedding (needs a joint vocabulary).
        embedding_dropout: locked dropout on embeddings.
        word_dropout: share of words that are blanked, on both sides.
        dropout: locked dropout between recurrent layers.
        encoder_dropout: locked dropout on the encoder's outputs.
        output_dropout: locked dropout before the softmax.
        layer_norm: normalise every recurrent layer's outputs.
        residual: add a layer's input to its output where the sizes agree.

    Attributes:
        arguments: the constructor's arguments, enough to build this network again.

    Raises:
        InputError: unknown choices, values out of range, or arguments that exclude each other.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 4000,
        target_vocab_size: int = 0,
        cell: Cell = "gru",
        embedding_size: int = 256,
        hidden_size: int = 512,
        encoder_layers: int = 1,
        decoder_layers: int = 2,
        bidirectional: bool = True,
        attention: AttentionKind = "general",
        lexical: bool = False,
        decoder: Literal["parallel", "input_feeding"] = "parallel",
        tied: Literal["none", "two", "three"] = "three",
        embedding_dropout: float = 0.3,
        word_dropout: float = 0.1,
        dropout: float = 0.4,
        encoder_dropout: float = 0.4,
        output_dropout: float = 0.4,
        layer_norm: bool = False,
        residual: bool = False,
    ) -> None:
        self.arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        super().__init__()
        if decoder not in ("parallel", "input_feeding"):
            raise InputError(f"decoder {decoder!r} is neither 'parallel' nor 'input_feeding'")
        if tied not in ("none", "two", "three"):
            raise InputError(f"tied {tied!r} is none of 'none', 'two', 'three'")
        for name in _COUNTS:
            require(self.arguments[name] >= 1, f"{name} {self.arguments[name]}", "1 or more")
        require(target_vocab_size >= 0, f"target_vocab_size {target_vocab_size}", "0 or more")
        if tied == "three" and target_vocab_size:
            raise InputError(
                "three-way tying needs a joint vocabulary: set target_vocab_size to 0 or tied to "
                "'two'"
            )
        self.encoder = Encoder(
            vocab_size=vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=encoder_layers,
            cell=cell,
            bidirectional=bidirectional,
            embedding_dropout=embedding_dropout,
            word_dropout=word_dropout,
            dropout=dropout,
            output_dropout=encoder_dropout,
            layer_norm=layer_norm,
            residual=residual,
        )
        self.bridge = Bridge(
            memory_size=hidden_size, hidden_size=hidden_size, num_layers=decoder_layers, cell=cell
        )
        decoder_class = Decoder if decoder == "parallel" else InputFeedingDecoder
        self.decoder = decoder_class(
            vocab_size=target_vocab_size or vocab_size,
            embedding_size=embedding_size,
            hidden_size=hidden_size,
            num_layers=decoder_layers,
            cell=cell,
            attention=attention,
            memory_size=hidden_size + (embedding_size if lexical else 0),
            lexical=lexical,
            tied=tied != "none",
            embedding_dropout=embedding_dropout,
            word_dropout=word_dropout,
            dropout=dropout,
            output_dropout=output_dropout,
            layer_norm=layer_norm,
            residual=residual,
        )
        if tied == "three":
            self.encoder.embedding.weight = self.decoder.embedding.weight

    @property
    def attends(self) -> bool:
        """Whether the decoder looks at the source after it was read."""
        return self.decoder.attention is not None

    def encode(self, source: Tensor, lengths: Tensor) -> tuple[State, tuple[Tensor, ...]]:
        """Read the source.

        Args:
            source: ids (N, S), padding last.
            lengths: real tokens per row (N,).

        Returns:
            The decoder's first state and its `Memory` (empty without attention), tensors leading
            with N.
        """
        embedded = self.encoder.embed(source)
        encoded = self.encoder.read(embedded, lengths)
        state = self.decoder.start(self.bridge(encoded.summary))
        if self.decoder.attention is None:
            return state, ()
        values = encoded.outputs
        if self.decoder.lexical is not None:
            values = torch.cat([values, embedded], 2)
        return state, self.decoder.attention.memorize(values, encoded.mask)

    def forward(
        self, source: Tensor, lengths: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing.

        Args:
            source: ids (N, S), padding last.
            lengths: real tokens per row (N,).
            target: ids (N, T) that start with the begin token.

        Returns:
            What meets the softmax after each target token (N, T, E), to be given to
            `Decoder.project`; and the attention weights (N, T, S) or None.
        """
        state, memory = self.encode(source, lengths)
        outputs, _, weights = self.decoder(target, state, Memory(*memory) if memory else None)
        return outputs, weights

    def step(
        self, tokens: Tensor, state: State, memory: tuple[Tensor, ...]
    ) -> tuple[Tensor, State]:
        """One step of a search: see `Decoder.step`; ``memory`` may be a plain or empty tuple."""
        return self.decoder.step(tokens, state, Memory(*memory) if memory else None)

    def score(
        self, source: Tensor, lengths: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """How likely given translations are (forced decoding).

        Args:
            source: ids (N, S), padding last.
            lengths: real tokens per row (N,).
            target: ids (N, T + 1), begin token first, end token last, then padding.

        Returns:
            Log-probabilities (N, T) of ``target[:, 1:]``, zero at padding, and the attention
            weights (N, T, S) or None.
        """
        state, keys = self.encode(source, lengths)
        memory, attention = (Memory(*keys) if keys else None), self.decoder.attention
        held = source.size(1) * attention.score_size if attention else 0
        held = max(held, self.decoder.embedding.num_embeddings)  # numbers for one target token
        steps = max(1, LOGITS // (len(target) * held))
        scored, attended = [], []
        for part, after in zip(target[:, :-1].split(steps, 1), target[:, 1:].split(steps, 1)):
            outputs, state, weights = self.decoder(part, state, memory)
            logits = self.decoder.project(outputs).float()
            chosen = logits.gather(2, after.unsqueeze(2)).squeeze(2)
            scored.append((chosen - torch.logsumexp(logits, 2)).masked_fill(after == 0, 0.0))
            if weights is not None:
                attended.append(weights)
        return torch.cat(scored, 1), torch.cat(attended, 1) if attended else None
