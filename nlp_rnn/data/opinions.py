"""A sentiment corpus that is generated: sentences in three classes, put together from parts.

Hardly a word decides a label, for what one sentence affirms another one denies. What decides is
how a sentence is put together, by four rules:

1. A denial turns an opinion around ("not clean", "far from clean"); two turn it back.
2. Of opposed opinions the one after "but" and "however" decides, and the one beside "although".
3. Opinions that are evenly linked ("and", "while", "on the one hand") keep the label they share;
   if they are opposed, the sentence is neutral.
4. A fact is neutral, and so is an opinion that nobody holds ("I do not know whether it is clean").
   Beside an opinion they change nothing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import NamedTuple

# ruff: noqa: SIM905  (a string of words reads better than a column of literals)

__all__ = ["opinions"]

_LABELS = ("negative", "neutral", "positive")
_TRAIN, _HELD_OUT = 1000, 100  # sentences of each label in train; in validation, and in test
_LEFT_IN_TRAIN = 2  # times that every word of a held-out sentence stands in train, at least


class _Kind(NamedTuple):
    """A kind of things: their nouns, and the adjectives and facts that go with each of these."""

    nouns: list[str]
    good: list[str]
    bad: list[str]  # the opposites, in the same order
    facts: list[str]


_FOOD = _Kind(
    "soup pasta fish dessert coffee bread salad cake".split(),
    "good tasty appetizing delicious".split(),
    "bad bland unappetizing disgusting".split(),
    [
        "the {x} came at eight",
        "the {x} is on the menu",
        "the {x} is not on the menu today",
        "the {x} costs nine euros",
        "we had the {x} for lunch",
        "we did not order the {x}",
    ],
)
_PEOPLE = _Kind(
    "waiter manager owner assistant guide receptionist".split(),
    "good friendly helpful polite patient wonderful".split(),
    "bad unfriendly useless rude impatient terrible".split(),
    [
        "the {x} works on Sundays",
        "the {x} does not work on Sundays",
        "the {x} comes from Italy",
        "the {x} brought the bill",
        "the {x} wrote down our names",
        "we did not meet the {x} on Monday",
    ],
)
_ROOM = _Kind(
    "room bathroom kitchen lobby apartment bedroom".split(),
    "good clean comfortable quiet bright lovely".split(),
    "bad dirty uncomfortable noisy gloomy awful".split(),
    [
        "the {x} is on the second floor",
        "the {x} is not on the ground floor",
        "the {x} has two windows",
        "the {x} does not have a window",
        "the {x} is next to the stairs",
        "we saw the {x} on Monday",
    ],
)
_STORY = _Kind(
    "film play novel series comedy documentary".split(),
    "good funny exciting original clever excellent".split(),
    "bad dull boring predictable silly dreadful".split(),
    [
        "the {x} came out in May",
        "the {x} did not come out in May",
        "the {x} is about two sisters",
        "the {x} is set in Lisbon",
        "the {x} is not set in Lisbon",
        "I started the {x} on Monday",
    ],
)
_DEVICE = _Kind(
    "camera phone laptop printer watch keyboard".split(),
    "good fast reliable sturdy great".split(),
    "bad slow unreliable flimsy horrible".split(),
    [
        "the {x} came on Monday",
        "the {x} did not come on Monday",
        "the {x} costs ninety euros",
        "the {x} is sold in black and white",
        "the {x} is not sold in red",
        "I bought the {x} in May",
    ],
)
_SCENES = [(_FOOD, _PEOPLE), (_ROOM, _PEOPLE), (_ROOM, _FOOD), (_STORY,), (_STORY,), (_DEVICE,)]

# "Not horrible" says little, so strong words are denied in strong ways only.
_STRONG = {
    *"delicious wonderful lovely excellent great".split(),
    *"disgusting terrible awful dreadful horrible".split(),
}
_PLAIN = [
    *["{x} {is} {a}", "{x} {is} {very} {a}"] * 2,
    "I found {x} {a}",
    "I found {x} {very} {a}",
    "everybody found {x} {a}",
    "{x} turned out to be {a}",
]
_WEAKLY_DENIED = [
    *["{x} {is} not {a}"] * 2,
    "{x} {is}n't {a}",
    "{x} {is} not {a} at all",
    "{x} {is} not very {a}",
    "{x} {is} not really {a}",
    "{x} {is} not that {a}",
    "{x} {is} never {a}",
    "I did not find {x} {a}",
    "I didn't find {x} very {a}",
    "I would not call {x} {a}",
]
_STRONGLY_DENIED = [
    "{x} {is} anything but {a}",
    "{x} {is} far from {a}",
    "nobody found {x} {a}",
]
_TOLD = [  # and whether it turns around what the adjective says; too long for half a sentence
    ("I expected {x} to be {a}, and it was", False),
    ("I expected {x} to be {a}, but it was not", True),
    ("they told us that {x} was {a}, and it was", False),
    ("they told us that {x} was {a}, but it wasn't", True),
]
_SAID = [  # likewise
    ("nobody could say that {x} {is} {a}", True),
    ("it is not true that {x} {is} {a}", True),
    ("nobody could say that {x} {is} not {a}", False),
    ("it is not true that {x} {is} not {a}", False),
]
_UNDECIDED = [
    "{x} {is} neither {a} nor {b}",
    "{x} {is} not {a}, but not {b} either",
    "I cannot say whether {x} {is} {a} or {b}",
    "I do not know whether {x} {is} {a}",
    "I don't know if {x} {is} {a} or not",
    "nobody told us whether {x} {is} {a}",
    "I wonder if {x} {is} really {a}",
    "we asked if {x} was {a}",
]
_QUESTIONS = [
    "{is} {x} {a}?",
    "{is} {x} really {a}?",
    "does anybody know if {x} {is} {a}?",
    "did you find {x} {a} or {b}?",
]
_DECIDED = [  # and which of the two opinions decides
    *[("{}, but {}", 1)] * 2,
    ("{}. However, {}", 1),
    ("although {}, {}", 1),
    ("even though {}, {}", 1),
    ("{}, although {}", 0),
    ("{}, even though {}", 0),
]
_AGREED = ["{}, and {}", "{}. {}", "{}, while {}"]
_OPPOSED = ["{}, while {}", "on the one hand {}, on the other hand {}"]
_BESIDE = ["{}, and {}", "{}. {}"]


def opinions(seed: int = 0) -> dict[str, list[tuple[str, str]]]:
    """Generated opinions and facts about meals, people, rooms, stories and devices.

    3,000 sentences in train, 300 in validation, 300 in test, a third of each label. No sentence
    comes twice, not even with other marks; those held out are made of words that train shows. The
    result depends on nothing but the seed.

    Args:
        seed: Another one gives another corpus of the same kind.

    Returns:
        The splits `train`, `validation` and `test`, each a list of (text, label); labels are
        `negative`, `neutral` and `positive`.
    """
    rng = random.Random(seed)
    texts: dict[str, list[str]] = {label: [] for label in _LABELS}
    seen: set[tuple[str, ...]] = set()
    while any(len(found) < _TRAIN + 2 * _HELD_OUT for found in texts.values()):
        text, score = _Talk(rng).sentence()
        found = texts[_LABELS[score + 1]]
        words = tuple(_words(text))
        if len(found) < _TRAIN + 2 * _HELD_OUT and words not in seen:
            seen.add(words)
            found.append(text)
    for found in texts.values():
        rng.shuffle(found)  # short sentences are soon used up, so they come first
    splits = _split(texts)
    for rows in splits.values():
        rng.shuffle(rows)  # which stood label by label
    return splits


def _split(texts: dict[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    """Holds out sentences as long as each of their words stays often enough in train."""
    splits: dict[str, list[tuple[str, str]]] = {"train": [], "validation": [], "test": []}
    left = Counter(word for found in texts.values() for text in found for word in _words(text))
    for label, found in texts.items():
        held_out: list[tuple[str, str]] = []
        for text in found:
            words = Counter(_words(text))
            spare = all(left[word] - count >= _LEFT_IN_TRAIN for word, count in words.items())
            if spare and len(held_out) < 2 * _HELD_OUT:
                left.subtract(words)
                held_out.append((text, label))
            else:
                splits["train"].append((text, label))
        splits["validation"] += held_out[::2]
        splits["test"] += held_out[1::2]
    return splits


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


class _Talk:
    """One sentence: about things of one scene, each mentioned once, in one tense."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._is = rng.choice(["was", "is"])
        self._things = [(kind, noun) for kind in rng.choice(_SCENES) for noun in kind.nouns]
        rng.shuffle(self._things)

    def sentence(self) -> tuple[str, int]:
        """A text, and whether it is negative (-1), neutral (0) or positive (1)."""
        forms = [self._alone, self._told, self._said, self._decided, self._agreed, self._beside]
        forms += [self._opposed, self._undecided, self._facts]
        (form,) = self._rng.choices(forms, [4, 1, 1, 4, 2, 2, 3, 4, 2])
        text, score = form()
        if not text.endswith("?"):
            text += self._rng.choice("....!") if score else "."
        return re.sub(r"(^|\. )(\w)", lambda start: start[0].upper(), text), score

    def _alone(self) -> tuple[str, int]:
        score = self._either()
        return self._opinion(score), score

    def _told(self) -> tuple[str, int]:
        self._things = [thing for thing in self._things if thing[0] is not _PEOPLE]  # no "it"
        return self._turned(_TOLD)

    def _said(self) -> tuple[str, int]:
        return self._turned(_SAID)

    def _turned(self, forms: list[tuple[str, bool]]) -> tuple[str, int]:
        form, denied = self._rng.choice(forms)
        score = self._either()
        noun, adjective = self._about(-score if denied else score)
        return form.format(x=noun, a=adjective, **{"is": self._is}), score

    def _decided(self) -> tuple[str, int]:
        form, decisive = self._rng.choice(_DECIDED)
        score = self._either()
        scores = (-score, score) if decisive else (score, -score)
        return form.format(*map(self._opinion, scores)), score

    def _agreed(self) -> tuple[str, int]:
        score = self._either()
        form = self._rng.choice(_AGREED)
        return form.format(self._opinion(score), self._opinion(score)), score

    def _opposed(self) -> tuple[str, int]:
        score = self._either()
        return self._rng.choice(_OPPOSED).format(self._opinion(score), self._opinion(-score)), 0

    def _beside(self) -> tuple[str, int]:
        score = self._either()
        clauses = [self._opinion(score), self._rng.choice([self._fact, self._nobodys])()]
        self._rng.shuffle(clauses)
        return self._rng.choice(_BESIDE).format(*clauses), score

    def _undecided(self) -> tuple[str, int]:
        return self._rng.choice([self._nobodys, self._question])(), 0

    def _facts(self) -> tuple[str, int]:
        return self._rng.choice(["{}", *_BESIDE]).format(self._fact(), self._nobodys()), 0

    def _opinion(self, score: int) -> str:
        """A clause that praises (1) or complains (-1)."""
        denied = self._rng.choice([True, False])
        noun, adjective = self._about(-score if denied else score)
        strong = adjective in _STRONG
        if denied:
            forms = _STRONGLY_DENIED if strong else [*_WEAKLY_DENIED, *_STRONGLY_DENIED]
        else:
            forms = _PLAIN
        degrees = ["really", "absolutely"] if strong else ["very", "really", "quite", "rather"]
        form, very = self._rng.choice(forms), self._rng.choice(degrees)
        return form.format(x=noun, a=adjective, very=very, **{"is": self._is})

    def _about(self, score: int) -> tuple[str, str]:
        """A thing and an adjective that praises it (1) or complains of it (-1)."""
        kind, noun = self._things.pop()
        return f"the {noun}", self._rng.choice(kind.good if score > 0 else kind.bad)

    def _nobodys(self) -> str:
        return self._open(_UNDECIDED)

    def _question(self) -> str:
        return self._open(_QUESTIONS)

    def _open(self, forms: list[str]) -> str:
        """A clause with an adjective, or a pair of opposites, that does not say whether it fits."""
        kind, noun = self._things.pop()
        pair = list(self._rng.choice(list(zip(kind.good, kind.bad))))
        self._rng.shuffle(pair)
        form = self._rng.choice(forms)
        return form.format(x=f"the {noun}", a=pair[0], b=pair[1], **{"is": self._is})

    def _fact(self) -> str:
        kind, noun = self._things.pop()
        return self._rng.choice(kind.facts).format(x=noun)

    def _either(self) -> int:
        return self._rng.choice([-1, 1])
