"""Dates, and the other classes that stand for one value."""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import number, to_text, truthy
from wrangler_compat.host.model.errors import JsRangeError, JsSyntaxError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish

__all__ = ["JsBoolean", "JsDate", "JsNumber", "JsRegExp", "JsString", "from_milliseconds", "to_milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_milliseconds(milliseconds: float) -> datetime:
    """Return the time that is so many milliseconds after 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def to_milliseconds(when: datetime) -> int | float:
    """Return when it is, in milliseconds since 1970. Naive times are local ones."""
    return number((when.astimezone(UTC) - _EPOCH) / timedelta(milliseconds=1))


class JsDate(JsProxy):
    """``Date``."""

    _callable_without_new = True

    class Statics(JsProxy.Statics):
        """Date.now and the like."""

        def now() -> int:
            """Return the milliseconds since 1970."""
            return _now()

        def parse(text: Any = None) -> Any:
            """Return the milliseconds of the date that ``text`` names."""
            return _parse(to_text(text))

        def UTC(*parts: Any) -> Any:
            """Return the milliseconds of a date given in parts."""
            return _of_parts(parts)

    def __init__(self, value: Any = None, *parts: Any) -> None:
        if parts:
            self._ms = _of_parts((value, *parts))
        elif value is None:
            self._ms = _now()
        elif isinstance(value, JsDate):
            self._ms = value._ms
        elif isinstance(value, datetime):
            self._ms = int(to_milliseconds(value))
        elif isinstance(value, str):
            self._ms = _parse(value)
        else:
            self._ms = math.nan if isinstance(value, float) and math.isnan(value) else int(value)

    def getTime(self) -> Any:
        """Return the milliseconds since 1970."""
        return self._ms

    def valueOf(self) -> Any:
        """The milliseconds since 1970."""
        return self._ms

    def _when(self) -> datetime:
        if math.isnan(self._ms):
            raise JsRangeError("Invalid time value")
        return from_milliseconds(self._ms)

    def toISOString(self) -> str:
        """Return it as 2026-01-01T00:00:00.000Z."""
        return self._when().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def toJSON(self) -> str:
        """Return it as JSON has it."""
        return self.toISOString()

    def toUTCString(self) -> str:
        """Return it as HTTP has it."""
        return format_datetime(self._when(), usegmt=True)

    def toString(self) -> str:
        """Its text."""
        if math.isnan(self._ms):
            return "Invalid Date"
        return self._when().strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")

    # A worker's local time is UTC.

    def getFullYear(self) -> int:
        """The year."""
        return self._when().year

    def getMonth(self) -> int:
        """The month, from 0."""
        return self._when().month - 1

    def getDate(self) -> int:
        """The day of the month."""
        return self._when().day

    def getDay(self) -> int:
        """The day of the week; 0 is Sunday."""
        return self._when().isoweekday() % 7

    def getHours(self) -> int:
        """The hour."""
        return self._when().hour

    def getMinutes(self) -> int:
        """The minute."""
        return self._when().minute

    def getSeconds(self) -> int:
        """The second."""
        return self._when().second

    def getMilliseconds(self) -> int:
        """The millisecond."""
        return self._when().microsecond // 1000

    def getTimezoneOffset(self) -> int:
        """Minutes behind UTC: none."""
        return 0


for _part in ("FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"):
    setattr(JsDate, f"getUTC{_part}", getattr(JsDate, f"get{_part}"))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _parse(text: str) -> Any:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return math.nan
    return to_milliseconds(when if when.tzinfo is not None else when.replace(tzinfo=UTC))


def _of_parts(parts: tuple[Any, ...]) -> Any:
    year, month, day, hour, minute, second, ms = (*parts, *(0, 1, 0, 0, 0, 0)[len(parts) - 1 :])[:7]
    months = int(year) * 12 + int(month)
    start = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return to_milliseconds(start + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second, milliseconds=ms))


class _Boxed(JsProxy):
    def __init__(self, value: Any = None) -> None:
        self._value = value

    def valueOf(self) -> Any:
        """The value itself."""
        return self._value

    def toString(self) -> str:
        """Its text."""
        return to_text(self._value)


class JsNumber(_Boxed):
    """``Number``: made by ``new`` an object, and by a plain call a number."""

    class Statics(JsProxy.Statics):
        """Number.isInteger and the like."""

        MAX_SAFE_INTEGER = 2**53 - 1
        MIN_SAFE_INTEGER = -(2**53 - 1)
        NaN = math.nan

        def isInteger(value: Any = None) -> bool:
            """Whether ``value`` is a whole number."""
            return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()

        def isNaN(value: Any = None) -> bool:
            """Whether ``value`` is no number."""
            return isinstance(value, float) and math.isnan(value)

    def __init__(self, value: Any = 0) -> None:
        super().__init__(to_number(value))


class JsString(_Boxed):
    """``String``."""

    class Statics(JsProxy.Statics):
        """String.fromCharCode."""

        def fromCharCode(*codes: Any) -> str:
            """Return the text of code units."""
            return b"".join(int(code).to_bytes(2, "little") for code in codes).decode("utf-16-le", "surrogatepass")

    def __init__(self, value: Any = "") -> None:
        super().__init__(to_text(value))

    @property
    def length(self) -> int:
        """Its length."""
        return len(self._value)


class JsBoolean(_Boxed):
    """``Boolean``."""

    def __init__(self, value: Any = False) -> None:
        super().__init__(truthy(value))


def to_number(value: Any) -> int | float:
    """Return ``value`` as JavaScript's ``Number()`` does."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return number(value)
    if is_nullish(value):
        return 0 if value is not None else math.nan
    if isinstance(value, JsDate | _Boxed):
        return to_number(value.valueOf())
    try:
        text = to_text(value).strip()
        return int(text, 0) if re.fullmatch(r"[+-]?\d+|0[xob]\w+", text, re.I) else number(float(text or "0"))
    except ValueError:
        return math.nan


class JsRegExp(JsProxy):
    """``RegExp``, on Python's ``re``: what both write alike works."""

    _callable_without_new = True

    def __init__(self, source: Any = "(?:)", flags: Any = "") -> None:
        self.source, self.flags = to_text(source), "" if is_nullish(flags) else to_text(flags)
        options = re.NOFLAG
        for letter, flag in (("i", re.I), ("m", re.M), ("s", re.S)):
            if letter in self.flags:
                options |= flag
        try:
            self._pattern = re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", self.source), options)
        except re.error as error:
            raise JsSyntaxError(f"Invalid regular expression: /{self.source}/: {error}") from error

    def test(self, text: Any) -> bool:
        """Whether it is found in ``text``."""
        return self._pattern.search(to_text(text)) is not None

    def exec(self, text: Any) -> Any:
        """Return the match and its groups, or null."""
        from wrangler_compat.host.model.proxy import jsnull

        found = self._pattern.search(to_text(text))
        return jsnull if found is None else JsArray((found[0], *found.groups()))

    def toString(self) -> str:
        """As it is written."""
        return f"/{self.source}/{self.flags}"
