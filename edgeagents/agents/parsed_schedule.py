"""Schedules in people's words: what a model is asked, so that "remind me tomorrow at nine" becomes a schedule.

told = f"{get_schedule_prompt(datetime.now(UTC))}\\n\\n{text}"
parsed = (await self.generate_object(model=..., schema=ParsedSchedule, prompt=told)).object
if (when := when_of(parsed)) is not None:
    await self.schedule(when, "remind", parsed["description"])
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, TypedDict

__all__ = ["ParsedSchedule", "get_schedule_prompt", "when_of"]


class AtATime(TypedDict):
    """Once, at a time."""

    type: Literal["scheduled"]
    date: str


class AfterADelay(TypedDict):
    """Once, so many seconds from now."""

    type: Literal["delayed"]
    delay_in_seconds: float


class AgainAndAgain(TypedDict):
    """By a cron expression."""

    type: Literal["cron"]
    cron: str


class AtNoTime(TypedDict):
    """The text names no time."""

    type: Literal["no-schedule"]


When: TypeAlias = AtATime | AfterADelay | AgainAndAgain | AtNoTime


class ParsedSchedule(TypedDict):
    """What is to be done, and when: the ``schema`` of ``generate_object``."""

    description: str
    when: When


def get_schedule_prompt(now: datetime) -> str:
    """Return what tells a model how to read a text as a ``ParsedSchedule``. ``now`` is aware: what "tomorrow" is about.

    Put the text behind it. ``Agent.schedule`` reads cron expressions in UTC: give ``now`` in UTC and say so to people
    elsewhere, or turn what they mean into UTC.
    """
    if now.tzinfo is None:
        raise ValueError(f"get_schedule_prompt() takes an aware time: {now.isoformat()} does not say in which zone.")
    return (
        f"It is {now:%A}, {now.isoformat(timespec='seconds')}.\n"
        "Read the text below as a task that is to be done at some time. Answer with\n"
        "- description: the task alone, in the text's own words, without any word about the time;\n"
        "- when: one of\n"
        '  {"type": "scheduled", "date": ...} for one moment: ISO 8601 with the offset of the time above;\n'
        '  {"type": "delayed", "delay_in_seconds": ...} for a span from now, such as "in ten minutes": 600;\n'
        '  {"type": "cron", "cron": ...} for what comes again: five fields, weekdays 0 (Sunday) to 6;\n'
        '  {"type": "no-schedule"} when the text names no time.'
    )


def when_of(parsed: ParsedSchedule) -> datetime | float | str | None:
    """Return the ``when`` that ``Agent.schedule`` takes, or None when the text named no time.

    Raises ValueError for a date that is none, or that does not say in which zone.
    """
    when = parsed["when"]
    match when["type"]:
        case "scheduled":
            moment = datetime.fromisoformat(when["date"])
            if moment.tzinfo is None:
                raise ValueError(f"The model gave the time {when['date']!r}, which does not say in which zone.")
            return moment
        case "delayed":
            return when["delay_in_seconds"]
        case "cron":
            return when["cron"]
        case "no-schedule":
            return None
