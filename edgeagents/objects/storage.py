"""``ctx.storage``: what an object keeps, as its code sees it.

Keys and values, SQL (``sql``), the same keys and values without ``await`` (``kv``), transactions, and the one alarm.
Method names and rules are Cloudflare's. The asynchronous methods are so for its sake: apart from ``transaction`` and
``sync`` none gives way to other code, so what is read and then written belongs together.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar, overload

from edgeagents.errors import SqlError, StorageError
from edgeagents.objects.alarm_index import from_ms
from edgeagents.objects.alarms import AlarmSlot
from edgeagents.objects.clock import Clock
from edgeagents.objects.kv import KeyValueTable, SyncKeyValue
from edgeagents.objects.sql import Sql
from edgeagents.objects.sqlite import Database

__all__ = ["Storage", "Transaction"]

T = TypeVar("T")


class _Missing:
    pass


_MISSING: Final = _Missing()

_innermost: ContextVar[Transaction | None] = ContextVar("edgeagents_transaction", default=None)


async def _directly(fn: Callable[[], Awaitable[T]]) -> T:
    return await fn()


class _Operations:
    """What may be done in a transaction as well as outside."""

    def __init__(self, table: KeyValueTable, alarm: AlarmSlot, clock: Clock, alarm_refusal: str | None) -> None:
        self._table, self._alarm, self._clock, self._alarm_refusal = table, alarm, clock, alarm_refusal

    def _enter(self, operation: str) -> None:
        """Called before each operation."""

    @overload
    async def get(self, key: str, default: Any = None) -> Any: ...
    @overload
    async def get(self, key: Iterable[str]) -> dict[str, Any]: ...
    async def get(self, key: str | Iterable[str], default: Any = None) -> Any:
        """Return the value kept under ``key``, or ``default``. For several keys: a dict of those that are there.

        A write made before is seen, even if it is not on disk yet.
        """
        self._enter("get")
        if isinstance(key, str):
            return self._table.get(key, default)
        if not isinstance(key, Iterable):
            raise TypeError(f"get() takes a key, which is a str, or several, not {type(key).__name__}: {key!r}.")
        return self._table.get_many(list(key))

    @overload
    async def put(self, key: str, value: Any) -> None: ...
    @overload
    async def put(self, key: Mapping[str, Any]) -> None: ...
    async def put(self, key: str | Mapping[str, Any], value: Any = _MISSING) -> None:
        """Keep a copy of ``value`` under ``key``, or of each value of a mapping: all of them, or none.

        Raises ``DataCloneError`` for a value that is not data and ``StorageLimitError`` for one that is too large.
        """
        self._enter("put")
        if isinstance(key, Mapping):
            self._table.put_many(dict(key))
        elif value is _MISSING:
            raise TypeError("put() called with undefined value.")
        else:
            self._table.put(key, value)

    @overload
    async def delete(self, key: str) -> bool: ...
    @overload
    async def delete(self, key: Iterable[str]) -> int: ...
    async def delete(self, key: str | Iterable[str]) -> bool | int:
        """Forget what is under ``key``; return whether there was something. For several keys: how many there were."""
        self._enter("delete")
        return self._table.delete(key) if isinstance(key, str) else self._table.delete_many(list(key))

    async def list(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Return values by key, in the order of the keys' UTF-8 bytes, or the reverse of it.

        From ``start``, or what comes after ``start_after``, up to and without ``end``; only keys that begin with
        ``prefix``; the first ``limit`` of them.
        """
        self._enter("list")
        pages = self._table.pages(
            start=start, start_after=start_after, end=end, prefix=prefix, reverse=reverse, limit=limit
        )
        return self._table.decoded(pages)

    async def get_alarm(self) -> datetime | None:
        """Return when the alarm is due, or None. While its handler runs there is none, unless a new one was set."""
        self._enter("getAlarm")
        return self._alarm.get()

    async def set_alarm(self, when: datetime | timedelta | float) -> None:
        """Run ``alarm()`` at ``when``: a time, a length of time from now, or milliseconds since 1970.

        It replaces the alarm that was set before. A time that has passed means now; a naive time is local.
        """
        self._enter("setAlarm")
        if self._alarm_refusal is not None:
            raise StorageError(self._alarm_refusal)
        self._alarm.set(self._alarm_time(when))
        self._alarm_changed()

    async def delete_alarm(self) -> None:
        """Have no alarm any more. In the alarm's handler: do not run it again should it fail."""
        self._enter("deleteAlarm")
        self._alarm.delete()
        self._alarm_changed()

    def _alarm_changed(self) -> None:
        """Called when the object's code has set or deleted the alarm."""

    def _alarm_time(self, when: Any) -> datetime:
        if isinstance(when, timedelta):
            return self._clock.now() + when
        if isinstance(when, datetime):
            time = when.astimezone()
            if time.timestamp() <= 0:
                _refuse_alarm_time()
            return time
        if isinstance(when, int | float):
            if not when > 0:
                _refuse_alarm_time()
            # Rounded up: an alarm is never early.
            return from_ms(-int(-when // 1))
        raise TypeError(
            f"An alarm's time is a datetime, a timedelta or milliseconds since 1970, not {type(when).__name__}."
        )


def _refuse_alarm_time() -> NoReturn:
    raise TypeError("setAlarm() cannot be called with an alarm time <= 0")


class Storage(_Operations):
    """An object's storage.

    ``has_sql`` is false for classes that were declared without SQL: they have keys and values alone, with the smaller
    limits that belong to them. ``alarm_refusal`` says why the object cannot set an alarm, if it cannot. ``alone`` runs
    a function while no other event of the object does, ``critical`` also limits how long that may take; ``commit``
    commits what was written, ``flushed`` returns when it is kept.
    """

    def __init__(
        self,
        database: Database,
        *,
        alarm: AlarmSlot,
        clock: Clock,
        has_sql: bool = True,
        alarm_refusal: str | None = None,
        alone: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]] = _directly,
        critical: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]] = _directly,
        commit: Callable[[], object] | None = None,
        flushed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(KeyValueTable(database, is_small=not has_sql), alarm, clock, alarm_refusal)
        self.database = database
        self._alone, self._critical = alone, critical
        self._commit, self._flushed = commit or database.commit, flushed
        self._sql = Sql(database) if has_sql else None
        self._kv = SyncKeyValue(self._table)
        self._transactions = asyncio.Lock()
        self.on_alarm_change: Callable[[], object] | None = None
        """Called when the object's code has set or deleted the alarm by ``set_alarm`` or ``delete_alarm``."""

    @property
    def alarm(self) -> AlarmSlot:
        """The alarm without ``await``, for those who share it with the object's code."""
        return self._alarm

    def _alarm_changed(self) -> None:
        if self.on_alarm_change is not None:
            self.on_alarm_change()

    @property
    def sql(self) -> Sql:
        """SQL on the object's database."""
        if self._sql is None:
            self._refuse_sql()
        return self._sql

    @property
    def kv(self) -> SyncKeyValue:
        """The keys and values without ``await``."""
        self._require_sql()
        return self._kv

    async def delete_all(self) -> None:
        """Delete everything: keys and values, tables and whatever else SQL has made, and the alarm.

        What the object's id and name are is not forgotten. All of it goes, or nothing when this raises. Cursors that
        have rows left have none any more.
        """
        database = self.database
        if database.held:
            raise StorageError("Cannot call deleteAll() within a transaction")
        if not database.exists:
            return
        try:
            self._delete_all()
        except SqlError as error:
            if error.code != "SQLITE_LOCKED":
                raise
            if not database.end_cursors():
                raise StorageError(
                    "delete_all() cannot delete the tables that a cursor still reads. Read it to its end, or close it."
                ) from error
            self._delete_all()

    def _delete_all(self) -> None:
        def delete() -> None:
            self._table.clear()
            self.database.object_sql.drop_all()
            self._alarm.delete()

        with self.database.object_sql.without_foreign_keys():
            self.transaction_sync(delete)

    async def transaction(self, fn: Callable[[Transaction], Awaitable[T]], *, is_limited: bool = True) -> T:
        """Run ``fn`` with a ``Transaction``; keep all of what it wrote, or nothing if it raises or rolls back.

        No other event of the object runs meanwhile, whatever ``fn`` waits for, and nothing leaves the object.
        Whatever this event writes meanwhile by other means (``kv``, ``sql``, a task of its own) is a part of the
        transaction. A transaction within ``fn`` is a part of this one; others of the same event wait.

        One that takes longer than a critical section may resets the object. Not so where it is not ``is_limited``:
        that is for callers that see to its end themselves.
        """
        section = self._critical if is_limited else self._alone
        return await section(lambda: self._transact(fn))

    async def _transact(self, fn: Callable[[Transaction], Awaitable[T]]) -> T:
        outer = _innermost.get()
        is_nested = outer is not None and outer.storage is self and outer.is_open
        async with outer.inner if outer is not None and is_nested else self._transactions:
            if not is_nested:
                # What was written before is no part of it.
                self._commit()
            transaction = Transaction(self, self._table, self._alarm, self._clock, self._alarm_refusal)
            token = _innermost.set(transaction)
            try:
                result = await fn(transaction)
            except BaseException:
                transaction.end(commit=False)
                raise
            finally:
                _innermost.reset(token)
            transaction.end(commit=True)
            return result

    def transaction_sync(self, fn: Callable[[], T]) -> T:
        """Run ``fn``; keep all of what it wrote, or nothing if it raises. Return what it returns. These nest."""
        database = self.database
        level = database.savepoint()
        try:
            result = fn()
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError("transaction_sync() takes a function that is not async. Use: await transaction(fn)")
        except BaseException:
            database.rollback_to(level)
            raise
        finally:
            database.release(level)
        return result

    async def sync(self) -> None:
        """Return when everything that was written is kept as durably as the runtime was asked to.

        In a transaction: what was written before it. What it writes itself is kept when it ends.
        """
        if self._flushed is not None:
            await self._flushed()
        elif self.database.commit() or self.database.is_synced:
            await asyncio.to_thread(self.database.sync)
            await asyncio.to_thread(self.database.tidy)

    async def get_current_bookmark(self) -> str:
        """Return a name for the state that the database is in, by which it can be restored.

        Of two bookmarks that of the later state is the greater text. What a transaction that runs has written is not
        in it. Raises ``StorageError`` where no history is kept.
        """
        self._require_sql()
        return await self._told(self.database.past.bookmark)

    async def get_bookmark_for_time(self, when: datetime | timedelta | float) -> str:
        """Return the bookmark of the state that the database was in at ``when``, to about a second.

        ``when`` is a time, a length of time from now (a negative one, as times to come mean now), or milliseconds
        since 1970. Raises ``StorageError`` when the history does not reach back that far.
        """
        self._require_sql()
        if not isinstance(when, datetime | timedelta):
            when = from_ms(int(when))
        seconds = (self._clock.now() + when if isinstance(when, timedelta) else when.astimezone()).timestamp()
        return await self._told(lambda: self.database.past.bookmark_at(seconds))

    async def on_next_session_restore_bookmark(self, bookmark: str) -> str:
        """Have the object begin with the whole database as it was at ``bookmark`` the next time that it starts.

        Call ``ctx.abort()`` to have it start anew. What is written until then is undone too. Returns the bookmark that
        undoes the restoring: it stands for the last state before it. Raises ``StorageError`` when the state is not
        kept, before anything is changed.
        """
        self._require_sql()
        await self.sync()
        undo, alarm = await asyncio.to_thread(self.database.past.restore_at_next_start, bookmark)
        self._alarm.expect(alarm)
        return undo

    async def _told(self, ask: Callable[[], str | None]) -> str:
        while True:
            await self.sync()
            bookmark = await asyncio.to_thread(ask)
            if bookmark is not None:
                return bookmark

    def _require_sql(self) -> None:
        if self._sql is None:
            self._refuse_sql()

    def _refuse_sql(self) -> NoReturn:
        raise StorageError(
            "SQL is not enabled for this Durable Object class. To enable it, change `new_classes` to "
            "`new_sqlite_classes` within the 'migrations' field of the configuration."
        )


