"""One likelihood of a text in the units of the field."""

import math
from dataclasses import dataclass

__all__ = ["TextSize", "perplexities"]


@dataclass(frozen=True)
class TextSize:
    """How large a text is, by units that do not depend on a vocabulary.

    The end of each unit of text counts as a word, a character and a byte, for it is predicted too.

    Attributes:
        words: between white space.
        characters: code points.
        bytes: of UTF-8.
    """

    words: int
    characters: int
    bytes: int


def perplexities(nats: float, tokens: int, size: TextSize) -> dict[str, float]:
    """One negative log-likelihood in the four units of the field.

    Args:
        nats: summed over the text.
        tokens: that were predicted.
        size: of the raw text.

    Returns:
        ``token_perplexity``; ``word_perplexity``, ``bits_per_character`` and ``bits_per_byte``,
        which compare across vocabularies if they can spell the text: what is unknown costs one
        token, however long it is.
    """
    bits = nats / math.log(2)
    return {
        "token_perplexity": math.exp(min(nats / max(1, tokens), 700.0)),
        "word_perplexity": math.exp(min(nats / max(1, size.words), 700.0)),
        "bits_per_character": bits / max(1, size.characters),
        "bits_per_byte": bits / max(1, size.bytes),
    }
