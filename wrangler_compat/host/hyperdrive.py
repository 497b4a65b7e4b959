"""``Hyperdrive``: where a database is, and a socket to it."""

from __future__ import annotations

from typing import Any

from wrangler_compat.host.model.proxy import JsProxy
from wrangler_compat.host.web.sockets import Socket, connect

__all__ = ["Hyperdrive"]


class Hyperdrive(JsProxy):
    """A database: a connection string, its parts, and ``connect``."""

    def __init__(self, native: Any) -> None:
        self.connectionString = native.connection_string
        self.host, self.port = native.host, native.port
        self.user, self.password, self.database = native.user, native.password, native.database

    def connect(self) -> Socket:
        """Return a socket to the database. What it speaks is up to who uses it."""
        return connect(f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}")

    def _keys(self) -> list[str]:
        return []
