import re
import subprocess
import sys
from collections import Counter, defaultdict
from functools import lru_cache

import pytest

from nlp_rnn.data.opinions import opinions

LABELS = ["negative", "neutral", "positive"]
SIZES = {"train": 3000, "validation": 300, "test": 300}
CLAUSE = (
    r"the \w+ (?:was|is) (not |never |far from |anything but )?"
    r"(?:very |really |quite |rather |absolutely )?(\w+)"
)


@lru_cache
def corpus(seed=0):
    return opinions(seed)


def words(text):
    return re.findall(r"[\w']+", text.lower())


@pytest.mark.parametrize("seed", [0, 1])
class TestEverySeed:
    def test_classes_are_balanced(self, seed):
        assert list(corpus(seed)) == list(SIZES)
        for name, size in SIZES.items():
            counts = Counter(label for _, label in corpus(seed)[name])
            assert counts == dict.fromkeys(LABELS, size // 3)

    def test_no_sentence_comes_twice_even_with_other_marks(self, seed):
        counts = Counter(tuple(words(text)) for rows in corpus(seed).values() for text, _ in rows)
        assert counts.most_common(1)[0][1] == 1

    def test_train_shows_every_word_of_what_is_held_out(self, seed):
        shown = Counter(word for text, _ in corpus(seed)["train"] for word in words(text))
        held_out = [text for name in ("validation", "test") for text, _ in corpus(seed)[name]]
        assert min(shown[word] for text in held_out for word in words(text)) >= 2

    def test_labels_are_mixed(self, seed):
        for rows in corpus(seed).values():
            assert {label for _, label in rows[:30]} == set(LABELS)


def test_another_seed_gives_another_corpus():
    assert opinions() == opinions(0) == corpus()
    assert corpus(1) != corpus()


def all_rows():
    return [row for rows in corpus().values() for row in rows]


def opinions_of_one_clause():
    """Labels by adjective and whether it is denied, of sentences such as "The soup is not bad."."""
    labels = defaultdict(set)
    for text, label in all_rows():
        if found := re.fullmatch(rf"{CLAUSE}[.!]", text, re.IGNORECASE):
            labels[found[2], bool(found[1])].add(label)
    return labels


def test_denial_turns_the_label_around():
    labels = opinions_of_one_clause()
    both = [adjective for adjective, denied in labels if denied and (adjective, False) in labels]
    assert len(both) > 15
    for adjective in both:
        affirmed, denied = labels[adjective, False], labels[adjective, True]
        assert sorted([*affirmed, *denied]) == ["negative", "positive"]


@pytest.mark.parametrize(
    ("form", "decisive"), [("{a}, but {b}", 1), ("although {a}, {b}", 1), ("{a}, although {b}", 0)]
)
def test_of_two_opinions_one_decides(form, decisive):
    labels = opinions_of_one_clause()
    pattern = re.compile(form.format(a=CLAUSE, b=CLAUSE) + "[.!]", re.IGNORECASE)
    matches = [(pattern.fullmatch(text), label) for text, label in all_rows()]
    found = [(match.groups(), label) for match, label in matches if match]
    known = 0
    for (first_denied, first, second_denied, second), label in found:
        halves = [labels[first, bool(first_denied)], labels[second, bool(second_denied)]]
        assert halves[decisive] <= {label}
        assert halves[1 - decisive].isdisjoint({label, "neutral"})
        known += all(halves)
    assert known > 3


def test_no_adjective_or_negation_tells_the_label():
    shares = defaultdict(Counter)
    for text, label in corpus()["train"]:
        for word in set(words(text)):
            shares[word][label] += 1
    for word in ("good", "bad", "not", "but", "although", "clean", "boring", "friendly"):
        assert min(shares[word][label] for label in LABELS[::2]) > 0.3 * max(shares[word].values())


def test_sentences_are_written_as_usual():
    for rows in corpus().values():
        for text, _ in rows:
            assert text[0].isupper()
            assert text[-1] in ".!?"
            assert "{" not in text
            assert text == " ".join(text.split())
            assert all(part[0].isupper() for part in text.split(". "))
            assert len(text.split()) <= 25


def test_the_same_in_every_process():
    program = (
        "import hashlib; from nlp_rnn.data.opinions import opinions\n"
        "print(hashlib.sha256(repr(opinions()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
