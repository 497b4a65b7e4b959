"""When a schedule runs: its next time, what becomes of times that were missed, and of those that a clock set back.

Times are kept in UTC, and cron expressions are in UTC: they know no summer time. ``timing`` is what a schedule keeps of
its kind: ``type``, and ``cron``, ``intervalSeconds``, ``delayInSeconds`` or ``missed``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from edgeagents.agents.cron import latest_runs, next_run

__all__ = ["MISSED", "Missed", "left_out", "next_time", "put_right"]

Missed = Literal["once", "all", "skip"]
"""What becomes of runs whose time came while nothing could run: one for all of them, each of them, or none."""

MISSED: Final = ("once", "all", "skip")

_LATE: Final = timedelta(seconds=60)
_MOST: Final = 1000
_CORRECTION: Final = timedelta(hours=3)


def next_time(timing: Mapping[str, Any], due: datetime, now: datetime) -> datetime | None:
    """Return when a schedule that was due at ``due`` and has run runs again, or None."""
    catches_up = timing.get("missed") == "all"
    match timing["type"]:
        case "cron":
            # Not before what just ran: a clock that was set back meanwhile does not make it run twice.
            return next_run(timing["cron"], due if catches_up else max(now, due))
        case "interval":
            return (due if catches_up else now) + timedelta(seconds=timing["intervalSeconds"])
        case _:
            return None


def left_out(timing: Mapping[str, Any], due: datetime, now: datetime) -> datetime | None:
    """Return the next time of a schedule whose run at ``due`` was missed and is left out, None for one that runs.

    With ``skip`` that is a run that could not begin within a minute of its time; with ``all`` one before the last
    thousand.
    """
    late = now - due
    match timing.get("missed"):
        case "skip" if late > _LATE:
            return next_time(timing, due, now)
        case "all" if late > _MOST * timedelta(seconds=1) and timing["type"] == "cron":
            first = latest_runs(timing["cron"], due, now, _MOST)
            return first if first > due else None
        case "all" if timing["type"] == "interval":
            interval = timedelta(seconds=timing["intervalSeconds"])
            surplus = math.floor(late / interval) + 1 - _MOST
            return due + surplus * interval if surplus > 0 else None
        case _:
            return None


def put_right(timing: Mapping[str, Any], due: datetime, now: datetime) -> datetime:
    """Return when a schedule is due by a clock that may have been set back since ``due`` was worked out.

    What waits for a length of time never waits longer than that. A cron expression does not run twice for a clock that
    was set back by up to three hours; more than that is a clock that was wrong, and the new one is believed.
    """
    match timing["type"]:
        case "interval":
            return min(due, now + timedelta(seconds=timing["intervalSeconds"]))
        case "delayed":
            return min(due, now + timedelta(seconds=timing["delayInSeconds"]))
        case "cron" if next_run(timing["cron"], now + _CORRECTION) < due:
            return next_run(timing["cron"], now)
        case _:
            return due
