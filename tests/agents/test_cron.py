"""Cron expressions: what they mean, against tables and against looking at every second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagents.agents.cron import next_run
from edgeagents.errors import AgentError

pytestmark = pytest.mark.cloudflare(
    "Background work", "cron expressions", "same; what comes around more rarely than every five years is found too"
)

# A Thursday.
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def runs(expression: str, count: int = 4, after: datetime = START) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        after = next_run(expression, after)
        found.append(f"{after:%m-%d %H:%M:%S}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("*/20 * * * *", ["01-01 12:20:00", "01-01 12:40:00", "01-01 13:00:00"], id="step"),
        pytest.param("*/20 * * * * *", ["01-01 12:00:20", "01-01 12:00:40", "01-01 12:01:00"], id="seconds first"),
        pytest.param("5/20 * * * *", ["01-01 12:05:00", "01-01 13:05:00"], id="a step from a number is that number"),
        pytest.param("5-45/20 * * * *", ["01-01 12:05:00", "01-01 12:25:00", "01-01 12:45:00"], id="step in a range"),
        pytest.param("0 9-10,20 * * *", ["01-01 20:00:00", "01-02 09:00:00", "01-02 10:00:00"], id="list of ranges"),
        pytest.param("0 0 13 * 5", ["01-02 00:00:00", "01-09 00:00:00", "01-13 00:00:00"], id="day or weekday"),
        pytest.param("0 0 */2 * 5", ["01-02 00:00:00", "01-03 00:00:00", "01-05 00:00:00"], id="a step restricts"),
        pytest.param("0 0 1-31 * 5", ["01-02 00:00:00", "01-09 00:00:00"], id="all days do not restrict"),
        pytest.param("0 0 15 * 0-7", ["01-15 00:00:00", "02-15 00:00:00"], id="all weekdays do not restrict"),
        pytest.param("0 0 * * 0", ["01-04 00:00:00", "01-11 00:00:00"], id="Sunday is 0"),
        pytest.param("0 0 * * 7", ["01-04 00:00:00", "01-11 00:00:00"], id="Sunday is 7"),
        pytest.param("0 0 * * Sun-tue", ["01-04 00:00:00", "01-05 00:00:00", "01-06 00:00:00"], id="weekday names"),
        pytest.param("0 0 * * fri-7", ["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00"], id="up to Sunday"),
        pytest.param("0 0 1 FEB,dec *", ["02-01 00:00:00", "12-01 00:00:00"], id="month names"),
        pytest.param("0 0 31 * *", ["01-31 00:00:00", "03-31 00:00:00", "05-31 00:00:00"], id="31st"),
        pytest.param("  0   0  1 1   *  ", ["01-01 00:00:00"], id="blanks"),
        pytest.param("@Daily", ["01-02 00:00:00", "01-03 00:00:00"], id="nickname"),
        pytest.param("@weekly", ["01-04 00:00:00"], id="weekly"),
        pytest.param("@monthly", ["02-01 00:00:00"], id="monthly"),
        pytest.param("@yearly", ["01-01 00:00:00"], id="yearly"),
        pytest.param("@hourly", ["01-01 13:00:00"], id="hourly"),
    ],
)
def test_expressions_mean_what_they_mean_in_typescript(expression: str, expected: list[str]) -> None:
    assert runs(expression, len(expected)) == expected


def test_the_29th_of_february_is_found_years_ahead() -> None:
    assert next_run("0 0 29 2 *", START) == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("", "Invalid cron expression: expected 5 or 6 elements."),
        ("* * * *", "Invalid cron expression: expected 5 or 6 elements."),
        ("* * * * * * *", "Invalid cron expression: expected 5 or 6 elements."),
        ("@sometimes", "Invalid cron expression: expected 5 or 6 elements."),
        ("0 0 30 2 *", "No valid next date was found."),
        ("60 * * * *", "Failed to parse 60: 60 is outside of constraint range of 0 - 59."),
        ("* * 0 * *", "Failed to parse 0: 0 is outside of constraint range of 1 - 31."),
        ("* * L * *", "Failed to parse L: L is NaN."),
        ("* * * * mon#1", "Failed to parse mon#1: mon#1 is NaN."),
        ("* * * foo *", "Failed to parse foo: foo is NaN."),
        ("30-10 * * * *", "Failed to parse 30-10: Invalid range (start: 30, end: 10)."),
        ("*/0 * * * *", "Failed to parse step: Expected 0 to be greater than 0."),
        ("1,,2 * * * *", "Failed to parse :  is NaN."),
    ],
)
def test_what_cannot_be_read_is_told(expression: str, error: str) -> None:
    with pytest.raises(AgentError) as raised:
        next_run(expression, START)
    assert str(raised.value) == error


def test_times_are_in_utc_whatever_the_zone_of_the_start() -> None:
    summer = timezone(timedelta(hours=2))
    assert next_run("0 12 * * *", datetime(2026, 7, 1, 13, 59, tzinfo=summer)) == datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert next_run("0 12 * * *", datetime(2026, 7, 1, 14, 0, tzinfo=summer)) == datetime(2026, 7, 2, 12, tzinfo=UTC)


def test_the_next_run_is_never_now() -> None:
    assert next_run("* * * * * *", START) == START + timedelta(seconds=1)
    assert next_run("* * * * * *", START + timedelta(milliseconds=1)) == START + timedelta(seconds=1)


# A model that knows one rule a line and looks at every second.

_BOUNDS = {"second": (0, 59), "minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


@st.composite
def fields(draw: st.DrawFn, name: str) -> tuple[str, frozenset[int]]:
    """A field's text, and the values that it names."""
    first, last = _BOUNDS[name]
    number = st.integers(first, last)
    everything = st.just(("*", frozenset(range(first, last + 1))))

    def part(value: tuple[int, int, int]) -> tuple[str, frozenset[int]]:
        low, high, step = min(value[:2]), max(value[:2]), value[2]
        return f"{low}-{high}/{step}", frozenset(range(low, high + 1, step))

    steps = st.integers(1, last).map(lambda step: (f"*/{step}", frozenset(range(first, last + 1, step))))
    ranges = (
        st.tuples(number, number, st.integers(1, 4)).filter(lambda v: min(v[:2]) < 7 or name != "weekday").map(part)
    )
    single = number.map(lambda value: (str(value), frozenset({value})))
    parts = st.lists(st.one_of(single, ranges, steps), min_size=1, max_size=3).map(
        lambda found: (",".join(text for text, _ in found), frozenset[int]().union(*(values for _, values in found)))
    )
    return draw(st.one_of(everything, parts))


