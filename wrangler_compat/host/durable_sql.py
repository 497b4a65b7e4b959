"""``storage.sql``: SQL on an object's database in JavaScript's terms, around the runtime's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edgeagents.errors import StorageError
from edgeagents.objects.sql import RawIterator, Sql, SqlCursor
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import JsArrayBuffer, bytes_of
from wrangler_compat.host.model.convert import number, to_text
from wrangler_compat.host.model.date import JsBoolean, JsNumber, JsString
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.iterator import JsIterator, iteration
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull, python

__all__ = ["SqlStorage", "SqlStorageCursor"]

_LARGEST_EXACT = 2**53


class SqlStorage(JsProxy):
    """Runs SQL."""

    def __init__(self, native: Sql) -> None:
        self._native = native
        native.accept_double_quoted_text()

    def exec(self, query: Any, *bindings: Any) -> SqlStorageCursor:
        """Run ``query`` now and return a cursor over the rows of its last statement."""
        given = [_binding(value) for value in bindings]
        return SqlStorageCursor(_done(lambda: self._native.exec(to_text(query), *given)))

    def prepare(self, query: Any) -> SqlStorageStatement:
        """Return what runs ``query`` each time it is called."""
        return SqlStorageStatement(self, to_text(query))

    @property
    def databaseSize(self) -> int:
        """The bytes in use in the database."""
        return self._native.database_size

    def _keys(self) -> list[str]:
        return []


class SqlStorageStatement(JsProxy):
    """A statement that can be run again. Its cursor from before is closed then."""

    def __init__(self, sql: SqlStorage, query: str) -> None:
        self._sql, self._query = sql, query
        self._cursor: SqlStorageCursor | None = None

    @python
    def __call__(self, *bindings: Any) -> SqlStorageCursor:
        if self._cursor is not None:
            self._cursor._cancel()
        self._cursor = self._sql.exec(self._query, *bindings)
        return self._cursor


class SqlStorageCursor(JsProxy):
    """The rows of a statement, each an object. Iterating over them goes on where it stopped."""

    def __init__(self, native: SqlCursor) -> None:
        self._native = native
        self._is_cancelled = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> JsObject:
        self._check()
        return _row(_done(lambda: next(self._native), StopIteration))

    @python
    def next(self) -> JsObject:
        """Return ``{value, done}``."""
        return iteration(self)

    def toArray(self) -> JsArray:
        """Return the rows that are left."""
        self._check()
        return JsArray(map(_row, _done(self._native.to_array)))

    def one(self) -> JsObject:
        """Return the only row. Raises ``Error`` when there is none or more than one."""
        self._check()
        return _row(_done(self._native.one))

    def raw(self) -> SqlStorageRawIterator:
        """Return an iterator over the rows that are left, each an array."""
        self._check()
        return SqlStorageRawIterator(self._native.raw())

    @property
    def columnNames(self) -> JsArray:
        """The names of the columns."""
        return JsArray(self._native.column_names)

    @property
    def rowsRead(self) -> int:
        """How many rows were read so far."""
        return self._native.rows_read

    @property
    def rowsWritten(self) -> int:
        """How many rows were written."""
        return self._native.rows_written

    def _cancel(self) -> None:
        self._is_cancelled = True

    def _check(self) -> None:
        if self._is_cancelled:
            raise JsException(
                "SQL cursor was closed because the same statement was executed again. If you need to run multiple "
                "copies of the same statement concurrently, you must create multiple prepared statement objects."
            )

    def _keys(self) -> list[str]:
        return []


class SqlStorageRawIterator(JsIterator):
    """The rows of a cursor as arrays."""

    _js_name = "Iterator"

    def __init__(self, native: RawIterator) -> None:
        super().__init__(native)

    def __next__(self) -> JsArray:
        return JsArray(map(_value, _done(lambda: next(self._values), StopIteration)))


def _done(work: Callable[[], Any], *passing: type[BaseException]) -> Any:
    try:
        return work()
    except passing:
        raise
    except TypeError as error:
        raise JsTypeError(str(error)) from error
    except StorageError as error:
        raise JsException(str(error)) from error


def _row(row: dict[str, Any]) -> JsObject:
    return JsObject({name: _value(value) for name, value in row.items()})


def _value(value: Any) -> Any:
    if value is None:
        return jsnull
    if isinstance(value, bytes):
        return JsArrayBuffer(value)
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        return float(value)
    return number(value) if isinstance(value, float) else value


def _binding(value: Any) -> Any:
    if is_nullish(value):
        return None
    if isinstance(value, JsNumber | JsString | JsBoolean):
        value = value.valueOf()
    if isinstance(value, bool):
        return to_text(value)
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        raise JsTypeError("Cannot convert a BigInt value to a number")
    if isinstance(value, int | float):
        return float(value)  # JavaScript's numbers are of one kind.
    if isinstance(value, str):
        return value
    data = bytes_of(value)
    if data is None:
        raise JsTypeError(
            "A binding of a SQL statement is null, a number, a string, an ArrayBuffer or a view, "
            f"not {type(value)._js_name if isinstance(value, JsProxy) else type(value).__name__}."
        )
    return data
