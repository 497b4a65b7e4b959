"""Migrations: files of SQL that bring a database from one version to the next, each applied once.

Which were applied is in a table of the database itself, as with wrangler: ``d1_migrations(id, name, applied_at)``.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from edgeagents.objects.sql_text import split
from edgeagents_d1.engine import Engine, Outcome

__all__ = ["Migrations", "run_script"]


def run_script(engine: Engine, sql: str) -> list[Outcome]:
    """Run every statement in ``sql``, all or none of them; return what each gave."""
    with engine.together():
        return _run_each(engine, sql)


def _run_each(engine: Engine, sql: str) -> list[Outcome]:
    return [engine.run(statement) for _, statement in split(sql, sqlite3.complete_statement)]


class Migrations:
    """The migrations of one database. ``pattern`` says which files they are; it and ``folder`` start in ``root``."""

    def __init__(self, root: Path, folder: str, pattern: str, table: str) -> None:
        self._folder, self._files = root / folder, (root, pattern)
        self._table = '"' + table.replace('"', '""') + '"'

    def files(self) -> list[Path]:
        """Return all of them, in the order of their names."""
        root, pattern = self._files
        return sorted((file for file in root.glob(pattern) if file.is_file()), key=lambda file: file.name)

    def waiting(self, engine: Engine) -> Sequence[Path]:
        """Return those that are not applied yet."""
        applied = {name for (name,) in engine.run(f"SELECT name FROM {self._table}").rows} if self._has(engine) else ()
        return [file for file in self.files() if file.name not in applied]

    def apply(self, engine: Engine, file: Path) -> None:
        """Run ``file`` and note that it was, or do nothing when it fails. Raises ``D1Error``."""
        with engine.together():
            engine.run(
                f"CREATE TABLE IF NOT EXISTS {self._table} (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, "
                "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)"
            )
            _run_each(engine, file.read_text(encoding="utf-8-sig"))
            engine.run(f"INSERT INTO {self._table} (name) VALUES (?)", (file.name,))

    def create(self, message: str, now: datetime) -> Path:
        """Make the file of the next migration, and return it."""
        numbers = [int(found[0]) for file in self.files() if (found := re.match(r"\d+", file.name)) is not None]
        number = max(numbers, default=0) + 1
        words = re.sub(r"[^\w\-]+", "_", message.strip()) or "migration"
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / f"{number:04d}_{words}.sql"
        file.write_text(f"-- Migration number: {number:04d}, {now:%Y-%m-%d %H:%M} UTC\n")
        return file

    def _has(self, engine: Engine) -> bool:
        name = self._table[1:-1].replace('""', '"')
        return bool(engine.run("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).rows)
