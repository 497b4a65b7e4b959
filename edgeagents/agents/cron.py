"""Cron expressions as agents know them: five fields, or six with seconds first, in UTC.

The dialect is that of the library under the TypeScript SDK: lists, ranges, steps, names of months and weekdays, 0 and 7
for Sunday, ``@daily`` and its like. When both the day of the month and the weekday are restricted, either will do. It
has no ``L``, ``W`` or ``#``, and ``5/20`` means 5 alone. ``triggers.crons`` of a Worker speak another dialect.

Fields are read here and handed to cronsim as lists of numbers, about which both agree; cronsim finds the time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final

from cronsim import CronSim, CronSimError

from edgeagents.errors import AgentError

__all__ = ["latest_runs", "next_run"]

_NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
    "@minutely": "* * * * *",
}
_RANGE: Final = re.compile(r"(?:([0-9a-zA-Z]+)-([0-9a-zA-Z]+)|\*)(?:/([0-9]+))?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Field:
    first: int
    last: int
    names: tuple[str, ...] = ()
    """The names of the values from 1 on."""

    @property
    def is_weekday(self) -> bool:
        return self.last == 7

    def read(self, text: str) -> frozenset[int]:
        if text == "*":
            return frozenset(range(self.first, self.last + 1))
        return frozenset[int]().union(*map(self._read_part, text.split(",")))

    def _read_part(self, part: str) -> range:
        match = _RANGE.fullmatch(part)
        if match is None:
            value = self._value(part, part)
            return range(value, value + 1)
        first, last = self.first, self.last
        if match[1] is not None:
            first, last = self._value(match[1], part), self._value(match[2], part)
        if self.is_weekday and first == 7 != last:
            first = 0  # From Sunday on.
        if first > last:
            raise AgentError(f"Failed to parse {part}: Invalid range (start: {first}, end: {last}).")
        step = int(match[3] or 1)
        if step < 1:
            raise AgentError(f"Failed to parse step: Expected {match[3]} to be greater than 0.")
        return range(first, last + 1, step)

    def _value(self, text: str, part: str) -> int:
        if text.lower() in self.names:
            return self.names.index(text.lower()) + 1
        # Whatever follows the number is passed over there too: that is how 5/20 comes to be 5.
        match = _INTEGER.match(text)
        if match is None:
            raise AgentError(f"Failed to parse {part}: {text} is NaN.")
        value = int(match[0])
        if not self.first <= value <= self.last:
            raise AgentError(
                f"Failed to parse {part}: {text} is outside of constraint range of {self.first} - {self.last}."
            )
        return value


_FIELDS: Final = (
    _Field(0, 59),
    _Field(0, 59),
    _Field(0, 23),
    _Field(1, 31),
    _Field(1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field(0, 7, ("mon", "tue", "wed", "thu", "fri", "sat", "sun")),
)
_WEEKDAYS: Final = frozenset(range(7))


@lru_cache(maxsize=1024)
def _plain(expression: str) -> str:
    """Return the expression with six fields, each ``*`` or a list of numbers."""
    texts = [text for text in _NICKNAMES.get(expression.lower(), expression).split(" ") if text]
    if len(texts) not in (5, 6):
        raise AgentError("Invalid cron expression: expected 5 or 6 elements.")
    if len(texts) == 5:
        texts.insert(0, "0")
    fields: list[str] = []
    for field, text in zip(_FIELDS, texts, strict=True):
        values = field.read(text)
        if field.is_weekday:
            values = frozenset(value % 7 for value in values)
            is_all = values == _WEEKDAYS
        else:
            is_all = len(values) == field.last - field.first + 1
        # A star makes cronsim ask for both, day and weekday; a list, however made, for either.
        fields.append("*" if is_all else ",".join(map(str, sorted(values))))
    return " ".join(fields)


def next_run(expression: str, after: datetime) -> datetime:
    """Return the first time after ``after`` that the expression names, in UTC.

    Raises ``AgentError`` for an expression that cannot be read, or that names no time.
    """
    try:
        return next(CronSim(_plain(expression), after.astimezone(UTC)))
    except (CronSimError, StopIteration) as error:
        raise AgentError("No valid next date was found.") from error


def latest_runs(expression: str, first: datetime, until: datetime, most: int) -> datetime:
    """Return the first of the last ``most`` times of the expression up to ``until``, ``first`` if there are no more.

    ``first`` is one of its times. It takes some thousand steps, however far apart the two are.
    """
    early = _times(expression, first - _SECOND, until, most + 1)
    if len(early) <= most:
        return first
    # As many as there were in the beginning, back from the end: enough of them, but not too many.
    few, window = until, early[-1] - first
    enough = until - window
    while len(_times(expression, enough, until, most)) < most:
        few, window = enough, window * 2
        enough = until - window
    while len(times := _times(expression, enough, until, 4 * most)) == 4 * most:
        middle = enough + (few - enough) / 2
        if len(_times(expression, middle, until, most)) < most:
            few = middle
        else:
            enough = middle
    return times[-most]


def _times(expression: str, after: datetime, until: datetime, most: int) -> list[datetime]:
    """Return the first ``most`` times after ``after``, up to ``until``."""
    times = islice(CronSim(_plain(expression), after.astimezone(UTC)), most)
    return list(takewhile(lambda time: time <= until, times))
