"""Alarms: an object's single timer, which wakes it at least once, never early, across restarts.

The alarm is kept in the object's own database (``AlarmSlot``) and changes with its transactions. Beside it stands an
entry in the index (``alarm_index``), by which the ``AlarmScheduler`` knows whom to wake. The order makes sure that no
alarm is lost: an entry is written before the commit that sets the alarm, and synced before that is kept; one is moved
to a later time, or removed, after. Between the two the entry is too early, and a wake that finds nothing due puts it
right. While another process keeps the index for itself the commit is put off; what is moved or removed stays too early.

A handler that fails is run again after 2, 4, 8, ... seconds, six times. Until it ends well the alarm stays in the
database, so one that the process did not survive runs again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from edgeagents.errors import StorageError
from edgeagents.objects.alarm_index import AlarmHint, AlarmIndex, AlarmIndexBusy, Among, entry_id, from_ms, to_ms
from edgeagents.objects.clock import Clock, TimerHandle
from edgeagents.objects.events import AlarmInfo
from edgeagents.objects.ids import ObjectId
from edgeagents.objects.sqlite import Database
from edgeagents.objects.sqlite_session import CommitPutOff
from edgeagents.objects.values import decode, encode

__all__ = [
    "AlarmHint",
    "AlarmIndex",
    "AlarmScheduler",
    "AlarmSlot",
    "Wake",
    "alarm_to_keep",
    "kept_alarm",
    "retry_delay",
]

_RETRIES: Final = 6
_JITTER: Final = 0.25
_LONGEST_SLEEP: Final = 60.0
_LONGEST_BACKOFF: Final = 1024.0
_LOOK_AGAIN: Final = 2.0
_CORRECTION: Final = 3 * 60 * 60.0
# Together ten seconds.
_MOST_PUT_OFFS: Final = 44
_LONGEST_PUT_OFF: Final = 0.25

_GET: Final = "SELECT value FROM _cf_METADATA WHERE key = 'alarm'"
_PUT: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES ('alarm', ?)"
_DELETE: Final = "DELETE FROM _cf_METADATA WHERE key = 'alarm'"

_log = logging.getLogger("edgeagents.alarms")


def retry_delay(failures: int, rng: random.Random) -> timedelta | None:
    """Return how long to wait before an alarm that has failed ``failures`` times runs again, or None to give up."""
    if failures > _RETRIES:
        return None
    return timedelta(seconds=(2 << (failures - 1)) * (1 + _JITTER * rng.random()))


@dataclass(frozen=True, slots=True)
class _Alarm:
    due: int
    scheduled: int
    retries: int
    number: int
    """Tells an alarm from one that was set later, even for the same time."""


def kept_alarm(value: bytes) -> datetime:
    """Return when the alarm is due that a database keeps as ``value``."""
    return from_ms(_Alarm(*decode(value)).due)


def alarm_to_keep(due: datetime) -> bytes:
    """Return what a database keeps for an alarm that is due then and has never run."""
    return encode([to_ms(due), to_ms(due), 0, 1])


class AlarmSlot:
    """The one alarm of an object. Made by ``AlarmScheduler.slot``."""

    def __init__(self, database: Database, entry: _Entry, clock: Clock, rng: random.Random) -> None:
        self._database, self._entry, self._clock, self._rng = database, entry, clock, rng
        self._taken: int | None = None
        self._last_number = self._put_offs = 0

    def get(self) -> datetime | None:
        """Return when the alarm is due, or None. One whose handler runs now is none."""
        alarm = self._read()
        return None if alarm is None or alarm.number == self._taken else from_ms(alarm.due)

    def set(self, when: datetime) -> None:
        """Set the alarm, in place of the one before. A time that has passed means now."""
        due = max(to_ms(when), to_ms(self._clock.now()))
        self._write(_Alarm(due, due, 0, self._next_number()))

    def delete(self) -> None:
        """Have no alarm. In a handler this also means not to run it again when it fails."""
        if self._read() is not None:
            self._write(None)

    def expect(self, kept: bytes | None) -> None:
        """The database will be one in which this alarm is kept: see that the object is woken for it."""
        if kept is not None:
            self._entry.repair(to_ms(kept_alarm(kept)))

    def take_due(self, now: datetime) -> AlarmInfo | None:
        """Return what to tell the handler if the alarm is due, else None. End with ``done`` or ``failed``."""
        alarm = self._read()
        if alarm is not None and alarm.number == self._taken:
            return None  # Its handler runs already.
        if alarm is None or alarm.due > to_ms(now):
            if not self._database.in_transaction:
                self._put_right(None if alarm is None else alarm.due)
            return None
        self._taken = alarm.number
        return AlarmInfo(from_ms(alarm.scheduled), alarm.retries)

    def done(self) -> None:
        """The handler has ended: forget the alarm, unless a new one was set meanwhile."""
        alarm, self._taken = self._taken_alarm(), None
        if alarm is not None:
            self._write(None)

    def failed(self) -> None:
        """The handler has failed: set the alarm again for a retry, unless it was set or deleted meanwhile."""
        alarm, self._taken = self._taken_alarm(), None
        if alarm is None:
            return
        delay = retry_delay(alarm.retries + 1, self._rng)
        if delay is None:
            _log.error("The alarm of %s failed %d times and was dropped.", self._entry, alarm.retries + 1)
            self._write(None)
        else:
            due = to_ms(self._clock.now() + delay)
            self._write(_Alarm(due, alarm.scheduled, alarm.retries + 1, self._next_number()))

    def _taken_alarm(self) -> _Alarm | None:
        alarm = self._read()
        return alarm if alarm is not None and alarm.number == self._taken else None

    def _next_number(self) -> int:
        alarm = self._read()
        self._last_number = max(self._last_number, 0 if alarm is None else alarm.number) + 1
        return self._last_number

    def _read(self) -> _Alarm | None:
        if not self._database.exists:
            return None
        rows = self._database.fetch(_GET)
        return _Alarm(*decode(rows[0][0])) if rows else None

    def _write(self, alarm: _Alarm | None) -> None:
        database = self._database
        with database.lock:
            self._entry.begin_change()
            if alarm is None:
                database.fetch(_DELETE)
            else:
                database.fetch(_PUT, (encode([alarm.due, alarm.scheduled, alarm.retries, alarm.number]),))
            database.before_commit = self._committing

    def _committing(self) -> Callable[[], object]:
        # What is in the database now is what the commit keeps: a part may have been rolled back since it was written.
        alarm = self._read()
        due = None if alarm is None else alarm.due
        try:
            is_earlier = due is not None and self._entry.bring_forward(due)
        except AlarmIndexBusy as busy:
            self._put_offs += 1
            if self._put_offs > _MOST_PUT_OFFS:
                raise
            raise CommitPutOff(str(busy), min(0.005 * 2**self._put_offs, _LONGEST_PUT_OFF)) from busy
        self._put_offs = 0
        if is_earlier:
            self._database.before_sync = self._entry.sync
        return functools.partial(self._entry.end_change, self._entry.version, due)

    def _put_right(self, due: int | None) -> None:
        # An entry that is removed, or made later, before that is known to last would be missed after a loss of power,
        # when the alarm is there again.
        database = self._database
        if database.is_keeping:
            return  # It is put right at the end of that.
        right = functools.partial(self._entry.put_right, due)
        if database.is_synced and not database.is_certain:
            database.call_when_kept(right)
        else:
            right()

    def reconcile(self) -> None:
        """The database was opened: see that the object is woken for the alarm that it has. Call it each time."""
        alarm = self._read()
        if alarm is not None:
            self._last_number = alarm.number
            self._entry.repair(alarm.due)
            if not self._database.is_certain:
                # Whoever set the alarm may not have come to sync its entry either.
                self._database.before_sync = self._entry.sync_anew


class _Entry:
    """An object's entry in the index, and what is known of changes to it that are not kept yet."""

    def __init__(self, scheduler: AlarmScheduler, namespace: str, object_id: ObjectId, facets: tuple[str, ...]) -> None:
        self._scheduler, self._namespace, self._id, self._facets = scheduler, namespace, object_id, facets
        self._key = (namespace, entry_id(object_id, facets))
        self._index = scheduler.index
        self._lock = threading.Lock()
        self.version = 0

    def __str__(self) -> str:
        return _title(self._namespace, self._id, self._facets)

    def begin_change(self) -> None:
        """An alarm is about to be written."""
        with self._lock:
            self.version += 1
        self._scheduler.changed(self._key)

    def bring_forward(self, due: int) -> bool:
        """An alarm is about to be committed: see that the entry is not later. Return whether it was."""
        with self._lock:
            is_earlier = self._bring_forward(due)
        if is_earlier:
            self._scheduler.changed(self._key)
        return is_earlier

    def end_change(self, version: int, due: int | None) -> None:
        """What was written at ``version`` is kept, so the entry may be later now, unless there is a newer change."""
        try:
            with self._lock:
                if self.version == version:
                    self._put(due)
        except StorageError as error:
            # Nothing is lost: a wake that finds nothing due tries it again.
            _log.warning("The entry of %s in the index of alarms stays too early: %s", self, error)
        self._scheduler.changed(self._key)

    def put_right(self, due: int | None) -> None:
        """Nothing is about to change, and the alarm is due at ``due``."""
        self.end_change(self.version, due)

    def repair(self, due: int) -> None:
        """The database was opened and has an alarm: the entry may have been lost."""
        try:
            self.bring_forward(due)
        except AlarmIndexBusy:
            self._scheduler.try_later(functools.partial(self.repair, due))

    def sync(self) -> None:
        """Return when the entry survives a loss of power."""
        self._index.sync()

    def sync_anew(self) -> None:
        """The same for what others have written."""
        self._index.sync(anew=True)

    def _bring_forward(self, due: int) -> bool:
        known = self._index.get(self._namespace, self._id, self._facets)
        if known is not None and to_ms(known) <= due:
            return False
        self._index.set(self._namespace, self._id, from_ms(due), self._facets)
        return True

    def _put(self, due: int | None) -> None:
        if due is None:
            self._index.remove(self._namespace, self._id, self._facets)
        elif self._index.get(self._namespace, self._id, self._facets) != from_ms(due):
            self._index.set(self._namespace, self._id, from_ms(due), self._facets)


