"""Tokenizer: a value object over a SentencePiece model. Needs sentencepiece alone."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import sentencepiece

from nlp_rnn.data.subwords import SubwordSampler
from nlp_rnn.errors import InputError

__all__ = ["BOS", "EOS", "PAD", "UNK", "Tokenizer"]

PAD, UNK, BOS, EOS = 0, 1, 2, 3

# SentencePiece leaves out training lines of more than 4192 bytes without a word. A stretch of 1000
# characters is at most 4000 bytes, and ends at a space where there is one.
_STRETCH = re.compile(r".{1,1000}(?:\s|\Z)|.{1,1000}", re.DOTALL)


_SIGNS = ("<pad>", "<unk>", "<s>", "</s>")
_MODEL_TYPES = ("unigram", "bpe", "char")
_NORMALIZATIONS = ("nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity")


class Tokenizer:
    """Text to subword ids and back; immutable, and equal when the model's bytes are equal.

    Ids 0 to 3 are `PAD`, `UNK`, `BOS` and `EOS`. `encode` adds none of them: the caller decides
    where a sequence starts and ends. Pickles, hashes and fingerprints by its bytes.
    """

    __slots__ = ("_bytes", "_model", "_sampler")

    def __init__(self, model: bytes) -> None:
        """Loads a serialized SentencePiece model; `from_bytes` is the same under a telling name.

        Raises:
            InputError: the bytes are no whole SentencePiece model with these special ids.
        """
        processor = sentencepiece.SentencePieceProcessor()
        try:
            if not {1, 2, 3} <= _fields(model):  # pieces, trainer settings, normalizer settings
                raise ValueError("incomplete")
            processor.load_from_serialized_proto(model)
        except (RuntimeError, ValueError, IndexError):
            raise InputError(
                f"the tokenizer ({len(model)} bytes) is damaged or no SentencePiece model; "
                "copy it again or train it anew"
            ) from None
        ids = [processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id()]
        if ids != [PAD, UNK, BOS, EOS]:
            raise InputError(
                f"the tokenizer has the special ids pad, unk, bos, eos = {ids}, wanted "
                f"{[PAD, UNK, BOS, EOS]}; train one with Tokenizer.train"
            )
        self._bytes = model
        self._model = processor
        self._sampler: SubwordSampler | None = None

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        *,
        vocab_size: int,
        model_type: Literal["unigram", "bpe", "char"] = "unigram",
        character_coverage: float = 1.0,
        byte_fallback: bool = False,
        normalization: str = "nmt_nfkc",
        whole_words: Sequence[str] = (),
    ) -> Tokenizer:
        """Trains a model in memory; the same texts and settings give the same bytes.

        Args:
            texts: The corpus, one sentence or paragraph each; long ones are cut. SentencePiece
                leaves out those with U+2585, its own sign for the unknown.
            vocab_size: Size of the vocabulary, special ids included; met exactly.
            model_type: Unigram (Kudo, 2018), BPE (Sennrich et al., 2016) or single characters.
            character_coverage: Share of the corpus' characters that get a piece, 0.98 to 1.
            byte_fallback: Spell unknown characters as UTF-8 bytes instead of `UNK`.
            normalization: `nmt_nfkc`, `nfkc`, `nmt_nfkc_cf`, `nfkc_cf` (cf folds case), or
                `identity`: then decode(encode(text)) == text for every text of known characters,
                white space included; only U+2581, SentencePiece's own sign for a space, becomes
                a space. With `byte_fallback` every other character is known.
            whole_words: Words that get a piece each, such as the `<unk>` of classical corpora,
                which would be spelled in four. A longer word that begins with one is cut there.

        Raises:
            InputError: an empty corpus, or settings that it does not allow; a vocabulary that is
                too large or too small is answered with the limit.
        """
        if model_type not in _MODEL_TYPES:
            raise InputError(f"model_type {model_type!r}: use one of {', '.join(_MODEL_TYPES)}")
        if normalization not in _NORMALIZATIONS:
            raise InputError(
                f"normalization {normalization!r}: use one of {', '.join(_NORMALIZATIONS)}"
            )
        if not 0.98 <= character_coverage <= 1:
            raise InputError(f"character_coverage {character_coverage}: use 0.98 to 1")
        if vocab_size < 5:
            raise InputError(
                f"vocab_size {vocab_size} is too small: four are special; use 5 or more"
            )
        for word in whole_words:
            if word.split() != [word]:
                raise InputError(f"whole_words {word!r}: use words without white space")
        corpus = list(texts)
        if not any(map(str.strip, corpus)):  # SentencePiece 0.2.1 ends the whole process on it
            raise InputError("the corpus to train the tokenizer on is empty; give it text")
        # The trainer cuts its own signs out of the text, whose characters might stand there alone.
        signs = [sign for sign in _SIGNS if any(sign in text for text in corpus)]
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_stretches(corpus),
                model_writer=model,
                vocab_size=vocab_size,
                model_type=model_type,
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                normalization_rule_name=normalization,
                remove_extra_whitespaces=normalization != "identity",
                required_chars="".join(["\n" if normalization == "identity" else "", *signs]),
                user_defined_symbols=[f"▁{word}" for word in whole_words],
                pad_id=PAD,
                unk_id=UNK,
                bos_id=BOS,
                eos_id=EOS,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise InputError(_explain(str(error), vocab_size)) from None
        tokenizer = cls(model.getvalue())
        if tokenizer.vocab_size != vocab_size:  # a char model is made smaller without a word
            raise InputError(_too_large(vocab_size, tokenizer.vocab_size))
        return tokenizer

    @classmethod
    def from_bytes(cls, model: bytes) -> Tokenizer:
        """Rebuilds the tokenizer that gave `to_bytes`.

        Raises:
            InputError: the bytes are no whole SentencePiece model with these special ids.
        """
        return cls(model)

    def to_bytes(self) -> bytes:
        """The serialized SentencePiece model, as a `.model` file holds it."""
        return self._bytes

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self._model.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Ids of the best segmentation, without `BOS` and `EOS`; a lone surrogate reads as `?`."""
        return list(self._model.encode(_plain(text)))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many texts."""
        return [self.encode(text) for text in texts]

    def sample(self, text: str, *, alpha: float, seed: int) -> list[int]:
        """One sampled segmentation; see `sample_batch`."""
        return self.sample_batch([text], alpha=alpha, seed=seed)[0]

    def sample_batch(self, texts: Sequence[str], *, alpha: float, seed: int) -> list[list[int]]:
        """Sampled segmentations: subword regularization for unigram models, BPE-dropout for BPE.

        A pure function of its arguments, in every process. A text's segmentation depends on its
        place in the batch. A char model has one segmentation, and gives it.

        Args:
            texts: The texts to encode.
            alpha: Unigram: inverse temperature over the segmentations; 0 makes all equally
                likely, 0.1 to 0.5 are usual. BPE: share of dropped merges; 0 drops none.
            seed: Any integer.
        """
        if self._sampler is None:
            self._sampler = SubwordSampler(self._model)
        rng = random.Random(seed)
        return [self._sampler.sample(_plain(text), alpha=alpha, rng=rng) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids; `PAD`, `BOS` and `EOS` are dropped and `UNK` reads as ` ⁇ `."""
        return str(self._model.decode([int(i) for i in ids]))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The ids' pieces as SentencePiece writes them, `▁` for a space and `<s>` for `BOS`."""
        return [str(self._model.id_to_piece(int(i))) for i in ids]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self._bytes == other._bytes

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __reduce__(self) -> tuple[Callable[[bytes], Tokenizer], tuple[bytes]]:
        return Tokenizer, (self._bytes,)

    def __repr__(self) -> str:
        return f"Tokenizer(vocab_size={self.vocab_size})"


