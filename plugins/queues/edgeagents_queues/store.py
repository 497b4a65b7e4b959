"""How messages are kept: one table for all queues of a state folder.

A message that is out with a handler is held for half a minute, and held again while the handler runs. When the process
ends meanwhile, the hold ends, and the message comes again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from edgeagents.objects.values import decode, encode
from edgeagents.stores import QUICK, Stores

__all__ = ["HOLD_MS", "QueueStore", "StoredMessage", "pack_body"]

HOLD_MS: Final = 30_000
_COUNT_NEW: Final = (
    "INSERT INTO backlogs VALUES (new.queue, 1, length(new.body)) "
    "ON CONFLICT DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes"
)
_COUNT_OLD: Final = (
    "UPDATE backlogs SET messages = messages - 1, bytes = bytes - length(old.body) WHERE queue = old.queue"
)
_SCHEMA: Final = (
    # Only what is sent must be on the disk at once. Of the rest a loss of power makes messages come again.
    QUICK,
    "CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, queue TEXT NOT NULL, body BLOB NOT NULL, "
    "content_type TEXT NOT NULL, sent INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER NOT NULL, holder TEXT)",
    "CREATE INDEX IF NOT EXISTS messages_due ON messages (queue, due)",
    "CREATE INDEX IF NOT EXISTS messages_sent ON messages (queue, sent)",
    # What waits is counted as it changes, so that sending to a long queue costs no more than to a short one.
    "CREATE TABLE IF NOT EXISTS backlogs (queue TEXT PRIMARY KEY, messages INTEGER NOT NULL, bytes INTEGER NOT NULL)",
    f"CREATE TRIGGER IF NOT EXISTS message_came AFTER INSERT ON messages BEGIN {_COUNT_NEW}; END",
    f"CREATE TRIGGER IF NOT EXISTS message_went AFTER DELETE ON messages BEGIN {_COUNT_OLD}; END",
    "CREATE TRIGGER IF NOT EXISTS message_moved AFTER UPDATE OF queue ON messages WHEN old.queue <> new.queue "
    f"BEGIN {_COUNT_OLD}; {_COUNT_NEW}; END",
)


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that is held. ``sent`` is in milliseconds since 1970, ``attempts`` counts this one."""

    id: str
    body: Any
    sent: int
    attempts: int
    content_type: str = "json"


def pack_body(body: Any, content_type: str) -> bytes:
    """Return the bytes of ``body``. Raises TypeError for one that is not of its type."""
    match content_type:
        case "json":
            return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_json_form).encode(
                "utf-8", "surrogatepass"
            )
        case "text":
            if not isinstance(body, str):
                kind = _kind(body)
                raise TypeError(f'Content Type "text" requires a value of type string, but received: {kind}')
            return body.encode("utf-8", "surrogatepass")
        case "bytes":
            if not isinstance(body, bytes | bytearray | memoryview):
                kind = _kind(body)
                raise TypeError(f'Content Type "bytes" requires a value of type ArrayBufferView, but received: {kind}')
            return bytes(body)
        case "v8":
            return encode(body)
        case _:
            raise TypeError(f"Unsupported queue message content type: {content_type}")


