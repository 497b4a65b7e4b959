"""Lengths of time as workflows write them: ``"10 seconds"``, milliseconds, or a ``timedelta``."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final, TypeAlias

__all__ = ["Duration", "milliseconds"]

Duration: TypeAlias = str | float | timedelta
"""``"10 seconds"``, ``"1 hour"``, a number of milliseconds, or a ``timedelta``."""

_UNITS: Final = {
    "ms": 1,
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,
    "year": 31_557_600_000,
}
_TEXT: Final = re.compile(r"(\d+(?:\.\d+)?)(?: +([a-z]+))?")


def milliseconds(duration: Duration) -> int:
    """Return ``duration`` in whole milliseconds, rounded up. Raises ValueError for what is no length of time."""
    if isinstance(duration, timedelta):
        number = duration / timedelta(milliseconds=1)
    elif isinstance(duration, str):
        number = _read(duration)
    elif isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(f"A duration is a text such as '10 seconds', milliseconds or a timedelta, not {duration!r}.")
    else:
        number = duration
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{duration!r} is no length of time.")
    return math.ceil(number)


def _read(text: str) -> float:
    match = _TEXT.fullmatch(text.strip())
    unit = "" if match is None else match[2] or "ms"
    factor = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    if match is None or factor is None:
        raise ValueError(f"{text!r} is no duration. Write it like '10 seconds', '1 hour' or '7 days'.")
    return float(match[1]) * factor