def matches(when: datetime, named: dict[str, frozenset[int]]) -> bool:
    weekdays = frozenset(value % 7 for value in named["weekday"])
    day = when.day in named["day"]
    weekday = when.isoweekday() % 7 in weekdays
    is_either_enough = len(named["day"]) != 31 and len(weekdays) != 7
    is_day = day or weekday if is_either_enough else day and weekday
    return (
        is_day
        and when.month in named["month"]
        and when.hour in named["hour"]
        and when.minute in named["minute"]
        and when.second in named["second"]
    )


def first_match(after: datetime, named: dict[str, frozenset[int]]) -> datetime | None:
    """The first second after ``after`` that matches, of the next nine years; whole days are passed over at once."""
    when = after.replace(microsecond=0) + timedelta(seconds=1)
    anything = {name: frozenset(range(_BOUNDS[name][0], _BOUNDS[name][1] + 1)) for name in ("hour", "minute", "second")}
    last = after + timedelta(days=9 * 366)
    while when < last:
        if not matches(when, {**named, **anything}):
            when = (when + timedelta(days=1)).replace(hour=0, minute=0, second=0)
        elif when.hour not in named["hour"]:
            when = (when + timedelta(hours=1)).replace(minute=0, second=0)
        elif when.minute not in named["minute"]:
            when = (when + timedelta(minutes=1)).replace(second=0)
        elif when.second not in named["second"]:
            when += timedelta(seconds=1)
        else:
            return when
    return None


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({name: fields(name) for name in _BOUNDS}),
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
)
def test_next_run_is_the_first_second_that_matches(
    drawn: dict[str, tuple[str, frozenset[int]]], after: datetime
) -> None:
    expression = " ".join(drawn[name][0] for name in _BOUNDS)
    expected = first_match(after, {name: values for name, (_, values) in drawn.items()})
    if expected is None:
        with pytest.raises(AgentError, match="No valid next date was found"):
            next_run(expression, after)
    else:
        assert next_run(expression, after) == expected
