"""The MCP servers that an agent knows, in its database. The table and its columns are those of Cloudflare's SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgeagents.objects.sqlite import Database

__all__ = ["ServerRow", "ServerTable"]

_CREATE: Final = (
    "create table if not exists cf_agents_mcp_servers (id text primary key not null, name text not null, "
    "server_url text not null, callback_url text not null, client_id text, auth_url text, server_options text)"
)


@dataclass
class ServerRow:
    """One server. ``options`` are what it was added with: ``transport``, ``client``, ``retry`` and so on."""

    id: str
    name: str
    server_url: str
    callback_url: str = ""
    client_id: str | None = None
    auth_url: str | None = None
    options: dict[str, Any] = field(default_factory=dict[str, Any])


class ServerTable:
    """The rows, also in memory. An agent that never had a server has no table, and looks for it once a waking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.rows: dict[str, ServerRow] = {}

    def load(self) -> None:
        """Read what is kept."""
        if not self._database.exists:
            return
        known = "select 1 from sqlite_master where type = 'table' and name = 'cf_agents_mcp_servers'"
        if not self._database.fetch(known):
            return
        query = (
            "select id, name, server_url, callback_url, client_id, auth_url, server_options "
            "from cf_agents_mcp_servers order by rowid"
        )
        for *columns, options in self._database.fetch(query):
            row = ServerRow(*columns, options=_read(options))
            self.rows[row.id] = row

    def save(self, row: ServerRow) -> None:
        """Keep a row as it is now."""
        self._database.fetch(_CREATE)
        self._database.fetch(
            "insert into cf_agents_mcp_servers "
            "(id, name, server_url, callback_url, client_id, auth_url, server_options) values (?, ?, ?, ?, ?, ?, ?) "
            "on conflict (id) do update set name = excluded.name, server_url = excluded.server_url, "
            "callback_url = excluded.callback_url, client_id = excluded.client_id, auth_url = excluded.auth_url, "
            "server_options = excluded.server_options",
            (row.id, row.name, row.server_url, row.callback_url, row.client_id, row.auth_url, json.dumps(row.options)),
        )
        self.rows[row.id] = row

    def rename(self, row: ServerRow, new_id: str) -> None:
        """Give a row another id."""
        self._database.fetch("update cf_agents_mcp_servers set id = ? where id = ?", (new_id, row.id))
        del self.rows[row.id]
        row.id = new_id
        self.rows[new_id] = row

    def remove(self, server_id: str) -> None:
        """Forget a row. Harmless when there is none."""
        if self.rows.pop(server_id, None) is not None:
            self._database.fetch("delete from cf_agents_mcp_servers where id = ?", (server_id,))


def _read(options: str | None) -> dict[str, Any]:
    found: Any = json.loads(options) if options else {}
    return dict(found) if isinstance(found, Mapping) else {}
