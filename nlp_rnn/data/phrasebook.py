"""A translation corpus for any pair of locales, generated from CLDR through Babel; no download.

A phrase is a form with arguments, such as both(language(de), language(fr)), and knows no locale;
a `Speaker` puts it into the words of one. What is held out for validation and test is a new
combination: every argument of such a phrase stands at the same place of training phrases.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial

from nlp_rnn.data.cldr import COUNTED, SPANS, Phrase, Speaker
from nlp_rnn.errors import InputError

# ruff: noqa: SIM905  (a string of codes reads better than a column of literals)

__all__ = ["phrasebook"]

_TERRITORIES = (
    "AR AT AU BE BG BO BR CA CH CL CN CO CU CZ DE DK DZ EC EE EG ES ET FI FR GB GH GR HR HU ID IE "
    "IL IN IQ IR IS IT JM JO JP KE KR LB LT LU LV MA MC MG MN MT MX MY NG NL NO NP NZ PE PH PK PL "
    "PT PY QA RO RS RU SA SE SG SI SK SN SY TH TN TR TZ UA UG US UY UZ VE VN YE ZA ZM ZW"
).split()
_LANGUAGES = (
    "ar bg bn ca cs cy da de el en es et eu fa fi fr ga gl he hi hr hu hy id is it ja ka ko la lt "
    "lv mn ms mt ne nl no pl pt ro ru sk sl sq sr sv sw ta te th tr uk ur uz vi zh zu"
).split()
_CURRENCIES = "AUD BRL CAD CHF CNY CZK DKK EUR GBP INR JPY MXN NOK PLN RUB SEK TRY USD".split()
_UNITS = (
    "length-kilometer length-meter length-centimeter length-mile mass-kilogram mass-gram "
    "mass-tonne volume-liter volume-cubic-meter area-square-meter area-hectare temperature-celsius "
    "speed-kilometer-per-hour energy-kilowatt-hour power-watt digital-megabyte digital-gigabyte "
    "duration-hour duration-minute duration-second"
).split()
_NUMBERS = (*range(1, 31), *range(35, 100, 5), 100, 120, 150, 200, 250, 300, 400, 500, 750, 1000)
_AMOUNTS = (*_NUMBERS, 1.99, 2.5, 4.99, 7.25, 9.95, 12.75, 19.99, 49.95, 1500, 2500, 10000, 25000)
_YEARS, _MONTHS, _DAYS = range(1990, 2030), range(1, 13), range(1, 29)

_Part = tuple[Hashable, ...]

_HELD_OUT = 500  # phrases of validation, and of test
# Training phrases that every part of a held-out phrase keeps; one fewer where it is in it twice.
_LEFT_IN_TRAIN = 2
_TOO_FEW = 8000  # a locale for which CLDR has hardly any names


def phrasebook(source: str, target: str) -> dict[str, list[tuple[str, str]]]:
    """Pairs of short phrases in two locales: dates, times, durations, quantities, prices, names.

    About 14,300 training pairs, 500 for validation, 500 for test; fewer (12,500) where CLDR lacks
    names in one of the locales. No source phrase comes twice, none has two translations, and all
    text is in Unicode form NFKC. The result depends on nothing but the locales and the CLDR
    release within Babel.

    Args:
        source: Locale of the first text of a pair, such as `en`, `de`, `ja`, `pt_BR`, `zh_Hant`.
        target: Locale of the second.

    Returns:
        The splits `train`, `validation` and `test`, each a list of (source text, target text).

    Raises:
        InputError: an unknown locale, one with too little data, or twice the same.
    """
    first, second = Speaker(source), Speaker(target)
    if first.locale == second.locale:
        raise InputError(f"the phrasebook needs two locales, not {source!r} twice")

    translations: dict[str, set[str]] = defaultdict(set)
    parts: dict[tuple[str, str], list[_Part]] = {}
    for phrase in _phrases(random.Random(0)):
        source_text, target_text = first.text(phrase), second.text(phrase)
        if source_text and target_text:
            translations[source_text].add(target_text)
            parts[source_text, target_text] = list(_parts(phrase, (first, second)))
    unambiguous = {pair: found for pair, found in parts.items() if len(translations[pair[0]]) == 1}
    if len(unambiguous) < _TOO_FEW:
        raise InputError(
            f"CLDR has too few names for a phrasebook {source}-{target} ({len(unambiguous)} "
            f"phrases); take larger languages, such as 'en', 'de', 'ja'"
        )
    return _split(unambiguous, random.Random(1))


def _split(
    phrases: dict[tuple[str, str], list[_Part]], rng: random.Random
) -> dict[str, list[tuple[str, str]]]:
    """Holds out phrases as long as each of their parts keeps enough phrases in train."""
    pairs = list(phrases)
    rng.shuffle(pairs)
    left = Counter(part for parts in phrases.values() for part in parts)
    held_out: list[tuple[str, str]] = []
    train: list[tuple[str, str]] = []
    for pair in pairs:
        parts = phrases[pair]
        spare = all(left[part] > _LEFT_IN_TRAIN for part in parts)
        if len(held_out) < 2 * _HELD_OUT and len(parts) > 1 and spare:
            left.subtract(parts)
            held_out.append(pair)
        else:
            train.append(pair)
    return {"train": train, "validation": held_out[::2], "test": held_out[1::2]}


def _parts(phrase: Phrase, speakers: tuple[Speaker, Speaker]) -> Iterator[_Part]:
    """What must be known to translate a phrase.

    Its plain arguments and those of the phrases in it, each at its place; and of what is counted
    the inflected word: "1 month" does not show "months".
    """
    for place, arg in enumerate(phrase.args):
        if isinstance(arg, Phrase):
            yield from _parts(arg, speakers)
        else:
            yield phrase.form, place, arg
    if phrase.form in COUNTED:
        number, noun = phrase.args
        yield phrase.form, noun, *(s.locale.plural_form(number) for s in speakers)  # type: ignore[arg-type]


def _phrases(rng: random.Random) -> Iterator[Phrase]:
    """All phrases, without a locale: every single name, and samples of the combinations."""
    singles = {"territory": _TERRITORIES, "language": _LANGUAGES, "currency": _CURRENCIES}
    for form, codes in singles.items():
        yield from (Phrase(form, (code,)) for code in codes)

    def draw(form: str, *choices: Sequence[str] | Sequence[float]) -> Phrase:
        return Phrase(form, tuple(rng.choice(values) for values in choices))

    def join(form: str, *recipes: Callable[[], Phrase]) -> Phrase:
        drawn = tuple(recipe() for recipe in recipes)
        return Phrase(form, drawn) if len({*drawn}) == len(drawn) else join(form, *recipes)

    def interval(form: str, values: Sequence[int], *choices: Sequence[int]) -> Phrase:
        return Phrase(form, (*draw(form, *choices).args, *sorted(rng.sample(values, 2))))

    territory = partial(draw, "territory", _TERRITORIES)
    language = partial(draw, "language", _LANGUAGES)
    date = partial(draw, "long_date", _YEARS, _MONTHS, _DAYS)
    time = partial(draw, "time", range(24), range(0, 60, 5))
    measure = partial(draw, "measure", _NUMBERS, _UNITS)
    price = partial(draw, "price", _AMOUNTS, _CURRENCIES)

    recipes: list[tuple[int, Callable[[], Phrase]]] = [
        (1600, partial(draw, "full_date", _YEARS, _MONTHS, _DAYS)),
        (900, date),
        (300, partial(draw, "month_year", _YEARS, _MONTHS)),
        (250, partial(draw, "month_day", _MONTHS, _DAYS)),
        (120, partial(draw, "quarter", _YEARS, range(1, 5))),
        (280, time),
        (1800, partial(join, "moment", date, time)),
        (700, partial(interval, "days", _DAYS, _YEARS, _MONTHS)),
        (400, partial(interval, "months", _MONTHS, _YEARS)),
        (400, partial(draw, "past", range(1, 61), SPANS)),
        (400, partial(draw, "future", range(1, 61), SPANS)),
        (900, measure),
        (900, price),
        (600, partial(join, "both", measure, measure)),
        (600, partial(join, "either", measure, measure)),
        (500, partial(join, "either", price, price)),
        (600, partial(join, "listed", measure, price)),
        (700, partial(join, "both", territory, territory)),
        (700, partial(join, "either", territory, territory)),
        (700, partial(join, "three", territory, territory, territory)),
        (500, partial(join, "both", language, language)),
        (500, partial(join, "either", language, language)),
        (500, partial(join, "three", language, language, language)),
        (900, partial(join, "variety", language, territory)),
        (900, partial(join, "listed", territory, date)),
    ]
    for count, recipe in recipes:
        yield from dict.fromkeys(recipe() for _ in range(count))
