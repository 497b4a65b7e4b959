"""A namespace: what is found in ``env``."""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeGuard, cast

from edgeagents.objects import writes_kept
from edgeagents.stored_bytes import KeptBytes, StoredBytes
from edgeagents.stores import QUICK
from edgeagents_kv.checks import (
    BULK_KEYS,
    VALUE_BYTES,
    KvError,
    check_cache_ttl,
    checked_key,
    checked_key_of_many,
    checked_prefix,
    expiry_of,
    list_count,
    pack_metadata,
)

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.stores import Stores

__all__ = ["KvNamespace"]

Kind = Literal["text", "json", "arrayBuffer", "stream"]

_SCHEMA: Final = (
    QUICK,
    # Keys are in the order of their UTF-8 bytes, which is what BLOBs are compared by.
    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL, metadata TEXT, expires INTEGER)",
    "CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires) WHERE expires IS NOT NULL",
    # A large value is in a file, and its entry has none. What becomes of the entry becomes of the file's name.
    "CREATE TABLE IF NOT EXISTS files (key BLOB PRIMARY KEY REFERENCES entries ON DELETE CASCADE, name TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS unused_files (name TEXT PRIMARY KEY)",
    "CREATE TRIGGER IF NOT EXISTS file_went AFTER DELETE ON files "
    "BEGIN INSERT INTO unused_files VALUES (old.name); END",
)
_GET: Final = (
    "SELECT value, metadata, name FROM entries LEFT JOIN files USING (key) "
    "WHERE entries.key = ? AND (expires IS NULL OR expires > ?)"
)
_PUT: Final = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)"
_PIECE: Final = 64 * 1024
_LARGE: Final = 128 * 1024
_BULK_BYTES: Final = VALUE_BYTES

Value = bytes | KeptBytes


