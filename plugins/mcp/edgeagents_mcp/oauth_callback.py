"""The user's browser comes back from authorizing the agent: who came, what it brings, and where it goes next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from edgeagents.http import Request, Response
from edgeagents_mcp.errors import error_text

if TYPE_CHECKING:
    from edgeagents_mcp.connection import ServerConnection
    from edgeagents_mcp.server_table import ServerTable

__all__ = ["OAuthCallback", "OAuthResult"]

_log = logging.getLogger("edgeagents.mcp")


@dataclass(frozen=True, slots=True)
class OAuthResult:
    """How an authorization ended. ``error`` may hold text of a stranger: escape it where it is shown."""

    server_id: str
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the agent was authorized."""
        return self.error is None


class OAuthCallback:
    """Takes the callbacks of one agent. ``forget`` is called with a connection whose ``auth_url`` is used up."""

    def __init__(
        self,
        table: ServerTable,
        connections: Mapping[str, ServerConnection],
        forget: Callable[[ServerConnection], object],
    ) -> None:
        self._table, self._connections, self._forget = table, connections, forget
        self.success_redirect: str | None = None
        self.error_redirect: str | None = None
        self.custom_handler: Callable[[OAuthResult], Any] | None = None

    def claims(self, request: Request) -> bool:
        """Return whether a request is the callback of a flow that was begun here: its URL is the one registered."""
        if request.method != "GET":
            return False
        parts = (request.query.get("state") or "").split(".")
        row = self._table.rows.get(parts[1]) if len(parts) == 2 else None
        if row is None or not row.callback_url:
            return False
        came, registered = urlsplit(request.url), urlsplit(row.callback_url)
        return came[:3] == registered[:3]

    async def take(self, request: Request) -> OAuthResult:
        """Finish the flow. Only a callback whose state was given out changes anything: anybody can make one up."""
        query = request.query
        state = query["state"]
        server_id = state.split(".")[1]
        connection = self._connections.get(server_id)
        if connection is None:
            return OAuthResult(server_id, f'No connection found for serverId "{server_id}".')
        provider = connection.provider
        if provider is None:
            return OAuthResult(server_id, "This server is connected to without an OAuth provider.")
        wrong = await provider.check_state(state)
        if connection.state in ("ready", "connected", "connecting", "discovering"):
            # A second window comes back after the first. Its state is used up too.
            if wrong is None:
                await provider.consume_state(state)
            self._forget(connection)
            return OAuthResult(server_id)
        if wrong is not None:
            _log.warning("An OAuth callback for the MCP server %r was ignored: %s", server_id, wrong)
            return OAuthResult(server_id, query.get("error_description") or query.get("error") or wrong)
        try:
            if not query.get("code") and not query.get("error"):
                raise ValueError("Unauthorized: no code provided")
            connection.move("connecting")
            await provider.consume_state(state)
            async with connection.http() as http:
                await provider.complete({key: query[key] for key in query}, http)
        except Exception as error:
            self._forget(connection)
            connection.move("failed", error_text(error))
            return OAuthResult(server_id, error_text(error))
        self._forget(connection)
        return OAuthResult(server_id)

    def redirect(self, result: OAuthResult, request: Request) -> Response:
        """Send the browser to where it was said that it goes, else to the root of the callback's host."""
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}/"
        chosen = self.success_redirect if result.ok else self.error_redirect
        if not chosen:
            return Response.redirect(origin)
        target = urlsplit(urljoin(origin, chosen))
        if not result.ok:
            query = [pair for pair in parse_qsl(target.query, keep_blank_values=True) if pair[0] != "error"]
            target = target._replace(query=urlencode([*query, ("error", result.error or "")]))
        return Response.redirect(urlunsplit(target))
