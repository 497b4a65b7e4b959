"""Asking about points of data, in SQL that only reads.

``query`` is a function; in the emulator ``POST /cdn-cgi/analytics_engine/sql`` with the SQL as its body answers in the
form of Cloudflare's SQL interface. It is SQLite's SQL: functions of Cloudflare's own are not there.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from edgeagents.errors import EdgeAgentsError
from edgeagents.http import Request, Response
from edgeagents_platform.analytics import datasets_of

if TYPE_CHECKING:
    from edgeagents.stores import Stores

__all__ = ["AnalyticsRoute", "QueryRefused", "query"]

_READING: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_MOST_ROWS: Final = 10_000
_STEPS_BETWEEN_LOOKS: Final = 1_000_000
_MOST_LOOKS: Final = 100


class QueryRefused(EdgeAgentsError):
    """The SQL is none, does more than read, or takes too long."""


def query(stores: Stores, sql: str) -> list[dict[str, Any]]:
    """Return the rows that ``sql`` asks for, at most 10,000. Each dataset is a table."""
    database: sqlite3.Connection = datasets_of(stores)
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return looks > _MOST_LOOKS

    database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY)
    database.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
    try:
        cursor = database.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(_MOST_ROWS)]
    except (sqlite3.Error, sqlite3.Warning) as error:
        reason = "it takes too long" if looks > _MOST_LOOKS else str(error)
        raise QueryRefused(f"The query cannot be answered: {reason}.") from error
    finally:
        database.set_authorizer(None)
        database.set_progress_handler(None, 0)


class AnalyticsRoute:
    """``POST <path>`` with SQL as the body."""

    path = "/cdn-cgi/analytics_engine/sql"

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def serve(self, request: Request) -> Response:
        """Answer with ``{"meta", "data", "rows"}``; 400 when the SQL cannot be run."""
        if request.method != "POST":
            return Response("Send the SQL with POST.", status=405)
        try:
            rows = query(self._stores, (await request.bytes()).decode("utf-8", "replace"))
        except QueryRefused as error:
            return Response(str(error), status=400)
        names = list(rows[0]) if rows else []
        kinds = {name: "String" if isinstance(rows[0][name], str) else "Float64" for name in names}
        answer = {
            "meta": [{"name": name, "type": kinds[name]} for name in names],
            "data": rows,
            "rows": len(rows),
        }
        return Response(json.dumps(answer, ensure_ascii=False), headers={"content-type": "application/json"})
