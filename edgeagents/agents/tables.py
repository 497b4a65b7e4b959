"""Tables of a capability in the agent's own database: made when something is first kept, so that reading makes nothing.

Whether they are there is asked of the database once, and again when its schema has changed: ``storage.delete_all()``
takes them away, and so does a transaction that is rolled back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Tables"]


class Tables:
    """Tables that belong together. ``mark`` is the name of one of them, which is there when all are."""

    def __init__(self, database: Database, mark: str, *schema: str) -> None:
        self._database, self._mark, self._schema = database, mark, schema
        self._seen = -1
        self._are_there = False

    @property
    def exist(self) -> bool:
        """Whether there is something to read."""
        database = self._database
        if self._seen != database.schema_changes:
            if not database.exists:
                return False
            query = "select 1 from sqlite_master where type = 'table' and name = ?"
            self._are_there = bool(database.fetch(query, (self._mark,)))
            self._seen = database.schema_changes
        return self._are_there

    def make(self) -> None:
        """Make them if need be. Call it before writing."""
        if not self.exist:
            self.make_whole()

    def make_whole(self) -> None:
        """Make them, and what an older release has made without."""
        for statement in self._schema:
            self._database.fetch(statement)
        self._are_there, self._seen = True, self._database.schema_changes

    def fetch(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read, change or delete rows by ``sql``; return what it gives. Where there are no tables there is nothing."""
        return self._database.fetch(sql, parameters) if self.exist else []

    def insert(self, sql: str, *parameters: Any) -> None:
        """Run ``sql``, which needs the tables: they are made if need be."""
        if not self.exist:
            self.make_whole()
        self._database.fetch(sql, parameters)
