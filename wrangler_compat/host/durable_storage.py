"""``DurableObjectStorage``: an object's storage in JavaScript's terms, around the runtime's.

What the runtime does at once is a promise that is kept already, so awaiting it lets no other event in: the input gate
of workerd, which stays closed while an object waits for its storage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from edgeagents.errors import DataCloneError, StorageError
from edgeagents.objects import Storage
from edgeagents.objects.kv import SyncKeyValue
from edgeagents.objects.storage import Transaction
from wrangler_compat.host.clone import from_data, to_data
from wrangler_compat.host.durable_sql import SqlStorage
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.collections import JsMap
from wrangler_compat.host.model.convert import to_text, truthy
from wrangler_compat.host.model.date import JsDate, to_milliseconds
from wrangler_compat.host.model.errors import DomException, JsException, JsRangeError, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull, properties, python
from wrangler_compat.host.run_sync import Suspendable
from wrangler_compat.host.running import called

__all__ = ["DurableObjectStorage", "DurableObjectTransaction", "SyncKvStorage", "storage_error"]

_absent = object()
_RENAMED = {"start": "start", "startAfter": "start_after", "end": "end", "prefix": "prefix"}


def storage_error(error: BaseException) -> BaseException:
    """Return the error that JavaScript throws for one of the runtime's storage."""
    if isinstance(error, JsException) or not isinstance(error, Exception):
        return error
    if isinstance(error, DataCloneError):
        return DomException(str(error), "DataCloneError")
    if isinstance(error, TypeError):
        return JsTypeError(str(error))
    if isinstance(error, ValueError) and "SQLITE_TOOBIG" not in str(error):
        return JsRangeError(str(error))
    return JsException(str(error)) if isinstance(error, StorageError | ValueError) else error


def _now(operation: Coroutine[Any, Any, Any]) -> Any:
    """Return what an operation comes to that never waits."""
    try:
        operation.send(None)
    except StopIteration as stop:
        return stop.value
    operation.close()
    raise AssertionError("an operation on the storage that is done at once has waited")


def _kept(work: Callable[[], Any]) -> JsPromise:
    """Return a settled promise of what ``work`` returns or raises."""
    try:
        return JsPromise.resolved(work())
    except Exception as error:
        return JsPromise.rejected(storage_error(error))


def _list_options(options: Any) -> dict[str, Any]:
    given = properties(options)
    asked = ((native, given.get(name)) for name, native in _RENAMED.items())
    named: dict[str, Any] = {native: to_text(value) for native, value in asked if not is_nullish(value)}
    if not is_nullish(limit := given.get("limit")):
        named["limit"] = _whole(limit)
    return {**named, "reverse": truthy(given.get("reverse"))}


def _whole(value: Any) -> int:
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0


def _time(when: Any) -> float:
    if isinstance(when, JsDate):
        when = when.getTime()
    if isinstance(when, bool) or not isinstance(when, int | float):
        raise TypeError("Failed to execute 'setAlarm' on 'DurableObjectStorage': parameter 1 is not of type 'date'.")
    if not math.isfinite(when):
        raise TypeError("The value cannot be converted because it is not a valid Date.")
    if when <= 0:
        raise TypeError("setAlarm() cannot be called with an alarm time <= 0")
    return when


def _is_list(key: Any) -> bool:
    return isinstance(key, JsArray | list | tuple)


class _Operations(JsProxy):
    """What may be done in a transaction as well as outside."""

    _js_name = "DurableObjectStorageOperations"
    _native: Any

    def get(self, key: Any, options: Any = None) -> JsPromise:
        """Return the value under ``key``, or undefined; for an array of keys a Map of those that are there."""

        def read() -> Any:
            if _is_list(key):
                found = _now(self._native.get(list(map(to_text, key))))
                return JsMap({name: from_data(value) for name, value in found.items()})
            value = _now(self._native.get(to_text(key), _absent))
            return None if value is _absent else from_data(value)

        return _kept(read)

    def put(self, key: Any, value: Any = None, options: Any = None) -> JsPromise:
        """Keep a copy of ``value`` under ``key``, or of each value of an object."""

        def write() -> None:
            if isinstance(key, JsProxy | Mapping):
                entries = {to_text(name): to_data(item) for name, item in properties(key).items()}
                return _now(self._native.put(entries))
            if value is None:
                raise JsTypeError("put() called with undefined value.")
            return _now(self._native.put(to_text(key), to_data(value)))

        return _kept(write)

    def delete(self, key: Any, options: Any = None) -> JsPromise:
        """Forget what is under ``key``; return whether there was something. For an array of keys, how many."""

        def forget() -> Any:
            return _now(self._native.delete(list(map(to_text, key)) if _is_list(key) else to_text(key)))

        return _kept(forget)

    def list(self, options: Any = None) -> JsPromise:
        """Return a Map of what is asked for, in the order of the keys."""

        def read() -> JsMap:
            found = _now(self._native.list(**_list_options(options)))
            return JsMap({name: from_data(value) for name, value in found.items()})

        return _kept(read)

    def getAlarm(self, options: Any = None) -> JsPromise:
        """Return when the alarm is due, in milliseconds, or null."""

        def read() -> Any:
            when = _now(self._native.get_alarm())
            return jsnull if when is None else to_milliseconds(when)

        return _kept(read)

    def setAlarm(self, when: Any, options: Any = None) -> JsPromise:
        """Run ``alarm()`` at ``when``: a Date, or milliseconds since 1970."""

        def set_alarm() -> None:
            time = _time(when)
            try:
                _now(self._native.set_alarm(time))
            except StorageError as error:
                # That the class has no handler for it is a fault of the call.
                raise TypeError(str(error)) if "alarm() handler" in str(error) else error from error

        return _kept(set_alarm)

    def deleteAlarm(self, options: Any = None) -> JsPromise:
        """Have no alarm any more."""
        return _kept(lambda: _now(self._native.delete_alarm()))

    def _keys(self) -> Any:
        return []


