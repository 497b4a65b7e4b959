"""The connection to one MCP server: its state, what the server offers, and calls to it.

States: ``connecting``, then ``connected``, ``discovering`` and ``ready``; ``authenticating`` where its user has to
authorize the agent; ``failed``. What a server offers stays known when its session has ended for want of use: the next
call opens another.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    METHOD_NOT_FOUND,
    Implementation,
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from edgeagents_mcp.errors import McpServerError, error_text
from edgeagents_mcp.guarded_http import http_client
from edgeagents_mcp.open_session import OpenSession
from edgeagents_mcp.waiting import within

if TYPE_CHECKING:
    from mcp.client.session import IncomingMessage

    from edgeagents.agents.capability import Emit
    from edgeagents.objects import ObjectContext
    from edgeagents_mcp.oauth import AgentOAuthProvider
    from edgeagents_mcp.server_table import ServerRow

__all__ = ["Elicit", "ServerConnection", "State"]

State = Literal["authenticating", "connecting", "connected", "discovering", "ready", "failed"]
Elicit = Callable[[str, Any], Awaitable[Any]]
"""Asks the user for a server: gets the server's id and the request's parameters."""

T = TypeVar("T")

_log = logging.getLogger("edgeagents.mcp")

DISCOVERY_SECONDS: Final = 15.0
IDLE_SECONDS: Final = 60.0
REQUEST_SECONDS: Final = 60.0
_CHANGED: Final = {
    ToolListChangedNotification: "tools",
    PromptListChangedNotification: "prompts",
    ResourceListChangedNotification: "resources",
}


class ServerConnection:
    """One server of an agent. ``changed`` is called with it at every change of the state or of what is offered."""

    def __init__(
        self,
        row: ServerRow,
        ctx: ObjectContext,
        *,
        client_info: Mapping[str, str],
        provider: AgentOAuthProvider | None,
        elicit: Elicit,
        can_elicit: Callable[[], bool],
        emit: Emit,
        changed: Callable[[ServerConnection], object],
    ) -> None:
        self.row, self.provider = row, provider
        self.state: State = "connecting"
        self.error: str | None = None
        self.instructions: str | None = None
        self.capabilities: dict[str, Any] | None = None
        self.offered: dict[str, list[dict[str, Any]]] = {
            "tools": [],
            "prompts": [],
            "resources": [],
            "resource_templates": [],
        }
        self._ctx, self._info, self._emit, self._changed = ctx, client_info, emit, changed
        self._elicit, self._can_elicit = elicit, can_elicit
        self._kind: Literal["streamable-http", "sse"] = "streamable-http"
        self._last_status: int | None = None
        self._session = OpenSession(ctx, self._connect, IDLE_SECONDS, self._closed)

    @property
    def transport(self) -> dict[str, Any]:
        """How the server is spoken to."""
        return self.row.options.get("transport") or {}

    # The state machine

    def move(self, state: State, error: str | None = None) -> None:
        """Be in another state, and tell if it is another."""
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            self._changed(self)

    async def connect(self) -> None:
        """Open a session anew: ``connected``, ``authenticating`` or ``failed`` afterwards."""
        await self._session.close()
        self.move("connecting")
        wanted = self.transport.get("type") or "auto"
        for kind in ("streamable-http", "sse") if wanted == "auto" else (wanted,):
            self._kind = kind
            try:
                async with self._session.use() as client:
                    self._note(client)
            except Exception as error:
                if self._needs_authorization():
                    self.move("authenticating")
                    return
                if kind == "streamable-http" and wanted == "auto" and self._last_status in (404, 405):
                    continue
                text = error_text(error)
                self._emit("mcp:client:connect", url=self.row.server_url, transport=wanted, state="failed", error=text)
                self.move("failed", text)
                return
            self._emit("mcp:client:connect", url=self.row.server_url, transport=kind, state="connected")
            self.move("connected")
            return

    async def discover(self, seconds: float = DISCOVERY_SECONDS) -> str | None:
        """Ask what the server offers. Return what went wrong, or None when it is ``ready``."""
        if self.state not in ("connected", "ready"):
            self._emit("mcp:client:discover", url=self.row.server_url, state=self.state)
            return f"Discovery skipped - connection in {self.state} state"
        self.move("discovering")
        try:
            await within(self._ctx.clock, seconds, self._discover())
        except TimeoutError:
            error = f"Discovery timed out after {seconds * 1000:g}ms"
        except Exception as failure:
            error = error_text(failure)
        else:
            self._emit("mcp:client:discover", url=self.row.server_url)
            self.move("ready")
            return None
        self._emit("mcp:client:discover", url=self.row.server_url, error=error)
        # A session that could not be asked is still one; the user may try again.
        self.move("authenticating" if self._needs_authorization() else "connected", error)
        return error

    async def close(self) -> None:
        """End the session."""
        await self._session.close()

    # Calls

    async def call(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """Ask the server something, in the session that is open or in a new one.

        A session that the server does not know any more is replaced once: what it refused, it did not do.
        """
        if self.state in ("authenticating", "failed"):
            raise McpServerError(
                f"MCP server {self.row.name!r} is {self.state}{f': {self.error}' if self.error else ''}.", self.row.id
            )
        try:
            return await self._call(ask)
        except MCPError:
            if self._last_status != 404:
                raise
            await self._session.close()
            return await self._call(ask)

    async def _call(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        try:
            async with self._session.use() as client:
                return await ask(client)
        except Exception as error:
            if self._needs_authorization() and self.state != "authenticating":
                self.move("authenticating")
            if isinstance(error, ExceptionGroup):
                # The package asks the user in tasks of its own. What went wrong there is not how many it were.
                raise McpServerError(error_text(error), self.row.id) from error
            raise

    # The session

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Client]:
        if self.provider is not None:
            self.provider.auth_url = None
        self._last_status = None
        async with self._transport() as streams, self._client(streams) as client, anyio.create_task_group() as tasks:
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                tasks.start_soon(self._listen, client)
            yield client
            tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _transport(self) -> AsyncGenerator[AbstractAsyncContextManager[Any]]:
        headers = dict(self.transport.get("headers") or {}) or None
        auth = None if self.provider is None else self.provider.auth()
        if self._kind == "sse":
            yield sse_client(self.row.server_url, headers=headers, httpx_client_factory=self.http, auth=auth)
            return
        async with self.http(headers=headers, auth=auth) as http:
            yield streamable_http_client(self.row.server_url, http_client=http)

    def http(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        """Make a client that may go where this server is, and wherever its OAuth leads."""
        allow = bool(self.row.options.get("allow_private_network"))
        client = http_client(headers=headers, timeout=timeout, auth=auth, allow_private=allow)
        client.event_hooks["response"].append(self._note_status)
        return client

    async def _note_status(self, response: httpx2.Response) -> None:
        if str(response.request.url).partition("?")[0] == self.row.server_url.partition("?")[0]:
            self._last_status = response.status_code

    def _client(self, transport: AbstractAsyncContextManager[Any]) -> Client:
        options = dict(self.row.options.get("client") or {})
        options.setdefault("read_timeout_seconds", REQUEST_SECONDS)
        info = Implementation.model_validate(options.pop("client_info", None) or self._info)
        return Client(
            transport,
            client_info=info,
            elicitation_callback=self._ask_user if self._can_elicit() else None,
            message_handler=self._hear,
            **options,
        )

    def _note(self, client: Client) -> None:
        self.instructions = client.instructions
        self.capabilities = client.server_capabilities.model_dump(mode="json", by_alias=True, exclude_none=True)

    def _closed(self, failure: Exception | None) -> None:
        details = {"state": "closed"} if failure is None else {"state": "error", "error": error_text(failure)}
        self._emit("mcp:client:close", url=self.row.server_url, transport=self._kind, **details)

    def _needs_authorization(self) -> bool:
        return self._last_status == 401 or (self.provider is not None and self.provider.auth_url is not None)

    async def _ask_user(self, context: Any, params: Any) -> Any:
        return await self._elicit(self.row.id, params)

    # What is offered

    async def _discover(self) -> None:
        async with self._session.use() as client:
            self._note(client)
            for kind in self.offered:
                self.offered[kind] = await self._list(client, kind)

    async def _list(self, client: Client, kind: str) -> list[dict[str, Any]]:
        capabilities = client.server_capabilities
        if getattr(capabilities, "resources" if kind == "resource_templates" else kind) is None:
            return []
        ask = getattr(client, f"list_{kind}")
        found: list[Any] = []
        cursor: str | None = None
        try:
            while True:
                page = await ask(cursor=cursor, cache_mode="bypass")
                found += getattr(page, kind)
                cursor = page.next_cursor
                if cursor is None:
                    break
        except MCPError as error:
            # Some servers say that they have resources and do not know of templates.
            if error.code != METHOD_NOT_FOUND:
                raise
            self._emit("mcp:client:discover", url=self.row.server_url, capability=kind, error=error.message)
        return [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in found]

    async def _hear(self, message: IncomingMessage) -> None:
        kind = _CHANGED.get(type(message))  # pyright: ignore[reportArgumentType]
        if kind is not None:
            # Not here: the answer would come the way that waits for this to end.
            self._ctx.wait_until(self._renew(kind))

    async def _listen(self, client: Client) -> None:
        """Hear of changes from a server of 2026-07-28 and later, where one has to ask for that."""
        capabilities = client.server_capabilities
        wanted: dict[str, Any] = {
            f"{kind}_list_changed": True
            for kind in ("tools", "prompts", "resources")
            if getattr(getattr(capabilities, kind), "list_changed", None)
        }
        if not wanted:
            return
        try:
            async with client.listen(**wanted) as changes:
                async for change in changes:
                    kind = type(change).__name__.removesuffix("ListChanged").lower()
                    if kind in self.offered:
                        await self._renew(kind)
        except Exception as error:
            # Without it the connection is as good, but for hearing of changes.
            _log.debug("%s does not tell of changes: %s", self.row.server_url, error_text(error))

    async def _renew(self, kind: str) -> None:
        try:
            async with self._session.use() as client:
                self.offered[kind] = await self._list(client, kind)
                if kind == "resources":
                    self.offered["resource_templates"] = await self._list(client, "resource_templates")
        except Exception as error:
            _log.warning("The %s of %s could not be listed again: %s", kind, self.row.server_url, error_text(error))
            return
        self._changed(self)