class Transaction(_Operations):
    """What ``Storage.transaction`` hands to its function. It ends with the function."""

    def __init__(
        self, storage: Storage, table: KeyValueTable, alarm: AlarmSlot, clock: Clock, alarm_refusal: str | None
    ) -> None:
        super().__init__(table, alarm, clock, alarm_refusal)
        self.storage = storage
        self.inner = asyncio.Lock()
        self._state = "open"
        self._level = storage.database.savepoint()

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._state == "open"

    def rollback(self) -> None:
        """Undo what was written in this transaction. It cannot be used any more; its function goes on."""
        self._enter("rollback")
        self.storage.database.rollback_to(self._level)
        self._state = "rolled back"

    async def delete_all(self) -> NoReturn:
        """Always raises: everything can only be deleted outside of a transaction."""
        raise StorageError("Cannot call deleteAll() within a transaction")

    def end(self, *, commit: bool) -> None:
        """End the transaction. ``Storage.transaction`` does so."""
        if commit and self.is_open:
            self._state = "committed"
        else:
            self.storage.database.rollback_to(self._level)
            self._state = "rolled back"
        self.storage.database.release(self._level)

    def _alarm_changed(self) -> None:
        self.storage._alarm_changed()

    def _enter(self, operation: str) -> None:
        if self._state == "rolled back":
            raise StorageError(f"Cannot {operation}() on rolled back transaction")
        if self._state == "committed":
            raise StorageError(
                f"Cannot call {operation}() on transaction that has already committed: "
                "did you move `txn` outside of the closure?"
            )