class Wake(Protocol):
    """Brings an alarm event to an object, or through it to a facet, and returns when it was handled."""

    def __call__(self, namespace: str, object_id: ObjectId, facets: tuple[str, ...], /) -> Awaitable[object]: ...


class AlarmScheduler:
    """Wakes objects whose alarm is due, at most ``at_once`` at a time.

    A wake that raises, or after which the same entry is still due, is tried again after 2 seconds, then 4, up to 1024:
    the object may be unable to start just now. A clock that is set back by hours was wrong before: whoever waits for a
    time is woken once and can think again (``_edgeagents_alarm_not_due``).
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        index: AlarmIndex,
        wake: Wake,
        *,
        at_once: int = 64,
    ) -> None:
        self.index = index
        self._clock, self._rng, self._wake, self._at_once = clock, rng, wake, at_once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._among = Among()
        self._looks_soon = False
        self._timer: TimerHandle | None = None
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._changed: set[tuple[str, str]] = set()
        self._failures: dict[tuple[str, str], int] = {}
        self._held_back: dict[tuple[str, str], TimerHandle] = {}
        self._offset: float | None = None

    def slot(self, namespace: str, object_id: ObjectId, database: Database, facets: tuple[str, ...] = ()) -> AlarmSlot:
        """Return the alarm of the object, or the facet of it, whose database this is."""
        return AlarmSlot(database, _Entry(self, namespace, object_id, facets), self._clock, self._rng)

    def limit_to(self, shards: Iterable[int] | None) -> None:
        """Wake objects of these shards only; None for all."""
        self._among = replace(self._among, shards=None if shards is None else frozenset(shards))
        self._look_soon()

    def serve(self, namespaces: Iterable[str]) -> None:
        """Wake objects of these namespaces only: others in the index are another worker's."""
        self._among = replace(self._among, namespaces=frozenset(namespaces))

    async def start(self) -> None:
        """Begin to wake objects."""
        self._loop = asyncio.get_running_loop()
        self._look_soon()

    async def stop(self) -> None:
        """Wake nobody any more. Wakes under way are cancelled; what they left undone is done after the next start."""
        self._loop = None
        for timer in (self._timer, *self._held_back.values()):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._held_back.clear()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def changed(self, key: tuple[str, str]) -> None:
        """The entry with this key has changed, or is about to. Any thread may call this."""
        loop = self._loop
        if loop is None:
            return
        try:
            is_on_loop = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_on_loop = False
        if is_on_loop:
            self._note_change(key)
        else:
            loop.call_soon_threadsafe(self._note_change, key)

    def try_later(self, work: Callable[[], object]) -> None:
        """Do ``work`` in a moment, unless nobody is woken any more then. Any thread may call this."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._clock.call_later, _LOOK_AGAIN, work)

    def _note_change(self, key: tuple[str, str]) -> None:
        if key in self._running:
            self._changed.add(key)
        held_back = self._held_back.pop(key, None)
        if held_back is not None:
            held_back.cancel()
            self._failures.pop(key, None)
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looks_soon and self._loop is not None:
            self._looks_soon = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Wake whoever is due, and come back when the next one is."""
        self._looks_soon = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is None or len(self._running) >= self._at_once:
            return  # Each wake that ends looks again.
        passed_over = len(self._running) + len(self._held_back)
        now = self._clock.now()
        before = self._offset
        try:
            if self._was_set_back(now):
                _log.warning("The clock was set back to %s: all who wait for a time are woken once.", now.isoformat())
                self.index.doubt(now, self._among)
            hints = self.index.earliest(passed_over + self._at_once - len(self._running) + 1, self._among)
        except Exception as error:
            # The disk may be full just now: nobody's alarm must be forgotten for that.
            _log.error("The index of alarms cannot be read; it is tried again in %g s: %s", _LOOK_AGAIN, error)
            self._offset = before
            self._timer = self._clock.call_later(_LOOK_AGAIN, self._look_soon)
            return
        for hint in hints:
            if hint.key in self._running or hint.key in self._held_back:
                continue
            if hint.due > now:
                # The clock may be set meanwhile, so no sleep is long.
                seconds = min((hint.due - now).total_seconds(), _LONGEST_SLEEP)
                self._timer = self._clock.call_later(seconds, self._look_soon)
                return
            if len(self._running) >= self._at_once:
                return
            self._running[hint.key] = self._loop.create_task(self._run(hint), name=f"alarm of {hint.namespace}")

    def _was_set_back(self, now: datetime) -> bool:
        offset = now.timestamp() - self._clock.monotonic()
        before, self._offset = self._offset, offset
        return before is not None and before - offset > _CORRECTION

    async def _run(self, hint: AlarmHint) -> None:
        key = hint.key
        try:
            await self._wake(hint.namespace, hint.object_id, hint.facets)
        except Exception as error:
            self._changed.discard(key)
            _log.warning(
                "The alarm of %s could not be run: %s", _title(hint.namespace, hint.object_id, hint.facets), error
            )
            self._hold_back(key)
        else:
            if key not in self._changed and self.index.get(hint.namespace, hint.object_id, hint.facets) == hint.due:
                self._hold_back(key)
            else:
                self._failures.pop(key, None)
        finally:
            self._changed.discard(key)
            self._running.pop(key, None)
            self._look_soon()

    def _hold_back(self, key: tuple[str, str]) -> None:
        if self._loop is None:
            return
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = min(2.0 * 2 ** min(failures - 1, 10), _LONGEST_BACKOFF) * (1 + _JITTER * self._rng.random())
        self._held_back[key] = self._clock.call_later(seconds, functools.partial(self._let_go, key))

    def _let_go(self, key: tuple[str, str]) -> None:
        self._held_back.pop(key, None)
        self._look_soon()


def _title(namespace: str, object_id: ObjectId, facets: tuple[str, ...]) -> str:
    name = f"{namespace} {object_id.digits if object_id.name is None else repr(object_id.name)}"
    return f"{name}, facet {facets!r}" if facets else name
