"""Dates, and the other classes that stand for one value."""

from __future__ import annotations

import math
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from wrangler_compat.host.model.convert import number, to_text, truthy
from wrangler_compat.host.model.errors import JsRangeError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish

__all__ = [
    "JsBoolean",
    "JsDate",
    "JsNumber",
    "JsString",
    "from_milliseconds",
    "parse_float",
    "parse_int",
    "to_milliseconds",
]

_FLOAT = re.compile(r"[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)", re.ASCII)
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

    toGMTString = toUTCString

    def toDateString(self) -> str:
        """The day, as text."""
        return self._when().strftime("%a %b %d %Y")

    def toTimeString(self) -> str:
        """The time of the day, as text."""
        return self._when().strftime("%H:%M:%S GMT+0000 (Coordinated Universal Time)")

    def toLocaleDateString(self, locales: Any = None, options: Any = None) -> str:
        """The day, as it is written where ``locales`` are spoken."""
        return self._localised(locales, options, ("year", "month", "day"), self._day())

    def toLocaleTimeString(self, locales: Any = None, options: Any = None) -> str:
        """The time of the day, so written."""
        return self._localised(locales, options, ("hour", "minute", "second"), self._time())

    def toLocaleString(self, locales: Any = None, options: Any = None) -> str:
        """Both, so written."""
        fields = ("year", "month", "day", "hour", "minute", "second")
        return self._localised(locales, options, fields, f"{self._day()}, {self._time()}")

    def _localised(self, locales: Any, options: Any, fields: tuple[str, ...], usual: str) -> str:
        if is_nullish(locales) and is_nullish(options):
            return usual
        from wrangler_compat.host.intl import intl_class

        return intl_class("DateTimeFormat")(locales, options, fields).format(self)

    def _day(self) -> str:
        when = self._when()
        return f"{when.month}/{when.day}/{when.year}"

    def _time(self) -> str:
        when = self._when()
        return f"{when.hour % 12 or 12}:{when.minute:02}:{when.second:02} {'AM' if when.hour < 12 else 'PM'}"

    def setTime(self, milliseconds: Any) -> Any:
        """Set the milliseconds since 1970."""
        self._ms = JsDate(milliseconds)._ms
        return self._ms

    def _set(self, first: int, values: tuple[Any, ...]) -> Any:
        """Set some of year, month, day, hour, minute, second and millisecond, from the ``first`` of them on."""
        when = self._when() if not math.isnan(self._ms) else _EPOCH
        parts = [when.year, when.month - 1, when.day, when.hour, when.minute, when.second, when.microsecond // 1000]
        parts[first : first + len(values)] = values
        self._ms = _of_parts(tuple(parts))
        return self._ms

    # A worker's local time is UTC.

    def setFullYear(self, *values: Any) -> Any:
        """Set the year, and month and day if given."""
        return self._set(0, values)

    def setMonth(self, *values: Any) -> Any:
        """Set the month, from 0, and the day if given."""
        return self._set(1, values)

    def setDate(self, *values: Any) -> Any:
        """Set the day of the month."""
        return self._set(2, values)

    def setHours(self, *values: Any) -> Any:
        """Set the hour, and what is less if given."""
        return self._set(3, values)

    def setMinutes(self, *values: Any) -> Any:
        """Set the minute, and what is less if given."""
        return self._set(4, values)

    def setSeconds(self, *values: Any) -> Any:
        """Set the second, and the millisecond if given."""
        return self._set(5, values)

    def setMilliseconds(self, *values: Any) -> Any:
        """Set the millisecond."""
        return self._set(6, values)

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

    def getYear(self) -> int:
        """The year after 1900."""
        return self._when().year - 1900

    def getTimezoneOffset(self) -> int:
        """Minutes behind UTC: none."""
        return 0


for _part in ("FullYear", "Month", "Date", "Day", "Hours", "Minutes", "Seconds", "Milliseconds"):
    setattr(JsDate, f"getUTC{_part}", getattr(JsDate, f"get{_part}"))
    if _part != "Day":
        setattr(JsDate, f"setUTC{_part}", getattr(JsDate, f"set{_part}"))


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
        EPSILON = 2.0**-52
        MAX_VALUE, MIN_VALUE = sys.float_info.max, 5e-324
        POSITIVE_INFINITY, NEGATIVE_INFINITY = math.inf, -math.inf

        def isInteger(value: Any = None) -> bool:
            """Whether ``value`` is a whole number."""
            return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()

        def isNaN(value: Any = None) -> bool:
            """Whether ``value`` is no number."""
            return isinstance(value, float) and math.isnan(value)

        def isFinite(value: Any = None) -> bool:
            """Whether ``value`` is a number, and not an infinite one."""
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

        def isSafeInteger(value: Any = None) -> bool:
            """Whether ``value`` is a whole number that a number tells from its neighbours."""
            return JsNumber.Statics.isInteger(value) and abs(value) < 2**53

        def parseInt(text: Any = None, radix: Any = None) -> Any:
            """Return the whole number that ``text`` begins with."""
            return parse_int(text, radix)

        def parseFloat(text: Any = None) -> Any:
            """Return the number that ``text`` begins with."""
            return parse_float(text)

    def toString(self, radix: Any = None) -> str:
        """Its digits, in base ``radix`` if given."""
        if is_nullish(radix) or radix == 10:
            return to_text(self._value)
        if not 2 <= radix <= 36:
            raise JsRangeError("toString() radix must be between 2 and 36")
        digits, left = "", abs(int(self._value))
        while left or not digits:
            left, digit = divmod(left, radix)
            digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        return f"-{digits}" if self._value < 0 else digits

    def toFixed(self, digits: Any = 0) -> str:
        """It with so many digits after the point."""
        exact = Decimal(self._value).quantize(Decimal(1).scaleb(-(digits or 0)), ROUND_HALF_UP)
        return f"{exact:f}"

    def toLocaleString(self, locales: Any = None, options: Any = None) -> str:
        """It as it is written where ``locales`` are spoken."""
        from wrangler_compat.host.intl import intl_class

        return intl_class("NumberFormat")(locales, options).format(self._value)

    def __init__(self, value: Any = 0) -> None:
        super().__init__(to_number(value))


class JsString(_Boxed):
    """``String``."""

    class Statics(JsProxy.Statics):
        """String.fromCharCode."""

        def fromCharCode(*codes: Any) -> str:
            """Return the text of code units."""
            return b"".join(int(code).to_bytes(2, "little") for code in codes).decode("utf-16-le", "surrogatepass")

        def fromCodePoint(*codes: Any) -> str:
            """Return the text of code points."""
            return "".join(map(chr, codes))

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


def parse_int(text: Any, radix: Any = None) -> Any:
    """Return the whole number that ``text`` begins with, or NaN."""
    written = to_text(text).strip().lower()
    sign = -1 if written.startswith("-") else 1
    written = written.lstrip("+-") if written[:1] in ("+", "-") else written
    base = 0 if is_nullish(radix) else int(radix)
    if written.startswith("0x") and base in (0, 16):
        written, base = written[2:], 16
    base = base or 10
    if not 2 <= base <= 36:
        return math.nan
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"[:base]
    found = re.match(f"[{digits}]+", written)
    whole = sign * int(found[0], base) if found else math.nan
    return whole if abs(whole) <= 2**53 else float(whole)


def parse_float(text: Any) -> Any:
    """Return the number that ``text`` begins with, or NaN."""
    found = re.match(
        r"[+-]?(?:Infinity|\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)", to_text(text).strip(), re.ASCII | re.I
    )
    return number(float(found[0])) if found else math.nan


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
        if re.fullmatch(r"[+-]?\d+|0x[\da-f]+|0o[0-7]+|0b[01]+", text, re.ASCII | re.I):
            return int(text, 0 if text[:1] == "0" and text[1:2].isalpha() else 10)
        return number(float(text or "0")) if not text or _FLOAT.fullmatch(text) else math.nan
    except ValueError:
        return math.nan
