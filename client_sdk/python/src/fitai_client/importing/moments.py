"""Dates, times and durations as apps write them: in the phone's language, without a zone.

Owns the reading of text into a naive local time, and the step from there to UTC and back. Reads no clock.

Invariants
    T1  A local time is read the same way whatever the time zone: the zone only decides which instant it was.
    T2  What `write` makes of a time, `read_moment` reads as that time.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .numbers import TIME_UNITS, BadCell, Number, read_number, tidy


class Moment(NamedTuple):
    """A clock reading. `offset` is set where the text itself names one; `has_time` is false for a bare date."""

    local: datetime
    offset: timezone | None
    has_time: bool


_MONTH_NAMES = (
    # English, Spanish, French, German, Italian, Portuguese, Dutch, Scandinavian, Russian, Turkish; accents dropped.
    "jan january ene enero janv janvier januar janner gen gennaio janeiro januari янв января oca ocak",
    "feb february febrero fev fevr fevrier februar febbraio fevereiro februari фев февр февраля sub subat",
    "mar march marzo mars marz mrz maerz marco mrt maart марта мар mart",
    "apr april abr abril avr avril aprile апр апреля nis nisan",
    "may mayo mai mag maggio maio mei maj мая май mayis",
    "jun june junio juin juni giu giugno junho июн июня haz haziran",
    "jul july julio juil juillet juli lug luglio julho июл июля tem temmuz",
    "aug august ago agosto aou aout augustus augusti авг августа agu agustos",
    "sep sept september septiembre septembre set sett settembre setembro септ сен сент сентября eyl eylul",
    "oct october octubre octobre okt oktober ott ottobre out outubro окт октября eki ekim",
    "nov november noviembre novembre novembro ноя нояб ноября kas kasim",
    "dec december dic diciembre decembre dez dezember dicembre dezembro des desember дек декабря ara aralik",
)
MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split()}
_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?:[:.](\d{2})(?:[.,](\d{1,9}))?)?\s*([ap]\.?\s?m\b\.?)?", re.IGNORECASE)
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?=\D|$)")
_NUMERIC = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?=\D|$)")
_ZONE = re.compile(r"(?<=[\d\s])(?:z|utc|gmt|([+-])(\d{2}):?(\d{2}))\s*$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
NOON = time(12)
_EAST_ASIAN = str.maketrans({"年": "-", "月": "-", "日": " ", "년": "-", "월": "-", "일": " "})


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Lower case without accents, so that "août" and "AOUT" are one word."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in spread if not unicodedata.combining(c))


@lru_cache(maxsize=4096)
def read_moment(text: str, day_first: bool = True) -> Moment:
    """The local time that `text` tells; a bare date is noon of that day.

    Args:
        day_first: how to take 05/06/2026. Dates with dots are always day first, those with AM or PM month first.

    Raises:
        BadCell: no date can be made out, or it is not of this calendar (years 1900 to 2199).
    """
    if len(text) > 80:
        raise BadCell("is not a date")
    rest = " ".join(fold(text).translate(_EAST_ASIAN).split())
    offset: timezone | None = None
    if (zone := _ZONE.search(rest)) and ":" in rest[: zone.start()]:
        sign, hours, minutes = zone.groups()
        if sign and (int(hours) > 14 or int(minutes) > 59):
            raise BadCell("has a time zone that does not exist")
        offset = (
            timezone(timedelta(minutes=(int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1))) if sign else UTC
        )
        rest = rest[: zone.start()]
    year, month, day, after, rest = _read_date(rest, day_first)
    clock = _CLOCK.search(rest, after)
    try:
        at = _time_of(clock, text) if clock else NOON
        local = datetime.combine(date(year, month, day), at)
    except ValueError as error:
        raise error if isinstance(error, BadCell) else BadCell("is a date or time that does not exist") from None
    if not 1900 <= year < 2200:
        raise BadCell("is a date outside 1900 to 2199")
    return Moment(local, offset, clock is not None)


@lru_cache(maxsize=1024)
def read_clock(text: str) -> time:
    """The time of day that a cell of its own tells: "10:56 PM" or "22:56".

    Raises:
        BadCell: it is none.
    """
    folded = " ".join(fold(text[:80]).split())
    clock = _CLOCK.fullmatch(folded)
    if clock is None:
        raise BadCell("is not a time of day")
    try:
        return _time_of(clock, text)
    except ValueError:
        raise BadCell("has a time that does not exist") from None


def _time_of(clock: re.Match[str], text: str) -> time:
    """The clock reading that `_CLOCK` found. Microseconds are cut to milliseconds, which is what a record holds."""
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    half = (clock[5] or "")[:1] or ("p" if "오후" in text or "午後" in text or "下午" in text else "")
    if half and (hour > 12 or hour == 0):
        raise BadCell("has a time that does not exist")
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    return time(hour, minute, second, int((clock[4] or "0").ljust(3, "0")[:3]) * 1000)


def _read_date(text: str, day_first: bool) -> tuple[int, int, int, int, str]:
    """Year, month, day, the place where the time may begin, and the text in which that is so."""
    if found := _ISO.search(text):
        return int(found[1]), int(found[2]), int(found[3]), found.end(), text
    if found := _NUMERIC.search(text):
        first, mark, second, year = int(found[1]), found[2], int(found[3]), int(found[4])
        month_first = mark != "." and (re.search(r"\d\s*[ap]\.?\s?m\b", text) is not None or not day_first)
        if first > 12 or second > 12:
            month_first = second > 12
        month, day = (first, second) if month_first else (second, first)
        return year + 2000 if year < 100 else year, month, day, found.end(), text
    for word in _WORD.finditer(text):
        if month_number := MONTHS.get(word[0]):
            year_found = re.compile(r"(?<!\d)(\d{4})(?!\d)").search(text)
            day_found = re.compile(r"(?<![\d:.])(\d{1,2})(?![\d:])").search(text)
            if year_found and day_found:
                # Cut both out, so that what is left over is the time.
                left = text[: year_found.start()] + " " * 4 + text[year_found.end() :]
                left = left[: day_found.start()] + " " * len(day_found[0]) + left[day_found.end() :]
                return int(year_found[1]), month_number, int(day_found[1]), 0, left
    raise BadCell("is not a date")


def is_month_first(text: str) -> bool | None:
    """What one date says about the order of day and month in its file; None where it could be either."""
    found = _NUMERIC.search(fold(text))
    if not found or found[2] == "." or int(found[1]) == int(found[3]):
        return None
    if int(found[3]) > 12:
        return True
    return False if int(found[1]) > 12 else None


def to_utc(moment: Moment, zone: ZoneInfo) -> datetime:
    """The instant. A time that a clock change repeats is taken as the first of the two; one that it skips, as if the
    clocks had not changed yet."""
    return moment.local.replace(tzinfo=moment.offset or zone).astimezone(UTC)


def is_skipped(moment: Moment, zone: ZoneInfo) -> bool:
    """Whether this local time never was: the clocks were put forward over it."""
    return moment.offset is None and to_local(to_utc(moment, zone), zone) != moment.local


def to_local(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def rfc3339(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03}Z"


@lru_cache(maxsize=4096)
def from_rfc3339(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def write_english(local: datetime) -> str:
    return f"{local.day} {_ENGLISH[local.month - 1]} {local.year}, {local:%H:%M}"


def write_iso(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M:%S}"


def write_day(local: datetime) -> str:
    return f"{local:%Y-%m-%d}"


def write_time(local: datetime) -> str:
    """ "5:07 PM": the twelve-hour clock."""
    return f"{local.hour % 12 or 12}:{local:%M} {'AM' if local.hour < 12 else 'PM'}"


_PART = re.compile(r"(\d+(?:[.,]\d+)?)\s*([^\W\d_]+)\.?\s*")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "m": 60, "std": 3600, "d": 86400}


@lru_cache(maxsize=4096)
def read_duration(text: str, unit: str = "s") -> Number | None:
    """Seconds: of "1h 2m", "35min", "20s", "1:02:03", "MM:SS", or a plain number of `unit` (s, min or h).

    Raises:
        BadCell: it is none of these, or longer than two years.
    """
    text = text.strip()
    if not text or text.casefold() in {"null", "none", "n/a"}:
        return None
    if len(text) > 40:
        raise BadCell("is not a duration")
    seconds: Number | None
    if re.fullmatch(r"\d{1,5}(:\d{1,2}){1,2}", text):
        parts = [int(part) for part in text.split(":")]
        seconds = parts[0] * 3600 + parts[1] * 60 + parts[2] if len(parts) == 3 else parts[0] * 60 + parts[1]
    elif _PART.match(text):
        seconds, at = 0, 0
        while at < len(text):
            part = _PART.match(text, at)
            word = fold(part[2]) if part else ""
            scale = _SECONDS.get(TIME_UNITS.get(word, word))
            if not part or scale is None:
                raise BadCell("is not a duration")
            seconds += (read_number(part[1]) or 0) * scale
            at = part.end()
    else:
        seconds = read_number(text)
        if seconds is not None:
            seconds = seconds * _SECONDS[unit]
    if seconds is not None and not 0 <= seconds < 63_072_000:
        raise BadCell("is not a duration")
    return seconds if seconds is None or isinstance(seconds, int) else tidy_float(seconds)


def tidy_float(value: float) -> Number:
    from decimal import Decimal

    return tidy(Decimal(repr(value)))


def write_clock(seconds: Number) -> str:
    """ "0:45:00": hours, minutes and seconds; parts of a second are dropped."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}"


def write_duration(seconds: int) -> str:
    """ "1h 2m", "57m", "20s": hours and minutes, and seconds only where they are all there is."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if not hours and not minutes:
        return f"{left}s"
    return " ".join([f"{hours}h"] * bool(hours) + [f"{minutes}m"] * bool(minutes))