def _kind(value: Any) -> str:
    """Return what JavaScript calls the type of ``value``."""
    kinds = ((str, "string"), (bool, "boolean"), (int | float, "number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def _json_form(value: Any) -> Any:
    """Return what ``JSON.stringify`` writes for a Date and for the bytes of a typed array."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes | bytearray | memoryview):
        return {str(n): byte for n, byte in enumerate(bytes(value))}
    if isinstance(value, set) and type(value) is not set:
        return {}  # A ``Set`` of JavaScript, which has no properties.
    raise TypeError(f'A {type(value).__name__} has no form in JSON: send it with the content type "v8".')


def _unpack_body(data: bytes, content_type: str) -> Any:
    match content_type:
        case "json":
            return json.loads(data)
        case "text":
            return data.decode("utf-8", "surrogatepass")
        case "bytes":
            return data
        case _:
            return decode(data)


class QueueStore:
    """The messages of all queues. Times are in milliseconds since 1970."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    @property
    def _database(self) -> Any:
        return self._stores.open("queues", "queues", _SCHEMA)

    def add(self, queue: str, messages: Sequence[tuple[str, bytes, str, int, int]]) -> None:
        """Keep messages, all or none: id, body, content type, when sent, when due."""
        database = self._database
        with self._stores.transaction(database):
            database.executemany(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, 0, ?, NULL)",
                ((one, queue, body, kind, sent, due) for one, body, kind, sent, due in messages),
            )

    async def kept(self) -> None:
        """Return when what was added survives a loss of power."""
        await self._stores.kept("queues", "queues")

    def backlog(self, queue: str) -> tuple[int, int, int | None]:
        """Return how many messages there are, their bytes, and when the oldest was sent."""
        query = (
            "SELECT messages, bytes, (SELECT min(sent) FROM messages WHERE queue = ?1) FROM backlogs WHERE queue = ?1"
        )
        return self._database.execute(query, (queue,)).fetchone() or (0, 0, None)

    def names(self) -> list[str]:
        """Return the queues that have messages."""
        rows = self._database.execute("SELECT DISTINCT queue FROM messages ORDER BY queue").fetchall()
        return [name for (name,) in rows]

    def purge(self, queue: str) -> int:
        """Forget every message of a queue, also those that are out with a handler; return how many there were."""
        return self._database.execute("DELETE FROM messages WHERE queue = ?", (queue,)).rowcount

    def outlook(self, queue: str, now: int, enough: int) -> tuple[int, int | None, int | None]:
        """Return how many messages are due, up to ``enough``, since when the first is, and when the next will be."""
        database = self._database
        count, first = database.execute(
            "SELECT count(*), min(due) FROM "
            "(SELECT due FROM messages WHERE queue = ? AND due <= ? ORDER BY due LIMIT ?)",
            (queue, now, enough),
        ).fetchone()
        (following,) = database.execute(
            "SELECT min(due) FROM messages WHERE queue = ? AND due > ?", (queue, now)
        ).fetchone()
        return count, first, following

    def take(self, queue: str, holder: str, limit: int, now: int, hold_ms: int = HOLD_MS) -> list[StoredMessage]:
        """Hold up to ``limit`` messages that are due, for ``holder`` and for ``hold_ms``, and return them."""
        rows = self._database.execute(
            "UPDATE messages SET due = ?, attempts = attempts + 1, holder = ? WHERE id IN "
            "(SELECT id FROM messages WHERE queue = ? AND due <= ? ORDER BY due, sent LIMIT ?) "
            "RETURNING id, body, content_type, sent, attempts, rowid",
            (now + hold_ms, holder, queue, now, limit),
        ).fetchall()
        return [
            StoredMessage(one, _unpack_body(body, kind), sent, n, kind)
            for one, body, kind, sent, n, _ in sorted(rows, key=_sent)
        ]

    def hold_on(self, holder: str, now: int) -> None:
        """Hold what ``holder`` has for another time."""
        self._database.execute("UPDATE messages SET due = ? WHERE holder = ?", (now + HOLD_MS, holder))

    def held(self, queue: str, holder: str, message_id: str) -> int | None:
        """Return how often a message came, if ``holder`` still has it."""
        query = "SELECT attempts FROM messages WHERE queue = ? AND holder = ? AND id = ?"
        row = self._database.execute(query, (queue, holder, message_id)).fetchone()
        return None if row is None else row[0]

    def remove(self, holder: str, message_id: str) -> None:
        """Forget a message, unless it has gone to another holder."""
        self._database.execute("DELETE FROM messages WHERE id = ? AND holder = ?", (message_id, holder))

    def give_back(self, holder: str, message_id: str, due: int) -> None:
        """Let a message come again at ``due``."""
        self._database.execute(
            "UPDATE messages SET due = ?, holder = NULL WHERE id = ? AND holder = ?", (due, message_id, holder)
        )

    def move(self, holder: str, message_id: str, queue: str, now: int) -> None:
        """Put a message into another queue, where its attempts count anew."""
        self._database.execute(
            "UPDATE messages SET queue = ?, attempts = 0, due = ?, holder = NULL WHERE id = ? AND holder = ?",
            (queue, now, message_id, holder),
        )


def _sent(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[3], row[5]
