"""Stores: the databases of bindings, beside those of objects.

    <state>/<kind>/<name>.sqlite

A binding that keeps something (a key-value namespace, a queue) asks ``runtime.stores`` for a database by what it keeps
and the id of the resource, so that two bindings to one resource share it, and so do the processes that serve one state
folder. It is a plain ``sqlite3`` connection with a transaction a statement; the runtime closes it when it stops.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from edgeagents.placement.shared_file import open_shared, transaction

__all__ = ["Stores"]

_LONGEST_NAME: Final = 100
_BUSY_SECONDS: Final = 5.0


class Stores:
    """The stores in ``folder``; None keeps them in memory, while this value lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
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


def _file_name(name: str) -> str:
    # A quoted name never is "." or "..", nor has it a slash. On some disks upper and lower case are one.
    quoted = quote(name, safe="", errors="surrogatepass")
    if quoted and quoted == quoted.lower() and len(quoted) <= _LONGEST_NAME and not quoted.startswith("."):
        return quoted
    return f"{quoted[:40].lstrip('.')}-{hashlib.sha256(quoted.encode()).hexdigest()[:32]}"
