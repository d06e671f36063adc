import random
import re
import subprocess
import sys
from collections import Counter
from functools import lru_cache

import pytest
import sentencepiece

from nlp_rnn.data.cldr import Phrase, Speaker
from nlp_rnn.data.phrasebook import _parts, _phrases, _split, phrasebook
from nlp_rnn.errors import InputError

WORD = re.compile(r"\w+")
PAIRS = ["en-de", "ja-en", "fr-ru", "en-ar"]


@lru_cache
def book(pair):
    return phrasebook(*pair.split("-"))


@pytest.mark.parametrize("pair", PAIRS)
class TestEveryPair:
    def test_sizes(self, pair):
        splits = book(pair)
        assert list(splits) == ["train", "validation", "test"]
        assert 12_000 <= len(splits["train"]) <= 16_000
        assert len(splits["validation"]) == len(splits["test"]) == 500

    def test_a_source_comes_once_and_so_has_one_translation(self, pair):
        sources = Counter(source for rows in book(pair).values() for source, _ in rows)
        assert sources.most_common(1)[0][1] == 1

    def test_text_is_what_the_default_tokenizer_gives_back(self, pair):
        normalizer = sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc")
        texts = [text for rows in book(pair).values() for row in rows for text in row]
        assert all(texts)
        assert [normalizer.normalize(text).replace("▁", " ").strip() for text in texts] == texts

    def test_phrases_are_short(self, pair):
        lengths = [len(source.split()) for source, _ in book(pair)["train"]]
        assert max(lengths) <= 14

    def test_held_out_phrases_are_new_combinations_of_what_train_shows(self, pair):
        speaker = Speaker(pair.split("-")[0])
        names = {
            table[code]
            for table in (speaker.locale.territories, speaker.locale.languages)
            for code in table
        }
        splits = book(pair)
        shown = {word for source, _ in splits["train"] for word in WORD.findall(source)}
        for name in ("validation", "test"):
            for source, _ in splits[name]:
                assert source not in names
                assert pair.startswith("ja") or shown.issuperset(WORD.findall(source))


def test_every_part_of_a_held_out_phrase_keeps_training_phrases():
    speakers = (Speaker("en"), Speaker("ru"))
    phrases = {
        (str(number), ""): list(_parts(phrase, speakers))
        for number, phrase in enumerate(_phrases(random.Random(0)))
    }
    splits = _split(phrases, random.Random(1))
    shown = Counter(part for pair in splits["train"] for part in phrases[pair])
    for pair in splits["validation"] + splits["test"]:
        assert len(phrases[pair]) > 1
        assert min(shown[part] for part in phrases[pair]) >= 2
    assert sorted(pair for rows in splits.values() for pair in rows) == sorted(phrases)


def test_an_inflected_word_is_a_part():
    one, many = (
        set(_parts(Phrase("future", (n, "month")), (Speaker("en"), Speaker("ja")))) for n in (1, 2)
    )
    assert ("future", "month", "one", "other") in one - many


def test_known_translations():
    found = dict(pair for rows in book("en-de").values() for pair in rows)
    assert found["Germany"] == "Deutschland"
    assert found["English"] == "Englisch"
    assert any(s.endswith(" days ago") and t.startswith("vor ") for s, t in found.items())
    japanese = dict(pair for rows in book("ja-en").values() for pair in rows)
    assert japanese["日本語"] == "Japanese"
    assert any(s.endswith("月曜日") and t.startswith("Monday, ") for s, t in japanese.items())


def test_both_directions_hold_the_same_pairs():
    forth = {pair for rows in book("ja-en").values() for pair in rows}
    back = {(target, source) for rows in book("en-ja").values() for source, target in rows}
    assert len(forth & back) > 0.99 * len(forth)


def test_the_same_in_every_process():
    program = (
        "import hashlib; from nlp_rnn.data.phrasebook import phrasebook\n"
        "print(hashlib.sha256(repr(phrasebook('en', 'de')).encode()).hexdigest())"
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


@pytest.mark.parametrize("pair", ["pt-BR/en", "zh_Hant/EN"])
def test_locales_are_written_as_people_write_them(pair):
    assert len(phrasebook(*pair.split("/"))["test"]) == 500


@pytest.mark.parametrize("locale", ["xx", "english", "", "en_XX", "../de"])
def test_an_unknown_locale_is_named(locale):
    for pair in ((locale, "de"), ("de", locale)):
        with pytest.raises(InputError, match=r"no locale .*'en', 'de', 'ja'.* --list-locales"):
            phrasebook(*pair)


@pytest.mark.parametrize("pair", [("en", "en"), ("pt_BR", "pt-BR")])
def test_two_locales_are_wanted(pair):
    with pytest.raises(InputError, match="two locales"):
        phrasebook(*pair)


def test_a_locale_without_names_is_refused():
    with pytest.raises(InputError, match=r"too few names .* en-root"):
        phrasebook("en", "root")
