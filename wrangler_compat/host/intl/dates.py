"""``Intl.DateTimeFormat``: days and times, with the fields that are asked for."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from babel.dates import DateTimeFormat as BabelFields
from babel.dates import tokenize_pattern

from wrangler_compat.host.intl.locales import Formatter
from wrangler_compat.host.intl.numbers import parts_array
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import JsDate, from_milliseconds, to_number
from wrangler_compat.host.model.errors import JsException, JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["DateTimeFormat"]

_STYLES: Final = ("full", "long", "medium", "short")
_TEXTS: Final = ("narrow", "short", "long")
_NUMBERS: Final = ("2-digit", "numeric")
_OPTIONS: Final = {
    "weekday": _TEXTS,
    "era": _TEXTS,
    "year": _NUMBERS,
    "month": (*_NUMBERS, *_TEXTS),
    "day": _NUMBERS,
    "hour": _NUMBERS,
    "minute": _NUMBERS,
    "second": _NUMBERS,
    "timeZoneName": ("short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"),
}
_HOURS: Final = {"h11": "K", "h12": "h", "h23": "H", "h24": "k"}
_OF_DAYS: Final = ("era", "year", "month", "weekday", "day")
_LETTERS: Final = {"era": "G", "year": "y", "month": "M", "weekday": "E", "day": "d"}
_LENGTHS: Final = {"numeric": 1, "2-digit": 2, "short": 3, "long": 4, "narrow": 5}
_KINDS: Final = {
    **dict.fromkeys("G", "era"),
    **dict.fromkeys("yY", "year"),
    **dict.fromkeys("ML", "month"),
    **dict.fromkeys("Ec", "weekday"),
    **dict.fromkeys("hHkK", "hour"),
    **dict.fromkeys("zvO", "timeZoneName"),
    "d": "day",
    "a": "dayPeriod",
    "m": "minute",
    "s": "second",
    "S": "fractionalSecond",
}
# What stands between a day that is written out and a time. Babel has the commas only.
_AT: Final = {
    "en": "{1} at {0}",
    "de": "{1} um {0}",
    "da": "{1} kl. {0}",
    "fr": "{1} \xe0 {0}",
    "it": "{1} alle ore {0}",
    "nl": "{1} om {0}",
    "pt": "{1} \xe0s {0}",
    "ru": "{1} \u0432 {0}",
    "sv": "{1} kl. {0}",
}


class DateTimeFormat(Formatter):
    """``Intl.DateTimeFormat``."""

    _usual: tuple[str, ...] = ("year", "month", "day")
    """What is shown when nothing is asked for."""

    def __init__(self, locales: Any = None, options: Any = None, usual: tuple[str, ...] | None = None) -> None:
        super().__init__(locales, options)
        self._zone_name, self._zone = _zone(self._options.get("timeZone"))
        self._day_style = self._choice("dateStyle", _STYLES, None)
        self._time_style = self._choice("timeStyle", _STYLES, None)
        self._fields = {name: value for name in _OPTIONS if (value := self._choice(name, _OPTIONS[name], None))}
        self._fraction = self._options.get("fractionalSecondDigits")
        if (self._day_style or self._time_style) and (self._fields or self._fraction is not None):
            raise JsTypeError("Invalid option : option")
        asked = set(self._fields) - {"timeZoneName", "era"}
        if not asked and self._fraction is None and not self._day_style and not self._time_style:
            self._fields |= dict.fromkeys(usual or self._usual, "numeric")
        self._refuse_what_is_not_there()
        self._hour = self._hour_letter()
        self._pattern = self._styled() if self._day_style or self._time_style else self._composed()

    def _refuse_what_is_not_there(self) -> None:
        named = re.search("-u-.*ca-([a-z]+)", self._extensions)
        calendar = self._options.get("calendar") or (named[1] if named else "gregory")
        if calendar not in ("gregory", "iso8601"):
            raise JsException(f"Intl.DateTimeFormat has no calendar {to_text(calendar)!r} yet: there is 'gregory'.")
        if self._options.get("dayPeriod") is not None:
            raise JsException("Intl.DateTimeFormat has no option dayPeriod yet: leave it out.")

    def _hour_letter(self) -> str:
        """Return how hours are counted, as patterns say it."""
        cycle = self._choice("hourCycle", tuple(_HOURS), None)
        usual = "h12" if "a" in self._locale.time_formats["short"].pattern else "h23"
        wanted = self._options.get("hour12")
        if wanted is not None:
            cycle = "h12" if wanted is True else "h23"
        return _HOURS[cycle or usual]

    def _styled(self) -> str:
        day = self._locale.date_formats[self._day_style].pattern if self._day_style else ""
        time = self._locale.time_formats[self._time_style].pattern if self._time_style else ""
        usual = "h" if "a" in self._locale.time_formats["short"].pattern else "H"
        if time and self._hour != usual:
            named = {"full": "zzzz", "long": "z"}.get(self._time_style, "")
            seconds = {"second": "2-digit"} if self._time_style != "short" else {}
            time = self._time({"hour": "numeric", "minute": "2-digit", **seconds}) + (f" {named}" if named else "")
        return self._joined(day, time, self._day_style or "")

    def _joined(self, day: str, time: str, style: str) -> str:
        if not day or not time:
            return day or time
        joined: str = str(self._locale.datetime_formats[style])
        if style in ("full", "long"):
            joined = _AT.get(self._locale.language, joined)
        joined = re.sub(r"(?<=\}) ([^{}]*[^\W\d_][^{}]*) (?=\{)", r" '\1' ", joined)
        return joined.replace("{1}", day).replace("{0}", time)

    def _composed(self) -> str:
        fields = self._fields
        day = self._day({name: fields[name] for name in _OF_DAYS if name in fields})
        time = self._time({name: fields[name] for name in ("hour", "minute", "second") if name in fields})
        zone = fields.get("timeZoneName")
        if zone is not None:
            letters = {"short": "z", "long": "zzzz", "shortOffset": "O", "longOffset": "OOOO"}.get(zone, "v")
            time = f"{time} {letters}" if time else letters
        month, names_day = fields.get("month"), "weekday" in fields
        if month == "long":
            style = "full" if names_day else "long"
        else:
            style = "medium" if month in ("short", "narrow") else "short"
        return self._joined(day, time, style)

    def _day(self, fields: dict[str, str]) -> str:
        if not fields:
            return ""
        lengths = {name: _LENGTHS[value] for name, value in fields.items()}
        found = self._nearest(lengths)
        if found is not None:
            return found
        if "weekday" in lengths:
            rest = {name: length for name, length in lengths.items() if name != "weekday"}
            return f"{'E' * lengths['weekday']}, {self._nearest(rest)}"
        return " ".join(_LETTERS[name] * lengths[name] for name in lengths)

    def _nearest(self, lengths: dict[str, int]) -> str | None:
        """Return the language's pattern for fields that are nearest in their lengths, with the lengths wanted."""
        best: tuple[int, str, dict[str, int]] | None = None
        for skeleton, pattern in self._locale.datetime_skeletons.items():
            known = {_KINDS.get(run[0][0], ""): len(run[0]) for run in re.finditer(r"(.)\1*", skeleton)}
            if known.keys() != lengths.keys():
                continue
            distance = sum(_distance(known[name], length, name) for name, length in lengths.items())
            if best is None or distance < best[0]:
                best = (distance, pattern.pattern, known)
        if best is None:
            return None
        # What the language has for just this length may be a number all the same.
        _, found, known = best
        return _with_lengths(found, {name: length for name, length in lengths.items() if known[name] != length})

    def _time(self, fields: dict[str, str]) -> str:
        if not fields and self._fraction is None:
            return ""
        letter = "h" if self._hour in "hK" else "H"
        skeleton = "".join(
            (letter if name == "hour" else name[0]) for name in ("hour", "minute", "second") if name in fields
        )
        known: Any = self._locale.datetime_skeletons
        pattern = known[skeleton].pattern if skeleton in known else {"m": "m", "s": "s"}.get(skeleton, "s")
        is_long = fields.get("hour") == "2-digit"
        pattern = re.sub(r"'[^']*'|h+|H+", lambda run: self._hours(run[0], is_long=is_long), pattern)
        if self._fraction is not None:
            fraction = "S" * int(self._fraction)
            pattern = re.sub("s+", lambda run: f"{run[0]}.{fraction}", pattern) if "s" in pattern else fraction
        return pattern

    def _hours(self, run: str, *, is_long: bool) -> str:
        return run if run[0] == "'" else self._hour * (2 if is_long else len(run))

    def format(self, when: Any = None) -> str:
        """Return ``when``, or now, as text."""
        return "".join(text for _, text in self._parts(when))

    def formatToParts(self, when: Any = None) -> JsArray:
        """Return the same in parts, each with its type."""
        return parts_array(self._parts(when))

    def formatRange(self, start: Any, end: Any) -> str:
        """Return what goes from ``start`` to ``end``."""
        first, last = self.format(start), self.format(end)
        return first if first == last else f"{first} \u2013 {last}"

    def resolvedOptions(self) -> JsObject:
        """Return what it was made with, and what that means."""
        made: dict[str, Any] = {"locale": self._tag, "calendar": "gregory"}
        made |= {"numberingSystem": self._numbering, "timeZone": self._zone_name}
        if "hour" in self._fields or self._time_style:
            cycle = next(name for name, letter in _HOURS.items() if letter == self._hour)
            made |= {"hourCycle": cycle, "hour12": self._hour in "hK"}
        styles = {"dateStyle": self._day_style, "timeStyle": self._time_style}
        return JsObject({**made, **self._fields, **{name: style for name, style in styles.items() if style}})

    def _parts(self, when: Any) -> list[tuple[str, str]]:
        milliseconds = JsDate()._ms if when is None else to_number(when)
        if math.isnan(milliseconds):
            raise JsRangeError("Invalid time value")
        local = from_milliseconds(milliseconds).astimezone(self._zone)
        fields: Any = BabelFields(local, self._locale)
        parts: list[tuple[str, str]] = []
        for _, value in tokenize_pattern(self._pattern):
            if isinstance(value, str):
                # V8 writes plain spaces, as all did before there were narrow ones.
                parts.append(("literal", value.replace("\u202f", " ")))
            else:
                letter, length = str(value[0]), int(value[1])
                text = self._zoned(local, fields, letter * length) if letter in "zvO" else fields[letter * length]
                parts.append((_KINDS.get(letter, "unknown"), self._local(text)))
        return parts

    def _zoned(self, local: datetime, fields: Any, letters: str) -> str:
        if self._zone is UTC:
            return "UTC" if len(letters) < 4 else "Coordinated Universal Time"
        named = "" if letters[0] == "O" else fields[letters]
        if named and not re.match(r"[+-]\d", named):
            return named
        minutes = int((local.utcoffset() or timedelta()) / timedelta(minutes=1))
        hours, rest = divmod(abs(minutes), 60)
        sign = "-" if minutes < 0 else "+"
        if len(letters) >= 4:
            return f"GMT{sign}{hours:02}:{rest:02}"
        return f"GMT{sign}{hours}" + (f":{rest:02}" if rest else "") if minutes else "GMT"


