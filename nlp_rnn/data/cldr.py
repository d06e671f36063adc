"""Phrases without a locale, and the words CLDR has for them in one, read through Babel."""

from __future__ import annotations

import datetime
import unicodedata
from typing import NamedTuple

from babel import Locale, UnknownLocaleError, dates, numbers, units

from nlp_rnn.errors import InputError

__all__ = ["COUNTED", "SPANS", "Phrase", "Speaker"]

_SECONDS = {
    "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800,
    "month": 2629800, "year": 31557600,
}  # fmt: skip
SPANS = tuple(_SECONDS)
COUNTED = ("past", "future", "measure", "price")  # forms of a number and what it counts

_DIRECTION_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))
_ABSENT = (KeyError, AttributeError, TypeError, IndexError)  # Babel, where a locale lacks a name


class Phrase(NamedTuple):
    """A form, which is the name of a method of `Speaker`, and the arguments of that method."""

    form: str
    args: tuple[Phrase | str | float, ...]


class Speaker:
    """Puts phrases into the words of one locale; a method for every form."""

    def __init__(self, locale: str) -> None:
        """Looks the locale up.

        Raises:
            InputError: CLDR has no such locale.
        """
        try:
            self.locale = Locale.parse(locale.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            raise InputError(
                f"the phrasebook knows no locale {locale!r}; give a CLDR locale such as 'en', "
                "'de', 'ja', 'zh' or 'pt_BR' (all of them: pybabel --list-locales)"
            ) from None
        self._said: dict[Phrase, str] = {}

    def text(self, phrase: Phrase) -> str | None:
        """The phrase in plain Unicode: NFKC, no marks of direction, single ordinary spaces."""
        try:
            text = unicodedata.normalize("NFKC", self._say(phrase))
        except _ABSENT:
            return None
        return " ".join(text.translate(_DIRECTION_MARKS).split())

    def _say(self, phrase: Phrase) -> str:
        if phrase not in self._said:
            args = [self._say(arg) if isinstance(arg, Phrase) else arg for arg in phrase.args]
            self._said[phrase] = str(getattr(self, phrase.form)(*args))
        return self._said[phrase]

    def territory(self, code: str) -> str:
        return str(self.locale.territories[code])

    def language(self, code: str) -> str:
        return str(self.locale.languages[code])

    def currency(self, code: str) -> str:
        return str(self.locale.currencies[code])

    def full_date(self, year: int, month: int, day: int) -> str:
        return dates.format_date(datetime.date(year, month, day), "full", self.locale)

    def long_date(self, year: int, month: int, day: int) -> str:
        return dates.format_date(datetime.date(year, month, day), "long", self.locale)

    def month_year(self, year: int, month: int) -> str:
        return self._skeleton("yMMMM", datetime.date(year, month, 1))

    def month_day(self, month: int, day: int) -> str:
        return self._skeleton("MMMMd", datetime.date(2000, month, day))

    def quarter(self, year: int, quarter: int) -> str:
        return self._skeleton("yQQQQ", datetime.date(year, 3 * quarter, 1))

    def time(self, hour: int, minute: int) -> str:
        return dates.format_time(datetime.time(hour, minute), "short", locale=self.locale)

    def moment(self, date: str, time: str) -> str:
        pattern = str(self.locale.datetime_formats["long"])
        return pattern.replace("'", "").replace("{0}", time).replace("{1}", date)

    def days(self, year: int, month: int, first: int, last: int) -> str:
        start, end = datetime.date(year, month, first), datetime.date(year, month, last)
        return self._interval(start, end, "yMMMMd", "d")

    def months(self, year: int, first: int, last: int) -> str:
        start, end = datetime.date(year, first, 1), datetime.date(year, last, 1)
        return self._interval(start, end, "yMMMM", "M")

    def past(self, number: int, span: str) -> str:
        return self._delta(-number, span)

    def future(self, number: int, span: str) -> str:
        return self._delta(number, span)

    def measure(self, number: float, unit: str) -> str:
        text = units.format_unit(number, unit, "long", locale=self.locale)
        if unit in text:  # what Babel gives where the locale has no pattern
            raise KeyError(unit)
        return text

    def price(self, amount: float, currency: str) -> str:
        return numbers.format_currency(
            amount, currency, locale=self.locale, format_type="name", currency_digits=False
        )

    def both(self, first: str, second: str) -> str:
        return self._list("standard", "2", first, second)

    def either(self, first: str, second: str) -> str:
        return self._list("or", "2", first, second)

    def listed(self, first: str, second: str) -> str:
        return self._list("standard", "start", first, second)

    def three(self, first: str, second: str, third: str) -> str:
        return self._list("standard", "end", self.listed(first, second), third)

    def variety(self, language: str, territory: str) -> str:
        return f"{language} ({territory})"

    def _list(self, style: str, place: str, first: str, second: str) -> str:
        return str(self.locale.list_patterns[style][place].format(first, second))

    def _interval(self, start: datetime.date, end: datetime.date, skeleton: str, field: str) -> str:
        formats = self.locale.interval_formats
        # Persian's "LLLL to MMMM y" is one piece to Babel, which would write the start twice.
        if len(formats[dates.match_skeleton(skeleton, formats)][field]) < 2:
            raise KeyError(skeleton)
        return dates.format_interval(start, end, skeleton, locale=self.locale)

    def _skeleton(self, skeleton: str, date: datetime.date) -> str:
        return dates.format_skeleton(skeleton, date, locale=self.locale)

    def _delta(self, number: int, span: str) -> str:
        return dates.format_timedelta(
            datetime.timedelta(seconds=number * _SECONDS[span]),
            granularity=span,  # type: ignore[arg-type]
            threshold=float("inf"),
            add_direction=True,
            locale=self.locale,
        )
