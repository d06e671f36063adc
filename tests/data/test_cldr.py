import pytest

from nlp_rnn.data.cldr import SPANS, Phrase, Speaker

CASES = [
    (Phrase("full_date", (2025, 5, 17)), "Saturday, May 17, 2025", "2025年5月17日土曜日"),
    (Phrase("time", (15, 45)), "3:45 PM", "15:45"),
    (Phrase("past", (3, "week")), "3 weeks ago", "3 週間前"),
    (Phrase("future", (1, "year")), "in 1 year", "1 年後"),
    (Phrase("measure", (1200, "length-kilometer")), "1,200 kilometers", "1,200 キロメートル"),
    (Phrase("price", (4.99, "EUR")), "4.99 euros", "4.99ユーロ"),
    (
        Phrase("variety", (Phrase("language", ("de",)), Phrase("territory", ("AT",)))),
        "German (Austria)",
        "ドイツ語 (オーストリア)",
    ),
    (
        Phrase("three", tuple(Phrase("territory", (code,)) for code in ("DE", "FR", "JP"))),
        "Germany, France, and Japan",
        "ドイツ、フランス、日本",
    ),
]


@pytest.mark.parametrize(("phrase", "english", "japanese"), CASES)
def test_words(phrase, english, japanese):
    assert Speaker("en").text(phrase) == english
    assert Speaker("ja").text(phrase) == japanese


@pytest.mark.parametrize("locale", ["en", "de", "ru"])
def test_every_number_of_a_span_has_words_of_its_own(locale):
    speaker = Speaker(locale)
    texts = [
        speaker.text(Phrase(form, (number, span)))
        for form in ("past", "future")
        for span in SPANS
        for number in range(1, 61)
    ]
    assert len(set(texts)) == len(texts)


def test_an_interval_that_babel_cannot_write_has_no_text():
    months = Phrase("months", (2001, 1, 3))
    assert Speaker("en").text(months) == "January \u2013 March 2001"
    assert Speaker("fa").text(months) is None  # "January to January 2001"


def test_text_has_single_ordinary_spaces_and_no_marks_of_direction():
    for locale in ("en", "fr", "ar", "he"):
        for phrase, *_ in CASES:
            text = Speaker(locale).text(phrase)
            assert text == " ".join(text.split())
            assert not set(text) & set("\u00a0\u202f\u2009\u200e\u200f\u061c")


@pytest.mark.parametrize(
    "phrase", [Phrase("territory", ("XX",)), Phrase("measure", (2, "duration-day"))], ids=str
)
def test_what_a_locale_has_no_words_for_has_no_text(phrase):
    assert Speaker("ja").text(phrase) is None
    assert Speaker("ja").text(Phrase("both", (phrase, phrase))) is None