def _distance(known: int, wanted: int, name: str) -> int:
    """Return how far a pattern's field is from what is asked for. A number is far from a name."""
    is_name = name in ("month", "weekday", "era")
    return abs(known - wanted) + (100 if is_name and name == "month" and (known > 2) != (wanted > 2) else 0)


def _with_lengths(pattern: str, lengths: dict[str, int]) -> str:
    """Return a pattern with fields of these lengths. Numbers that a language writes with two digits stay so."""

    def change(run: re.Match[str]) -> str:
        if run[0][0] == "'":
            return run[0]
        name = _KINDS.get(run[0][0], "")
        wanted = lengths.get(name)
        if wanted is None or (wanted == 1 and (len(run[0]) == 2 or name in ("weekday", "era"))):
            return run[0]
        return run[0][0] * (wanted if wanted != 3 or name != "weekday" else 3)

    return re.sub(r"'[^']*'|([A-Za-z])\1*", change, pattern)


def _zone(wanted: Any) -> tuple[str, tzinfo]:
    if wanted is None:
        return "UTC", UTC
    name = to_text(wanted)
    offset = re.fullmatch(r"([+-])(\d\d)(?::?([0-5]\d))?", name)
    if offset is not None:
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return name, timezone(length if offset[1] == "+" else -length)
    known = next((zone for zone in available_timezones() if zone.lower() == name.lower()), None)
    if known is None:
        raise JsRangeError(f"Invalid time zone specified: {name}")
    return (known, UTC) if known in ("UTC", "Etc/UTC") else (known, ZoneInfo(known))
