"""Cron triggers: what runs a worker's ``scheduled`` by the clock, or by hand.

The expressions are Cloudflare's: five fields, in UTC, with ``L`` and ``#``; weekdays are named, or numbered from 1 for
Sunday to 7. Each expression that is due is an event of its own. An event that fails is logged and not repeated.

Of several processes on a state folder the one that has its first shard runs them. The others remember the latest tick
of each expression, so that one which takes over runs what nobody has (``cron_ticks``).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

from cronsim import CronSim, CronSimError

from edgeagents.cron_ticks import Ticks
from edgeagents.errors import StorageUnavailable
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request, Response
from edgeagents.objects.clock import TimerHandle
from edgeagents.own_errors import as_raised

__all__ = ["CronTrigger", "ScheduledController", "ScheduledRoute", "check_cron", "next_time", "run_scheduled"]

_LONGEST_SLEEP: Final = 60.0
_RESTART: Final = timedelta(minutes=1)
_CORRECTION: Final = timedelta(hours=3)
_PATHS: Final = ("/cdn-cgi/handler/scheduled", "/cdn-cgi/local/scheduled", "/__scheduled")
_WEEKDAY: Final = re.compile(r"(?<![#/\d])[1-7](?!\d)")

_log = logging.getLogger("edgeagents.cron")


@dataclass
class ScheduledController:
    """What ``scheduled`` is told: the expression that is due, and the time for which it was."""

    js_name: ClassVar[str] = "ScheduledController"

    scheduled_time: datetime
    cron: str
    retries: bool = field(default=True, repr=False)
    """False when the worker has said that it must not be run again."""

    def no_retry(self) -> None:
        """Do not run the event again if it fails."""
        self.retries = False


def check_cron(expression: str) -> None:
    """Raise ValueError, with what is wrong, for an expression that cannot be read or that names no time."""
    try:
        next_time(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(str(error)) from None
    except StopIteration:
        raise ValueError("it names no time") from None


def next_time(expression: str, after: datetime) -> datetime:
    """Return the first time after ``after`` that ``expression`` names. Raises ``CronSimError`` or StopIteration."""
    return next(CronSim(_counted_from_sunday(expression), after.astimezone(UTC)))


def _counted_from_sunday(expression: str) -> str:
    """Return the expression with weekdays as everybody else numbers them: 0 for Sunday."""
    fields = expression.split()
    if len(fields) != 5:
        raise CronSimError("Wrong number of fields")
    fields[2] = fields[2].replace("?", "*")
    fields[4] = _WEEKDAY.sub(lambda day: str(int(day[0]) - 1), fields[4].replace("?", "*"))
    return " ".join(fields)


async def run_scheduled(runtime: Any, controller: ScheduledController) -> bool:
    """Run the worker's ``scheduled``; return whether it ended well. Its error is logged."""
    try:
        await runtime.run_handler("scheduled", controller)
    except Exception as error:
        _log.error("scheduled() for %r failed", controller.cron, exc_info=as_raised(error))
        return False
    return True


class CronTrigger:
    """Runs ``scheduled`` at the times that the worker's expressions name, by the runtime's clock."""

    name = "cron"

    def __init__(self, runtime: Any, expressions: Iterable[str]) -> None:
        self._runtime, self._clock = runtime, runtime.clock
        self._due: dict[str, datetime] = dict.fromkeys(expressions, datetime.max.replace(tzinfo=UTC))
        self._owed: dict[str, datetime] = {}
        """The latest tick of an expression, until it is known that this or another process has run it."""
        self._timer: TimerHandle | None = None
        self._running: set[asyncio.Task[bool]] = set()

    async def start(self) -> None:
        """Begin. What was due while nobody ran is not made up for, save that of the last minute, as in a restart."""
        now = self._clock.now()
        self._ticks = Ticks(self._runtime.stores, self._runtime.worker.name)
        for expression in self._due:
            self._due[expression] = next_time(expression, now - _RESTART if self._ticks.has_run(expression) else now)
        self._sleep(now)

    async def stop(self) -> None:
        """End; events under way are cancelled."""
        if self._timer is not None:
            self._timer.cancel()
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _sleep(self, now: datetime) -> None:
        seconds = (min(self._due.values()) - now) / timedelta(seconds=1)
        # The clock may be set meanwhile, so no sleep is long.
        self._timer = self._clock.call_later(min(max(seconds, 0.0), _LONGEST_SLEEP), self._look)

    def _look(self) -> None:
        now = self._clock.now()
        for expression, due in self._due.items():
            if due <= now:
                self._owed[expression] = due
                self._due[expression] = next_time(expression, now)
            elif next_time(expression, now + _CORRECTION) < due:
                # The clock was wrong and was set back. For less, as between zones, nothing runs twice.
                self._due[expression] = next_time(expression, now)
        if self._runtime.is_first:
            for expression in tuple(self._owed):
                self._run(expression, now)
        self._sleep(now)

    def _run(self, expression: str, now: datetime) -> None:
        due = self._owed[expression]
        try:
            is_ours = self._ticks.claim(expression, due, now)
        except StorageUnavailable as error:
            _log.warning("scheduled() for %r waits, since it cannot be noted that it runs: %s", expression, error)
            return
        del self._owed[expression]
        if is_ours:
            task = asyncio.ensure_future(run_scheduled(self._runtime, ScheduledController(due, expression)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)


class ScheduledRoute:
    """``GET <path>?cron=<expression>&time=<milliseconds>`` runs ``scheduled`` at once and answers with how it ended."""

    def __init__(self, path: str, runtime: Any) -> None:
        self.path, self._runtime = path, runtime

    async def serve(self, request: Request) -> Response:
        """Run the handler: 200 and ``ok``, or 500 and ``exception``; with ``format=json`` as JSON."""
        given = request.query.get("time") or ""
        if given and not given.isdecimal():
            return Response("time is in milliseconds since 1970.", status=400)
        when = datetime.fromtimestamp(int(given) / 1000, UTC) if given else self._runtime.clock.now()
        controller = ScheduledController(when, request.query.get("cron") or "")
        outcome = "ok" if await run_scheduled(self._runtime, controller) else "exception"
        status = 200 if outcome == "ok" else 500
        if request.query.get("format") == "json":
            return Response.from_json({"outcome": outcome, "noRetry": not controller.retries}, status=status)
        return Response(outcome, status=status)


@hookimpl
def register_triggers(runtime: Any) -> Iterable[CronTrigger]:
    return [CronTrigger(runtime, runtime.worker.crons)] if runtime.worker.crons else []


@hookimpl
def register_developer_routes(runtime: Any) -> Iterable[ScheduledRoute]:
    # A worker that is agents alone has nothing to schedule.
    return [ScheduledRoute(path, runtime) for path in _PATHS] if runtime.worker.entrypoint is not None else []
