"""A database as a script: statements that make it anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from edgeagents_d1.engine import D1Error, Engine

__all__ = ["statements"]

_SCHEMA = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' "
    # Rows go in before triggers see them, and before there are indexes to keep.
    "ORDER BY type = 'table' DESC, rowid"
)


def statements(engine: Engine, only: Collection[str] = (), *, schema: bool, data: bool) -> Iterator[str]:
    """Yield the statements, each a line or several, that make the tables ``only``, or all that there is.

    Raises ``D1Error`` for a table that is not there, and for virtual ones, whose content is in other tables.
    """
    with engine.together():
        found = engine.run(_SCHEMA).rows
        tables = [name for kind, name, _, _ in found if kind == "table"]
        for name in only:
            if name not in tables:
                raise D1Error(f"There is no table {name!r}. There are: {', '.join(tables) or 'none'}.")
        yield "PRAGMA defer_foreign_keys=TRUE;"
        for kind, name, table, sql in found:
            if only and table not in only:
                continue
            if sql.upper().startswith("CREATE VIRTUAL"):
                raise D1Error(f"{name!r} is a virtual table, and D1 exports no database that has one.")
            if schema:
                yield f"{sql};"
            if data and kind == "table":
                yield from _rows(engine, name)


def _rows(engine: Engine, table: str) -> Iterator[str]:
    names = [_quoted(name) for (name,) in engine.run("SELECT name FROM pragma_table_info(?)", [table]).rows]
    values = ", ".join(f"quote({name})" for name in names)
    for row in engine.run(f"SELECT {values} FROM {_quoted(table)}").rows:
        yield f"INSERT INTO {_quoted(table)} ({', '.join(names)}) VALUES({', '.join(row)});"


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
