"""Lengths of time, as workflows write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from edgeagents_workflows.durations import milliseconds


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("1 second", 1_000),
        ("10 seconds", 10_000),
        ("1.5 minutes", 90_000),
        ("2 hours", 7_200_000),
        ("1 day", 86_400_000),
        ("2 weeks", 1_209_600_000),
        ("1 month", 2_592_000_000),
        ("1 year", 31_557_600_000),
        ("250 ms", 250),
        ("250", 250),
        (1500, 1_500),
        (0, 0),
        (0.2, 1),  # rounded up: nothing is early
        (timedelta(minutes=1), 60_000),
    ],
)
def test_a_duration_is_a_text_milliseconds_or_a_timedelta(duration, expected):
    assert milliseconds(duration) == expected


@pytest.mark.parametrize(
    "duration",
    ["soon", "10 lightyears", "-1 second", "", -5, float("nan"), True, None, "1 s 2"],
)
def test_what_is_no_duration_is_refused(duration):
    with pytest.raises(ValueError, match=r"duration|length of time"):
        milliseconds(duration)
