"""Keys and values: the table under ``ctx.storage.get()`` and its kind, and ``ctx.storage.kv``.

Keys are text and sort by their UTF-8 bytes. Values are copies both ways (``values``): nothing that a program holds
changes what is kept, nor the reverse. Nothing here awaits; ``storage`` has the asynchronous face.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from edgeagents.errors import StorageError, StorageLimitError
from edgeagents.objects.sqlite import Database
from edgeagents.objects.values import decode, encode

__all__ = ["KeyValueIterator", "KeyValueTable", "SyncKeyValue"]

_GET: Final = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT: Final = "INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)"
_DELETE: Final = "DELETE FROM _cf_KV WHERE key = ? RETURNING 1"
_CLEAR: Final = "DELETE FROM _cf_KV"
_PAGE: Final = 256

# Classes without SQL have the limits of Cloudflare's older storage. A value's bytes come with a header there.
_SMALL_KEY_BYTES, _SMALL_VALUE_BYTES, _SMALL_HEADER, _SMALL_PAIRS = 2_048, 131_072, 34, 128


class KeyValueTable:
    """The table of one object. ``is_small`` sets the limits of classes without SQL."""

    def __init__(self, database: Database, *, is_small: bool = False) -> None:
        self._database = database
        self._is_small = is_small

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value under ``key``, or ``default``."""
        self._check_key(key)
        if not self._database.exists:
            return default
        rows = self._database.fetch(_GET, (key,))
        return decode(rows[0][0]) if rows else default

    def get_many(self, keys: list[str]) -> dict[str, Any]:
        """Return what there is under ``keys``, in the order of the keys."""
        self._check_count(len(keys))
        for key in keys:
            self._check_key(key)
        if not self._database.exists:
            return {}
        found: dict[str, Any] = {}
        for key in sorted(set(keys)):
            if rows := self._database.fetch(_GET, (key,)):
                found[key] = decode(rows[0][0])
        return found

    def put(self, key: str, value: Any) -> None:
        """Keep ``value`` under ``key``."""
        data = encode(value)
        self._check_pair(key, data)
        self._database.fetch(_PUT, (key, data))

    def put_many(self, entries: dict[str, Any]) -> None:
        """Keep all ``entries``, or none when one of them cannot be kept."""
        self._check_count(len(entries))
        pairs = [(key, encode(value)) for key, value in entries.items()]
        for key, data in pairs:
            self._check_pair(key, data)
        with self._database.lock:
            for pair in pairs:
                self._database.fetch(_PUT, pair)

    def delete(self, key: str) -> bool:
        """Forget what is under ``key``; return whether there was something."""
        self._check_key(key)
        return self._database.exists and bool(self._database.fetch(_DELETE, (key,)))

    def delete_many(self, keys: list[str]) -> int:
        """Forget what is under ``keys``; return how many there were."""
        self._check_count(len(keys))
        for key in keys:
            self._check_key(key)
        with self._database.lock:
            return sum(map(self.delete, keys))

    def clear(self) -> None:
        """Forget everything."""
        self._database.fetch(_CLEAR)

    def pages(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Iterator[list[tuple[str, bytes]]]:
        """Yield the pairs that are asked for, some at a time, in order. Raises TypeError at once for wrong options."""
        if start is not None and start_after is not None:
            raise TypeError("list() cannot be called with both start and startAfter values.")
        if limit is not None and (not isinstance(limit, int) or limit <= 0):
            raise TypeError("List limit must be positive.")
        bounds: list[tuple[str, str]] = []
        if start is not None:
            bounds.append(("key >= ?", start))
        if start_after is not None:
            bounds.append(("key > ?", start_after))
        if end is not None:
            bounds.append(("key < ?", end))
        if prefix:
            bounds.append(("key >= ?", prefix))
            if (after := _after_prefix(prefix)) is not None:
                bounds.append(("key < ?", after))
        for _, bound in bounds:
            _key_bytes(bound)
        return self._pages(bounds, reverse, limit)

    def decoded(self, pages: Iterator[list[tuple[str, bytes]]]) -> dict[str, Any]:
        """Return the values of all ``pages`` by key."""
        return {key: decode(data) for page in pages for key, data in page}

    def _pages(
        self, bounds: list[tuple[str, str]], reverse: bool, limit: int | None
    ) -> Iterator[list[tuple[str, bytes]]]:
        left = limit
        order, further = ("DESC", "key < ?") if reverse else ("ASC", "key > ?")
        last: list[tuple[str, str]] = []
        while self._database.exists:
            terms = bounds + last
            where = f"WHERE {' AND '.join(term for term, _ in terms)}" if terms else ""
            count = _PAGE if left is None else min(_PAGE, left)
            rows = self._database.fetch(
                f"SELECT key, value FROM _cf_KV {where} ORDER BY key {order} LIMIT {count}",
                [bound for _, bound in terms],
            )
            yield rows
            if left is not None:
                left -= len(rows)
            if len(rows) < count or left == 0:
                return
            last = [(further, rows[-1][0])]

    def _check_key(self, key: Any) -> None:
        size = _key_bytes(key)
        if self._is_small and size > _SMALL_KEY_BYTES:
            raise StorageLimitError(
                f"Keys cannot be larger than {_SMALL_KEY_BYTES} bytes. A key of size {size} was provided."
            )

    def _check_pair(self, key: str, data: bytes) -> None:
        if self._is_small:
            self._check_key(key)
            if len(data) > _SMALL_VALUE_BYTES + _SMALL_HEADER:
                raise StorageLimitError(
                    f"Values cannot be larger than {_SMALL_VALUE_BYTES} bytes. "
                    f"A value of size {len(data)} was provided."
                )
        elif (size := _key_bytes(key) + len(data)) > (most := self._database.limits.value_bytes):
            error = StorageLimitError(
                f"A key and its value cannot be larger than {most} bytes together. "
                f"{key[:64]!r} and its value have {size}: string or blob too big: SQLITE_TOOBIG"
            )
            error.add_note(f"Limits(value_bytes={most}) is what is allowed; with strict=False it may be more.")
            raise error

    def _check_count(self, count: int) -> None:
        if self._is_small and count > _SMALL_PAIRS:
            raise StorageLimitError(
                f"Maximum number of key value pairs is {_SMALL_PAIRS}. {count} pairs were provided."
            )


class SyncKeyValue:
    """``ctx.storage.kv``: the same keys and values as ``ctx.storage.get()`` and its kind have, without ``await``."""

    def __init__(self, table: KeyValueTable) -> None:
        self._table = table
        self._iterator: KeyValueIterator | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value kept under ``key``, or ``default``."""
        return self._table.get(key, default)

    def put(self, key: str, value: Any) -> None:
        """Keep ``value`` under ``key``."""
        self._table.put(key, value)

    def delete(self, key: str) -> bool:
        """Forget what is under ``key``; return whether there was something."""
        return self._table.delete(key)

    def list(
        self,
        *,
        start: str | None = None,
        start_after: str | None = None,
        end: str | None = None,
        prefix: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> KeyValueIterator:
        """Iterate over pairs in the order of their keys. A further call ends the iterator of the one before."""
        pages = self._table.pages(
            start=start, start_after=start_after, end=end, prefix=prefix, reverse=reverse, limit=limit
        )
        self._iterator = KeyValueIterator(self, pages)
        return self._iterator

    def is_current(self, iterator: KeyValueIterator) -> bool:
        """Whether ``iterator`` came from the last call of ``list``."""
        return self._iterator is iterator


class KeyValueIterator:
    """The pairs of one ``kv.list()``. Reads some at a time, so what is written meanwhile may or may not appear."""

    def __init__(self, owner: SyncKeyValue, pages: Iterator[list[tuple[str, bytes]]]) -> None:
        self._owner = owner
        self._pairs = (pair for page in pages for pair in page)

    def __iter__(self) -> KeyValueIterator:
        return self

    def __next__(self) -> tuple[str, Any]:
        if not self._owner.is_current(self):
            raise StorageError(
                "kv.list() iterator was invalidated because a new call to kv.list() was started. "
                "Only one kv.list() iterator can exist at a time."
            )
        key, data = next(self._pairs)
        return key, decode(data)


def _key_bytes(key: Any) -> int:
    if not isinstance(key, str):
        raise TypeError(f"A storage key is text, not {type(key).__name__}: {key!r}.")
    if key.isascii():
        return len(key)
    try:
        return len(key.encode())
    except UnicodeEncodeError:
        raise TypeError(f"A storage key must be text that UTF-8 has a form for; {key!r} has lone surrogates.") from None


def _after_prefix(prefix: str) -> str | None:
    """Return the least text that is greater than all that begin with ``prefix``, or None if there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    last = ord(stem[-1]) + 1
    # UTF-8 has no form for surrogates; its bytes sort as code points do.
    return stem[:-1] + chr(0xE000 if last == 0xD800 else last)
