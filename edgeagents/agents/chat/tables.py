"""Tables of chat in the agent's own database: made when something is first kept, so that reading makes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Tables"]


class Tables:
    """Tables that belong together. ``mark`` is the name of one of them, which is there when all are."""

    def __init__(self, database: Database, mark: str, *schema: str) -> None:
        self._database, self._mark, self._schema = database, mark, schema
        self._are_made = False

    def make(self) -> None:
        """Make them if need be. Call it before writing."""
        if not self.exist:
            for statement in self._schema:
                self._database.fetch(statement)
            self._are_made = True

    @property
    def exist(self) -> bool:
        """Whether there is something to read."""
        if not self._are_made and self._database.exists:
            query = "select 1 from sqlite_master where type = 'table' and name = ?"
            self._are_made = bool(self._database.fetch(query, (self._mark,)))
        return self._are_made
