"""A vocabulary of whole words, for the classical corpora and for pretrained word vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nlp_rnn.data.lines import read_lines
from nlp_rnn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from nlp_rnn.errors import InputError

__all__ = ["Vocabulary", "WordVocabulary", "open_vocabulary"]

_HEADER = b"nlp_rnn words 1\n"
_LOWER_HEADER = b"nlp_rnn words 1, lower-cased\n"
_SPECIAL = {PAD: "<pad>", UNK: "<unk>", BOS: "<s>", EOS: "</s>"}


class WordVocabulary:
    """Words between white space to ids and back; immutable, a `Tokenizer`'s methods but sampling.

    Ids are sorted by frequency, behind the same special ones as a `Tokenizer`'s. The text `<unk>`
    of the classical corpora is the unknown word, and so is every word that is not in the list.

    Args:
        words: the words with the ids 4, 5, and so on.
        lowercase: texts are lower-cased before their words are looked up.
    """

    __slots__ = ("_ids", "_words", "lowercase")

    def __init__(self, words: Sequence[str], *, lowercase: bool = False) -> None:
        self.lowercase = lowercase
        self._words = [*(_SPECIAL[i] for i in range(len(_SPECIAL))), *words]
        self._ids = {word: i for i, word in enumerate(self._words) if i > EOS}

    @classmethod
    def train(
        cls, texts: Iterable[str], *, vocab_size: int, lowercase: bool = False
    ) -> WordVocabulary:
        """The most frequent words of a corpus; of equally frequent ones the first in the alphabet.

        Args:
            texts: the corpus.
            vocab_size: size of the vocabulary, the four special ids included; met exactly.
            lowercase: lower-case this and every other text.

        Raises:
            InputError: the corpus has fewer words, or none.
        """
        cased = (text.lower() if lowercase else text for text in texts)
        counts = Counter(word for text in cased for word in text.split())
        counts.pop(_SPECIAL[UNK], None)
        if not counts:
            raise InputError("the corpus to make the vocabulary of is empty; give it text")
        limit = len(counts) + len(_SPECIAL)
        if not len(_SPECIAL) < vocab_size <= limit:
            raise InputError(
                f"vocab_size {vocab_size}: the corpus has {len(counts)} different words, and "
                f"{len(_SPECIAL)} ids are special: use {len(_SPECIAL) + 1} to {limit}"
            )
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(ranked[: vocab_size - len(_SPECIAL)], lowercase=lowercase)

    @classmethod
    def from_file(cls, path: str | Path, *, lowercase: bool = False) -> WordVocabulary:
        """A given list of words, such as the `get_itos()` of torchtext's `Vocab`: a word a line.

        The order is kept; `<pad>`, `<unk>`, `<s>` and `</s>` are left out, as they have ids anyway.

        Args:
            path: of the list.
            lowercase: texts are lower-cased before their words are looked up.

        Raises:
            InputError: no such file, no words, a line that is not one word, or a word twice.
        """
        if not Path(path).is_file():
            raise InputError(f"no list of words at {path}: give a text file, one word a line")
        lines: dict[str, int] = {}
        with Path(path).open("rb") as file:
            for number, word in enumerate(read_lines(file, str(path)), 1):
                if word.split() != [word]:
                    raise InputError(f"{path}, line {number}: {word!r} is not one word; remove it")
                if lowercase and word != word.lower():
                    raise InputError(
                        f"{path}, line {number}: {word!r} would never be found, as texts are read "
                        "in lower case; leave out --data.lowercase, or lower-case the list"
                    )
                if word in lines:
                    raise InputError(
                        f"{path}, line {number}: {word!r} stands in line {lines[word]} already; "
                        "remove one"
                    )
                lines[word] = number
        words = [word for word in lines if word not in _SPECIAL.values()]
        if not words:
            raise InputError(f"{path} holds no words; give a text file, one word a line")
        return cls(words, lowercase=lowercase)

    @classmethod
    def from_bytes(cls, model: bytes) -> WordVocabulary:
        """Rebuilds the vocabulary that gave `to_bytes`.

        Raises:
            InputError: the bytes are something else.
        """
        header, _, words = model.partition(b"\n")
        if header + b"\n" not in (_HEADER, _LOWER_HEADER):
            raise InputError(f"the vocabulary ({len(model)} bytes) is damaged or no list of words")
        return cls(words.decode().split("\n"), lowercase=header + b"\n" == _LOWER_HEADER)

    def to_bytes(self) -> bytes:
        """A header and a word a line."""
        header = _LOWER_HEADER if self.lowercase else _HEADER
        return header + "\n".join(self._words[len(_SPECIAL) :]).encode()

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return len(self._words)

    def encode(self, text: str) -> list[int]:
        """Ids of the words, without `BOS` and `EOS`."""
        cased = text.lower() if self.lowercase else text
        return [self._ids.get(word, UNK) for word in cased.split()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many texts."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The words with a space between them; `PAD`, `BOS` and `EOS` are dropped."""
        return " ".join(self._words[i] for i in ids if i not in (PAD, BOS, EOS))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The words one by one."""
        return [self._words[i] for i in ids]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WordVocabulary) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(tuple(self._words))

    def __reduce__(self) -> tuple[Callable[[bytes], WordVocabulary], tuple[bytes]]:
        return WordVocabulary.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        return f"WordVocabulary(vocab_size={self.vocab_size})"


Vocabulary = Tokenizer | WordVocabulary


def open_vocabulary(model: bytes) -> Vocabulary:
    """What `to_bytes` of either kind gave.

    Raises:
        InputError: the bytes are neither.
    """
    kind = WordVocabulary if model.startswith((_HEADER, _LOWER_HEADER)) else Tokenizer
    return kind.from_bytes(model)