class KvNamespace:
    """One namespace. Values are text or bytes; what has expired is not there any more."""

    js_name: ClassVar[str] = "KvNamespace"

    def __init__(self, stores: Stores, namespace_id: str, clock: Clock) -> None:
        self._stores, self._id, self._clock = stores, namespace_id, clock
        self._files = StoredBytes(stores.path("kv", namespace_id, ".values"))

    @property
    def _database(self) -> Any:
        return self._stores.open("kv", self._id, _SCHEMA)

    async def get(self, key: str | Sequence[str], type: Kind = "text", *, cache_ttl: float | None = None) -> Any:
        """Return the value of ``key``, or None.

        ``type`` says as what: ``text``, ``json`` (what the text says), ``arrayBuffer`` (bytes) or ``stream`` (an async
        iterator of bytes). With several keys, at most 100, returns a dict of them all, and knows ``text`` and ``json``.
        """
        if _are_several(key):
            found = await self._read_many(key, type, cache_ttl)
            return {name: None if entry is None else entry["value"] for name, entry in found.items()}
        entry = self._read(cast("str", key), cache_ttl)
        return None if entry is None else await _as(type, entry[0])

    async def get_with_metadata(
        self, key: str | Sequence[str], type: Kind = "text", *, cache_ttl: float | None = None
    ) -> Any:
        """Return ``{"value", "metadata", "cacheStatus"}``, with None for what is not there; nothing is cached, so
        ``cacheStatus`` is None.

        For several keys a dict of ``{"value", "metadata"}``, and of None for what is not there.
        """
        if _are_several(key):
            return await self._read_many(key, type, cache_ttl)
        entry = self._read(cast("str", key), cache_ttl)
        told = {"value": None, "metadata": None} if entry is None else await _told(type, entry)
        return {**told, "cacheStatus": None}

    async def put(
        self,
        key: str,
        value: str | bytes | AsyncIterator[bytes],
        *,
        expiration: float | None = None,
        expiration_ttl: float | None = None,
        metadata: Any = None,
    ) -> None:
        """Keep ``value`` under ``key``. Numbers, true, false and None are kept as the text that JSON has for them.

        It vanishes at ``expiration`` (seconds since 1970) or after ``expiration_ttl`` seconds. ``metadata`` is anything
        that JSON has a form for, at most 1024 bytes of it.
        """
        name = _key(checked_key(key, "PUT"))
        packed = pack_metadata(metadata)
        expires = expiry_of(expiration, expiration_ttl, self._now())
        content = await _content(value)
        if len(content) > VALUE_BYTES:
            raise KvError("PUT", 413, f"Value length of {len(content)} exceeds limit of {VALUE_BYTES}.")
        await writes_kept()
        file = None if len(content) <= _LARGE else await self._new_file(content)
        database = self._database
        try:
            with self._stores.transaction(database):
                database.execute("DELETE FROM entries WHERE expires <= ?", (self._now(),))
                database.execute(_PUT, (name, b"" if file is not None else content, packed, expires))
                if file is not None:
                    database.execute("INSERT INTO files VALUES (?, ?)", (name, file))
        except BaseException:
            if file is not None:
                self._files.forget(file)
            raise
        await self._written()

    async def delete(self, key: str) -> None:
        """Remove ``key``. One that is not there is no error."""
        name = _key(checked_key(key, "DELETE"))
        await writes_kept()
        self._database.execute("DELETE FROM entries WHERE key = ?", (name,))
        await self._written()

    async def list(self, *, prefix: str | None = None, limit: int | None = None, cursor: str | None = None) -> Any:
        """Return the keys in the order of their UTF-8 bytes, at most ``limit`` (1000, also for less than one).

        ``{"keys": [{"name", "expiration"?, "metadata"?}], "list_complete", "cursor"?, "cacheStatus"}``; while the list
        is not complete, ``cursor`` goes on from there.
        """
        count = list_count(limit)
        start = _key(checked_prefix(prefix or ""))
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
        # Whoever imports them ends, and then the store is synced.
        self._forget(self._unused())
        return count

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _read(
        self,
        key: str,
        cache_ttl: float | None,
        checked: Callable[[str, str], str] = checked_key,
        operation: str = "GET",
    ) -> tuple[Value, str | None] | None:
        name = _key(checked(key, operation))
        check_cache_ttl(cache_ttl, operation)
        missing: str | None = None
        while True:
            row = self._database.execute(_GET, (name, self._now())).fetchone()
            if row is None:
                return None
            value, metadata, file = row
            if file is None:
                return value, metadata
            try:
                return self._files.open(file), metadata
            except FileNotFoundError:
                # Another process has just put something else in its place.
                if file == missing:
                    raise
                missing = file

    async def _read_many(
        self, keys: Sequence[str], type: Kind, cache_ttl: float | None
    ) -> dict[str, dict[str, Any] | None]:
        if type not in ("text", "json"):
            raise KvError("GET_BULK", 400, f'"{type}" is not a valid type. Use "json" or "text"')
        if not 1 <= len(keys) <= BULK_KEYS:
            what = f"You can request a maximum of {BULK_KEYS} keys" if keys else "You must request a minimum of 1 key"
            raise KvError("GET_BULK", 400, what)
        found = {key: self._read(key, cache_ttl, checked_key_of_many, "GET_BULK") for key in keys}
        if sum(len(e[0]) if isinstance(e[0], bytes) else e[0].size for e in found.values() if e) > _BULK_BYTES:
            raise KvError("GET_BULK", 413, "Total size of request exceeds the limit of 25MB")
        try:
            return {key: None if entry is None else await _told(type, entry) for key, entry in found.items()}
        except json.JSONDecodeError as error:
            what = "At least one of the requested keys corresponds to a non-json value"
            raise KvError("GET_BULK", 400, what) from error

    async def _new_file(self, content: bytes) -> str:
        name = secrets.token_hex(16)
        new = self._files.new(name)
        try:
            await new.write(content)
            await new.keep()
        except BaseException:
            new.drop()
            raise
        return name

    async def _written(self) -> None:
        """Wait until what was written is kept. Only then nothing can need the files that it has made useless."""
        unused = self._unused()
        await self._stores.kept("kv", self._id)
        if unused:
            self._forget(unused)

    def _unused(self) -> Sequence[tuple[str]]:
        return self._database.execute("SELECT name FROM unused_files").fetchall()

    def _forget(self, unused: Sequence[tuple[str]]) -> None:
        for (name,) in unused:
            self._files.forget(name)
        self._database.executemany("DELETE FROM unused_files WHERE name = ?", unused)


def _are_several(key: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(key, list | tuple)


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


async def _told(type: Kind, entry: tuple[Value, str | None]) -> dict[str, Any]:
    value, metadata = entry
    return {"value": await _as(type, value), "metadata": None if metadata is None else json.loads(metadata)}


async def _as(type: Kind, value: Value) -> Any:
    match type:
        case "text":
            return await _text(value)
        case "json":
            text = await _text(value)
            return json.loads(text) if isinstance(value, bytes) else await asyncio.to_thread(json.loads, text)
        case "arrayBuffer":
            return value if isinstance(value, bytes) else await value.whole()
        case "stream":
            return _pieces(value) if isinstance(value, bytes) else value.read(0, value.size)
        case _:
            kinds = 'Possible types are "text", "arrayBuffer", "json", and "stream".'
            raise TypeError(f"Unknown response type. {kinds}")


async def _text(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # As it is read: nobody else waits for all of it.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    parts = [decoder.decode(piece) async for piece in value.read(0, value.size)]
    return "".join([*parts, decoder.decode(b"", final=True)])


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
    if value is None or isinstance(value, int | float):
        return json.dumps(value).encode()
    raise TypeError(
        "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values. In Python: str, "
        "bytes, and async iterators of bytes."
    )
