"""A namespace: what is found in ``env``."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from edgeagents_kv.checks import (
    BULK_KEYS,
    LIST_LIMIT,
    VALUE_BYTES,
    KvError,
    check_cache_ttl,
    check_key,
    expiry_of,
    pack_metadata,
)

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.stores import Stores

__all__ = ["KvNamespace"]

Kind = Literal["text", "json", "arrayBuffer", "stream"]

_SCHEMA: Final = (
    # Keys are in the order of their UTF-8 bytes, which is what BLOBs are compared by.
    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, metadata TEXT, expires INTEGER)",
    "CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires) WHERE expires IS NOT NULL",
)
_PIECE: Final = 64 * 1024
_BULK_BYTES: Final = VALUE_BYTES


class KvNamespace:
    """One namespace. Values are text or bytes; what has expired is not there any more."""

    js_name: ClassVar[str] = "KvNamespace"

    def __init__(self, stores: Stores, namespace_id: str, clock: Clock) -> None:
        self._stores, self._id, self._clock = stores, namespace_id, clock

    @property
    def _database(self) -> Any:
        return self._stores.open("kv", self._id, _SCHEMA)

    async def get(self, key: str | Sequence[str], type: Kind = "text", *, cache_ttl: float | None = None) -> Any:
        """Return the value of ``key``, or None.

        ``type`` says as what: ``text``, ``json`` (what the text says), ``arrayBuffer`` (bytes) or ``stream`` (an async
        iterator of bytes). With several keys, at most 100, returns a dict of them all, and knows ``text`` and ``json``.
        """
        if isinstance(key, str):
            found = self._read(key, "GET", cache_ttl)
            return None if found is None else _as(type, found[0])
        return {name: None if f is None else _as(type, f[0]) for name, f in self._read_many(key, type, cache_ttl)}

    async def get_with_metadata(
        self, key: str | Sequence[str], type: Kind = "text", *, cache_ttl: float | None = None
    ) -> Any:
        """Return ``{"value", "metadata", "cacheStatus"}``; for several keys a dict of such.

        Value and metadata are None for what is not there; nothing is cached, so ``cacheStatus`` is None.
        """
        if isinstance(key, str):
            return _with_metadata(type, self._read(key, "GET_WITH_METADATA", cache_ttl))
        return {name: _with_metadata(type, found) for name, found in self._read_many(key, type, cache_ttl)}

    async def put(
        self,
        key: str,
        value: str | bytes | AsyncIterator[bytes],
        *,
        expiration: float | None = None,
        expiration_ttl: float | None = None,
        metadata: Any = None,
    ) -> None:
        """Keep ``value`` under ``key``.

        It vanishes at ``expiration`` (seconds since 1970) or after ``expiration_ttl`` seconds. ``metadata`` is anything
        that JSON has a form for, at most 1024 bytes of it.
        """
        check_key(key, "PUT")
        packed = pack_metadata(metadata)
        expires = expiry_of(expiration, expiration_ttl, self._now())
        content = await _content(value)
        if len(content) > VALUE_BYTES:
            raise KvError("PUT", 413, f"Value length of {len(content)} exceeds limit of {VALUE_BYTES}.")
        database = self._database
        database.execute("DELETE FROM entries WHERE expires <= ?", (self._now(),))
        database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (_key(key), content, packed, expires))

    async def delete(self, key: str) -> None:
        """Remove ``key``. One that is not there is no error."""
        check_key(key, "DELETE")
        self._database.execute("DELETE FROM entries WHERE key = ?", (_key(key),))

    async def list(self, *, prefix: str | None = None, limit: int | None = None, cursor: str | None = None) -> Any:
        """Return the keys in the order of their UTF-8 bytes, at most ``limit`` (1000) of them.

        ``{"keys": [{"name", "expiration"?, "metadata"?}], "list_complete", "cursor"?, "cacheStatus"}``; while the list
        is not complete, ``cursor`` goes on from there.
        """
        count = LIST_LIMIT if limit is None else int(limit)
        if count < 1:
            raise KvError("GET", 400, f"Invalid key_count_limit of {limit}. Please specify an integer greater than 0.")
        if count > LIST_LIMIT:
            text = f"Invalid key_count_limit of {limit}. Please specify an integer less than {LIST_LIMIT}."
            raise KvError("GET", 400, text)
        start = _key(prefix or "")
        after = _after(cursor)
        rows = self._database.execute(
            "SELECT key, metadata, expires FROM entries WHERE key >= ? AND key > ? AND key < ? "
            "AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?",
            # No key has a byte of 255 in it.
            (start, after, start + b"\xff", self._now(), count + 1),
        ).fetchall()
        listed: dict[str, Any] = {"keys": [_listed(*row) for row in rows[:count]], "list_complete": len(rows) <= count}
        if len(rows) > count:
            listed["cursor"] = base64.urlsafe_b64encode(rows[count - 1][0]).decode()
        return listed | {"cacheStatus": None}

    def take_over(self, entries: Iterable[tuple[str, bytes, str | None, int | None]], *, replace: bool) -> int:
        """Keep entries of another namespace: key, value, metadata as JSON, when it expires (seconds since 1970).

        All or none. Those whose key is there are kept only to ``replace`` it. Return how many were kept.
        """
        verb = "REPLACE" if replace else "IGNORE"
        database, count = self._database, 0
        with self._stores.transaction(database):
            for key, value, metadata, expires in entries:
                row = (_key(key), value, metadata, expires)
                count += database.execute(f"INSERT OR {verb} INTO entries VALUES (?, ?, ?, ?)", row).rowcount
        return count

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _read(self, key: str, operation: str, cache_ttl: float | None) -> tuple[bytes, str | None] | None:
        check_key(key, operation)
        check_cache_ttl(cache_ttl, operation)
        return self._database.execute(
            "SELECT value, metadata FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)",
            (_key(key), self._now()),
        ).fetchone()

    def _read_many(
        self, keys: Sequence[str], type: Kind, cache_ttl: float | None
    ) -> list[tuple[str, tuple[bytes, str | None] | None]]:
        if type not in ("text", "json"):
            raise KvError("GET_BULK", 400, f'"{type}" is not a valid type. Use "json" or "text"')
        if not 1 <= len(keys) <= BULK_KEYS:
            what = f"You can request a maximum of {BULK_KEYS} keys" if keys else "You must request at least 1 key"
            raise KvError("GET_BULK", 400, what)
        found = [(key, self._read(key, "GET_BULK", cache_ttl)) for key in keys]
        if sum(len(one[0]) for _, one in found if one is not None) > _BULK_BYTES:
            raise KvError("GET_BULK", 413, "Total size of request exceeds the limit of 25MB")
        return found


def _key(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _after(cursor: str | None) -> bytes:
    if not cursor:
        return b""
    try:
        return base64.urlsafe_b64decode(cursor)
    except ValueError:
        raise KvError("GET", 400, "Invalid cursor.") from None


def _listed(key: bytes, metadata: str | None, expires: int | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": key.decode("utf-8", "surrogatepass")}
    if expires is not None:
        entry["expiration"] = expires
    if metadata is not None:
        entry["metadata"] = json.loads(metadata)
    return entry


def _with_metadata(type: Kind, found: tuple[bytes, str | None] | None) -> dict[str, Any]:
    value = None if found is None else _as(type, found[0])
    metadata = None if found is None or found[1] is None else json.loads(found[1])
    return {"value": value, "metadata": metadata, "cacheStatus": None}


def _as(type: Kind, value: bytes) -> Any:
    match type:
        case "text":
            return value.decode("utf-8", "replace")
        case "json":
            return json.loads(value)
        case "arrayBuffer":
            return value
        case "stream":
            return _pieces(value)
        case _:
            kinds = 'Possible types are "text", "arrayBuffer", "json", and "stream".'
            raise TypeError(f"Unknown response type. {kinds}")


async def _pieces(value: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(value), _PIECE):
        yield value[start : start + _PIECE]


async def _content(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, AsyncIterator):
        content = bytearray()
        async for piece in value:
            content += piece
            if len(content) > VALUE_BYTES:
                break
        return bytes(content)
    raise TypeError(
        "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values. In Python: str, "
        "bytes, and async iterators of bytes."
    )
