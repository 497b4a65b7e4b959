"""Stores: the databases of bindings, beside those of objects.

    <state>/<kind>/<name>.sqlite

A binding that keeps something (a key-value namespace, a queue) asks ``runtime.stores`` for a database by what it keeps
and the id of the resource, so that two bindings to one resource share it, and so do the processes that serve one state
folder. It is a plain ``sqlite3`` connection with a transaction a statement; the runtime closes it when it stops.

How it lasts. A commit survives the end of the process, and also a loss of power; but then whoever writes waits for the
disk, and all others with him. A binding that writes often opens its store with ``QUICK`` in the schema: its commits do
not wait, and ``await stores.kept(kind, name)`` does, in a thread, once for all who wait together.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from edgeagents.group_sync import GroupSync
from edgeagents.objects.disk import sync_folder, sync_if_there
from edgeagents.placement.shared_file import open_shared, transaction

__all__ = ["QUICK", "Stores"]

QUICK: Final = "PRAGMA synchronous = NORMAL"
"""The first line of a schema whose commits do not wait for the disk."""

_LONGEST_NAME: Final = 100
_BUSY_SECONDS: Final = 5.0


class Stores:
    """The stores in ``folder``; None keeps them in memory, while this value lives.

    Without ``is_synced`` nobody waits for the disk, and a loss of power may take the last seconds.
    """

    def __init__(self, folder: Path | None, *, is_synced: bool = True) -> None:
        self._folder = folder
        self.is_synced = is_synced and folder is not None
        """Whether what is written survives a loss of power."""
        self._syncs: dict[tuple[str, str], GroupSync] = {}
        self._open: dict[tuple[str, str], sqlite3.Connection] = {}

    def path(self, kind: str, name: str, ending: str = ".sqlite") -> Path | None:
        """Return the place of what is kept for a resource, whether it is there or not; None in memory.

        The folder around it is there. ``name`` may be any text: it is data, and never leads out of the folder.
        """
        if self._folder is None:
            return None
        folder = self._folder / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{_file_name(name)}{ending}"

    def open(self, kind: str, name: str, schema: Sequence[str]) -> sqlite3.Connection:
        """Return the database of a resource, the same one each time. ``schema`` is run when it is opened.

        Any thread may use it, one at a time. Statements commit by themselves; ``with self.transaction(...)`` joins
        several. One that cannot be done because of the disk, or of another process, raises ``StorageUnavailable``.
        """
        known = self._open.get((kind, name))
        if known is not None:
            return known
        path = self.path(kind, name)
        if path is None:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        else:
            connection = open_shared(path, _BUSY_SECONDS)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            for statement in schema:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        self._open[kind, name] = connection
        return connection

    async def kept(self, kind: str, name: str) -> None:
        """Return when all that was written to a store until now survives a loss of power.

        Raises ``StorageUnavailable`` when the disk does not do it.
        """
        if not self.is_synced:
            return
        sync = self._syncs.get((kind, name))
        if sync is None:
            path = self.path(kind, name)
            assert path is not None
            sync = self._syncs[kind, name] = GroupSync(_Log(path).sync, str(path))
        await sync()

    @staticmethod
    def transaction(connection: sqlite3.Connection) -> AbstractContextManager[None]:
        """Keep what is written in the ``with`` block together or, when it or the commit fails, not at all.

        Do not await in it: until it ends, other processes wait.
        """
        return transaction(connection)

    def close(self) -> None:
        """Close every database."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()


class _Log:
    """The write-ahead log of a store. SQLite syncs it before it moves what is in it into the database."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_new = path, True

    def sync(self) -> None:
        """Return when it is on the disk."""
        sync_if_there(f"{self._path}-wal")
        if self._is_new:
            sync_folder(self._path.parent)
            self._is_new = False


def _file_name(name: str) -> str:
    # A quoted name never is "." or "..", nor has it a slash. On some disks upper and lower case are one.
    quoted = quote(name, safe="", errors="surrogatepass")
    if quoted and quoted == quoted.lower() and len(quoted) <= _LONGEST_NAME and not quoted.startswith("."):
        return quoted
    return f"{quoted[:40].lstrip('.')}-{hashlib.sha256(quoted.encode()).hexdigest()[:32]}"