def _plain(text: str) -> str:
    """The text with lone surrogates, which have no UTF-8, replaced."""
    return text if text.isascii() else text.encode("utf-8", errors="replace").decode()


def _stretches(texts: Iterable[str]) -> Iterator[str]:
    """Yields the texts in stretches that are short enough, without white space around them.

    Unigram training would take a space that ends a stretch for a piece of great use, and leave it
    apart from the words after it, too: an eighth more tokens for WikiText-2.
    """
    for text in texts:
        for stretch in _STRETCH.findall(text):
            if inner := stretch.strip(" \n"):
                yield _plain(inner)


def _explain(message: str, vocab_size: int) -> str:
    """One line for a person from what SentencePiece's trainer says."""
    if found := re.search(r"too high .*<= (\d+)", message):
        return _too_large(vocab_size, int(found[1]))
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"vocab_size {vocab_size} is too small for the corpus' characters; use at least "
            f"{found[1]}"
        )
    if "char_model_trainer" in message:
        return f"vocab_size {vocab_size} leaves no room for characters; use more"
    return f"SentencePiece cannot train with these settings: {message.strip()}"


def _too_large(vocab_size: int, limit: int) -> str:
    return f"vocab_size {vocab_size} is more than the corpus allows; use at most {limit}"


def _fields(model: bytes) -> set[int]:
    """Numbers of the top-level protobuf fields, all of them length-delimited in a model.

    A model cut between two fields still parses, and would load with half its pieces.
    """
    found, at = set(), 0
    while at < len(model):
        key, at = _varint(model, at)
        length, at = _varint(model, at)
        found.add(key >> 3)
        at += length
    if at != len(model):
        raise ValueError("cut short")
    return found


def _varint(model: bytes, at: int) -> tuple[int, int]:
    """The variable-length integer at a position, and the position after it."""
    value = shift = 0
    while True:
        value |= (model[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not model[at - 1] & 0x80:
            return value, at
