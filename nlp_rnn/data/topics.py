"""A language-modelling corpus that every Python has: the help texts on topics of the language."""

from __future__ import annotations

from collections import Counter
from pydoc_data.topics import topics as _texts

__all__ = ["topics"]

_HELD_OUT = 7  # texts of validation, and of test


def topics() -> dict[str, list[str]]:
    """Prose about Python in English, a text a topic; about 65,000 words, fewer in old Pythons.

    Topics quote each other, so a text is held out only if no paragraph of it stands in another
    one. What is held out is spread over the alphabet.
    """
    texts = [text.strip() for _, text in sorted(_texts.items())]
    occurrences = Counter(paragraph for text in texts for paragraph in set(_paragraphs(text)))
    alone = [text for text in texts if max(occurrences[p] for p in _paragraphs(text)) == 1]
    chosen = alone[:: max(1, len(alone) // (2 * _HELD_OUT))][: 2 * _HELD_OUT]
    train = [text for text in dict.fromkeys(texts) if text not in chosen]
    return {"train": train, "validation": chosen[::2], "test": chosen[1::2]}


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
