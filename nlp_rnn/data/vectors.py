"""Pretrained word vectors: from text files, from torchtext's caches, by torchtext's names."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nlp_rnn.data.cache import cache_folder
from nlp_rnn.data.torchtext import pretrained_vectors
from nlp_rnn.errors import InputError
from nlp_rnn.paths import home

__all__ = ["WordVectors", "load_vectors"]

NAMES = (
    *(f"glove.6B.{size}d" for size in (50, 100, 200, 300)),
    *(f"glove.twitter.27B.{size}d" for size in (25, 50, 100, 200)),
    *("glove.42B.300d", "glove.840B.300d"),
    *("fasttext.en.300d", "fasttext.simple.300d", "charngram.100d"),
)
"""What torchtext can download."""


class WordVectors(NamedTuple):
    """Words that have a vector, and their vectors.

    Attributes:
        words: W different words.
        vectors: (W, E) in float32.
    """

    words: list[str]
    vectors: Tensor


def load_vectors(source: str | Path, words: Collection[str]) -> WordVectors:
    """The vectors of those of the words that have one.

    Args:
        source: One of
            a text file, plain or .gz, with a word and its numbers a line, as of GloVe, and perhaps
            a first line with the count of words and of numbers, as of word2vec and fastText; it is
            read line by line, so that memory holds only what is wanted;
            a file .pt, the cache that `torchtext.vocab.Vectors` keeps of a text file;
            a name of vectors that torchtext downloads, such as `glove.6B.100d`.
        words: Those wanted; a word that stands in a text file twice has its first vector.

    Returns:
        The words found, in the order of `words`.

    Raises:
        InputError: no such file and no such name, a file of another kind or damaged in a line that
            was read, vectors for none of the words, or a name without torchtext.
    """
    path = Path(home(source))
    if path.is_file():
        found = (_read_cache if path.suffix == ".pt" else _read_text)(path, words)
    elif source in NAMES:
        found = _download(str(source), words)
    else:
        raise InputError(
            f"no vectors at {source}: give a text file (.txt, .vec, .gz), a cache of torchtext "
            f"(.pt), or one of {', '.join(NAMES)}"
        )
    if not found:
        raise InputError(
            f"{source} has a vector for none of {len(words)} words: give vectors of their "
            "language and spelling"
        )
    kept = [word for word in dict.fromkeys(words) if word in found]
    return WordVectors(kept, torch.stack([found[word] for word in kept]).float())


def _read_text(path: Path, words: Collection[str]) -> dict[str, Tensor]:
    left = {word.encode(): word for word in words}  # the file's other words may be no UTF-8
    found: dict[str, Tensor] = {}
    number = size = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    size = _size(line)
                    if _is_header(line):
                        continue
                word, numbers = _fields(line, size)
                if word in left:
                    found[left.pop(word)] = _vector(numbers)
                elif number == 1:
                    _vector(numbers)  # a file of another kind ends here
                if not left:
                    break
    except ValueError as error:
        raise InputError(f"{path}, line {number}{_complaint(line, error)}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): download it again") from None
    if not number:
        raise InputError(f"{path} is empty: download it again")
    return found


def _is_header(line: bytes) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _size(line: bytes) -> int:
    """Numbers of a vector, by the first line."""
    return int(line.split()[1]) if _is_header(line) else line.rstrip().count(b" ")


def _fields(line: bytes, size: int) -> tuple[bytes, list[bytes]]:
    """The word of a line and its numbers; the word of a few lines of GloVe 840B is ``. . .``.

    Raises:
        ValueError: too few numbers, or too many.
    """
    word, *numbers = line.rstrip().rsplit(b" ", size)
    if not numbers or len(numbers) < size:
        raise ValueError(f"{len(numbers)} numbers, but {size or 'some'} are wanted")
    if b" " in word and _is_number(word.split(b" ")[-1]):
        raise ValueError(f"more than {size} numbers")
    return word, numbers


def _is_number(text: bytes) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _vector(numbers: list[bytes]) -> Tensor:
    """The numbers of one line (E,).

    Raises:
        ValueError: one that is none, or not finite in float32.
    """
    vector = torch.tensor([float(number) for number in numbers])
    if not vector.isfinite().all():
        raise ValueError("a number is not finite")
    return vector


def _complaint(line: bytes, error: ValueError) -> str:
    try:
        binary = "\0" in line.decode()
    except UnicodeDecodeError:
        binary = True
    if binary:
        return (
            " is no text: unpack an archive; convert a binary model (.bin) to text, for example "
            "with save_word2vec_format of gensim's KeyedVectors"
        )
    return f": {error}; a line is a word and its numbers, with a space between"


def _read_cache(path: Path, words: Collection[str]) -> dict[str, Tensor]:
    try:
        _, numbers, vectors, _ = torch.load(path, map_location="cpu", weights_only=True)
        return {word: vectors[numbers[word]] for word in words if word in numbers}
    except Exception as error:
        raise InputError(
            f"{path} is no readable cache of torchtext's Vectors ({type(error).__name__}): give "
            "the text file that it was made of"
        ) from error


def _download(name: str, words: Collection[str]) -> dict[str, Tensor]:
    known = pretrained_vectors(name, cache_folder() / "vectors")
    vectors = {word: known[word].flatten() for word in words}  # charngram gives (1, E)
    return {word: vector for word, vector in vectors.items() if vector.any()}  # unknown: zeros