class DurableObjectTransaction(_Operations):
    """What the function of a transaction is given."""

    def __init__(self, native: Transaction) -> None:
        self._native = native

    def rollback(self) -> None:
        """Undo what was written in this transaction."""
        try:
            self._native.rollback()
        except StorageError as error:
            raise storage_error(error) from error

    def deleteAll(self, options: Any = None) -> JsPromise:
        """Always refuse: everything can only be deleted outside of a transaction."""
        return _kept(lambda: _now(self._native.delete_all()))


class DurableObjectStorage(_Operations):
    """An object's storage. ``keeps_alarm`` says that ``deleteAll`` leaves the alarm alone."""

    def __init__(self, native: Storage, *, keeps_alarm: bool) -> None:
        self._native = native
        self._keeps_alarm = keeps_alarm
        self._sql: SqlStorage | None = None
        self._kv: SyncKvStorage | None = None

    @property
    def sql(self) -> SqlStorage:
        """SQL on the object's database."""
        if self._sql is None:
            self._sql = SqlStorage(self._checked(lambda: self._native.sql))
        return self._sql

    @property
    def kv(self) -> SyncKvStorage:
        """The keys and values without promises."""
        if self._kv is None:
            self._kv = SyncKvStorage(self._checked(lambda: self._native.kv))
        return self._kv

    def _checked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except StorageError as error:
            raise storage_error(error) from error

    def deleteAll(self, options: Any = None) -> JsPromise:
        """Delete everything: keys and values, tables, and the alarm where the worker's date says so."""

        def forget() -> None:
            alarm = self._native.alarm
            due = alarm.get() if self._keeps_alarm else None
            _now(self._native.delete_all())
            if due is not None:
                alarm.set(due)

        return _kept(forget)

    def transaction(self, function: Callable[[Any], Any], options: Any = None) -> JsPromise:
        """Run ``function`` with a transaction; keep all of what it wrote, or nothing. Return what it returns."""

        async def closure(transaction: Transaction) -> Any:
            return await Suspendable(called(function, DurableObjectTransaction(transaction)))

        return self._waiting(self._native.transaction(closure))

    def transactionSync(self, function: Callable[[], Any]) -> Any:
        """Run ``function``; keep all of what it wrote, or nothing if it raises. Return what it returns."""
        try:
            return self._native.transaction_sync(lambda: function())
        except (StorageError, TypeError) as error:
            if isinstance(error, JsException) or not _is_ours(error):
                raise
            raise storage_error(error) from error

    def sync(self) -> JsPromise:
        """Return when what was written is kept."""
        return self._waiting(self._native.sync())

    def getCurrentBookmark(self) -> JsPromise:
        """Return a name for the state that the storage is in."""
        return self._waiting(self._native.get_current_bookmark())

    def getBookmarkForTime(self, when: Any) -> JsPromise:
        """Return the name of the state that the storage was in at ``when``."""
        time = when.getTime() if isinstance(when, JsDate) else when
        return self._waiting(self._native.get_bookmark_for_time(time))

    def onNextSessionRestoreBookmark(self, bookmark: Any) -> JsPromise:
        """Restore that state when the object starts again; return the name of the state to undo it by."""
        return self._waiting(self._native.on_next_session_restore_bookmark(to_text(bookmark)))

    def _waiting(self, work: Coroutine[Any, Any, Any]) -> JsPromise:
        async def settle() -> Any:
            try:
                return await work
            except (StorageError, TypeError, ValueError) as error:
                if isinstance(error, JsException) or not _is_ours(error):
                    raise
                raise storage_error(error) from error

        return JsPromise.of(settle())


def _is_ours(error: BaseException) -> bool:
    """Whether the storage itself has raised, and not the code of a worker within a transaction."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or "edgeagents" in str(trace.tb_frame.f_globals.get("__name__", ""))


class SyncKvStorage(JsProxy):
    """``storage.kv``: the same keys and values without promises."""

    def __init__(self, native: SyncKeyValue) -> None:
        self._native = native

    def get(self, key: Any) -> Any:
        """Return the value under ``key``, or undefined."""
        value = self._done(lambda: self._native.get(to_text(key), _absent))
        return None if value is _absent else from_data(value)

    def put(self, key: Any, value: Any) -> None:
        """Keep a copy of ``value`` under ``key``."""
        if value is None:
            raise JsTypeError("put() called with undefined value.")
        self._done(lambda: self._native.put(to_text(key), to_data(value)))

    def delete(self, key: Any) -> bool:
        """Forget what is under ``key``; return whether there was something."""
        return self._done(lambda: self._native.delete(to_text(key)))

    def list(self, options: Any = None) -> KvIterator:
        """Iterate over pairs in the order of their keys. A further call ends the iterator of the one before."""
        return KvIterator(self._done(lambda: self._native.list(**_list_options(options))))

    def _done(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            raise storage_error(error) from error


class KvIterator(JsProxy):
    """The pairs of one ``kv.list()``."""

    _js_name = "Iterator"

    def __init__(self, native: Iterator[tuple[str, Any]]) -> None:
        self._native = native

    def __iter__(self) -> KvIterator:
        return self

    def __next__(self) -> JsArray:
        try:
            key, value = next(self._native)
        except StorageError as error:
            raise storage_error(error) from error
        return JsArray((key, from_data(value)))

    def toArray(self) -> JsArray:
        """Return the pairs that are left."""
        return JsArray(self)

    @python
    def next(self) -> Any:
        """Return ``{value, done}``."""
        from wrangler_compat.host.model.iterator import iteration

        return iteration(self)
