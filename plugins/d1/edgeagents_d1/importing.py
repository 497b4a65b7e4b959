"""Databases that ``wrangler dev`` has kept, copied."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents_d1.plugin import database_id

if TYPE_CHECKING:
    from edgeagents_emulator.importing import Importing

    from wrangler_compat.wrangler_state import WranglerState

__all__ = ["import_databases"]


def import_databases(source: WranglerState, state: Importing) -> None:
    """Copy each database that the configuration knows. One that is there already stays, unless it is to be replaced."""
    for name, target in state.places(source, "d1", "d1", "database_id", database_id):
        path = state.stores.path("d1", target)
        assert path is not None, "a state folder is on disk"
        with source.database("d1", name) as database:
            if database is None:
                continue
            if path.exists() and not state.replaces:
                source.done.append(f"d1 {name}: 0 of 1 databases copied, it is there already")
                continue
            _copy(database, path)
        source.done.append(f"d1 {name}: 1 of 1 databases copied")


def _copy(database: sqlite3.Connection, path: Path) -> None:
    made = path.with_name(f"{path.name}.new")
    made.unlink(missing_ok=True)
    os.close(os.open(made, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(made)) as target:
        database.backup(target)
        # The other runtime's own; ours are made when the database is opened.
        for (table,) in target.execute(
            r"SELECT name FROM sqlite_master WHERE name LIKE '\_cf\_%' ESCAPE '\'"
        ).fetchall():
            target.execute(f'DROP TABLE "{table}"')
        target.commit()
    sync_file(made)
    for remains in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm", "-journal"))):
        remains.unlink(missing_ok=True)
    os.replace(made, path)
    sync_folder(path.parent)
