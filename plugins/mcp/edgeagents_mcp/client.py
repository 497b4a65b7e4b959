"""The part of every agent that uses MCP servers: which there are, their tools, and what clients are told of them.

An agent that never added a server has nothing of this but one look for a table when it wakes. Servers that were added
are connected to again, in the background, each time the agent wakes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from edgeagents.agents import Capability, CapabilityHost, get_current_agent, kebab_case, of_part
from edgeagents.agents.retries import RetryOptions, try_up_to
from edgeagents.http import Request, Response, to_response
from edgeagents.models import Tool, tool
from edgeagents.objects import nanoid
from edgeagents_mcp.addresses import check_url
from edgeagents_mcp.elicitation import ANSWER_SECONDS, Elicitation, ElicitationHandler
from edgeagents_mcp.errors import McpServerError, error_text
from edgeagents_mcp.oauth_callback import OAuthCallback, OAuthResult
from edgeagents_mcp.server_options import check_options, normal_url, normalize_server_id
from edgeagents_mcp.server_table import ServerRow, ServerTable
from edgeagents_mcp.waiting import within

if TYPE_CHECKING:
    from mcp_types import CallToolResult, GetPromptResult, ReadResourceResult

    from edgeagents_mcp.connection import ServerConnection
    from edgeagents_mcp.oauth import AgentOAuthProvider

__all__ = ["McpClient"]

_log = logging.getLogger("edgeagents.mcp")

_CONNECT_RETRY: Final = RetryOptions(3, 500, 5000)
_RESTORE_SECONDS: Final = 10.0
_LONGEST_ERROR: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Filter = str | Iterable[str] | None


class McpClient(Capability):
    """``agent.mcp``: the MCP servers of one agent."""

    name = "mcp"
    exports = ("add_mcp_server", "create_mcp_oauth_provider", "get_mcp_servers", "remove_mcp_server")

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        self._ctx = host.ctx
        self._table = ServerTable(host.ctx.storage.database)
        self._connections: dict[str, ServerConnection] = {}
        self._pending: dict[str, asyncio.Event] = {}
        self._oauth_callback = OAuthCallback(self._table, self._connections, self._forget_auth_url)
        self._elicitation = Elicitation(host, self._table)

    # Hooks

    async def start(self, props: Mapping[str, Any] | None) -> None:
        """Begin to connect to the servers that are known."""
        self._table.load()
        for row in list(self._table.rows.values()):
            connection = self._connection(row)
            if row.auth_url:
                connection.state = "authenticating"
            else:
                self._in_background(row.id, self._restore(connection))
        if self._table.rows:
            self._tell()

    async def request(self, request: Request) -> Response | None:
        """Take the callback of an OAuth flow that was begun here."""
        if not self._table.rows or not self._oauth_callback.claims(request):
            return None
        result = await self._oauth_callback.take(request)
        if result.ok and (connection := self._connections.get(result.server_id)) is not None:
            self._in_background(connection.row.id, self._restore(connection))
        if (handler := self._oauth_callback.custom_handler) is not None:
            return to_response(await self._ctx.invoke(handler, result))
        return self._oauth_callback.redirect(result, request)

    async def tools_again(self, names: Collection[str]) -> Mapping[str, Tool]:
        """Return the tools of a turn that goes on after a restart, once the servers are connected to again."""
        await self.wait_for_connections(_RESTORE_SECONDS)
        there = self.get_ai_tools()
        return {name: there[name] for name in names if name in there}

    async def dispose(self) -> None:
        """End all sessions."""
        await self.close_all_connections()

    # Servers

    async def add_mcp_server(
        self,
        name: str,
        url: str,
        *,
        id: str | None = None,
        callback_host: str | None = None,
        callback_path: str | None = None,
        agents_prefix: str = "agents",
        transport: Mapping[str, Any] | None = None,
        client: Mapping[str, Any] | None = None,
        retry: Mapping[str, Any] | None = None,
        allow_private_network: bool = False,
    ) -> dict[str, str]:
        """Connect to a server and remember it: ``{"id", "state": "ready"}``.

        Where the server wants its user to agree first: ``{"id", "state": "authenticating", "auth_url"}``; the server
        is ready once the user has been at that URL. The same ``name`` and ``url`` are one server, however often it is
        added. ``transport`` has ``type`` (``auto``, ``streamable-http`` or ``sse``) and ``headers``; ``client`` what
        the official package's client is to know; ``retry`` says how often a restored connection is tried
        (``max_attempts``, ``base_delay_ms``, ``max_delay_ms``). ``callback_host`` is this server's own origin, where
        it is not that of the request or connection that this is called in. Raises ``BlockedUrl`` for an address in a
        private network, unless ``allow_private_network``, and ``McpServerError`` when connecting fails; the server
        is remembered then too.
        """
        transport, client = dict(transport or {}), dict(client or {})
        check_options(transport, client)
        retries = RetryOptions.of(retry)
        retries.check(_CONNECT_RETRY)
        server_url = normal_url(url)
        wanted_id = None if id is None else normalize_server_id(id)
        row = await self._known_row(name, server_url, wanted_id)
        connection = None if row is None else self._connections.get(row.id)
        if connection is not None:
            return await self._added_already(connection)
        callback_url = self._callback_url(callback_host, callback_path, agents_prefix)
        if not allow_private_network:
            await check_url(server_url)
        options: dict[str, Any] = {"transport": transport, "client": client, "retry": asdict(retries)}
        if allow_private_network:
            options["allow_private_network"] = True
        options["capabilities"] = self._elicitation.capabilities
        row = ServerRow(
            wanted_id or (row.id if row is not None else nanoid(self._ctx.rng, 8)),
            name,
            server_url,
            callback_url or "",
            row.client_id if row is not None else None,
            options=options,
        )
        self._table.save(row)
        connection = self._connection(row)
        self._tell()
        return await self._connect_and_discover(connection)

    async def remove_mcp_server(self, id: str) -> None:
        """Forget a server: end its session, and delete what is kept of it, tokens included."""
        connection = self._connections.get(id)
        provider = None if connection is None else connection.provider
        await self.close_connection(id)
        if provider is not None:
            try:
                await provider.clear()
            except Exception as error:
                _log.warning("The credentials of the MCP server %r could not be deleted: %s", id, error_text(error))
        self._table.remove(id)
        self._tell()

    def get_mcp_servers(self) -> dict[str, Any]:
        """Return what clients are told: ``servers`` by id, ``tools``, ``prompts`` and ``resources``."""
        return {
            "prompts": self.list_prompts(),
            "resources": self.list_resources(),
            "servers": {row.id: self._describe(row) for row in self._table.rows.values()},
            "tools": self.list_tools(),
        }

    def create_mcp_oauth_provider(self, callback_url: str) -> AgentOAuthProvider:
        """Make the OAuth client for a server. A class of agents may define it to use clients registered by hand."""
        from edgeagents_mcp.oauth import AgentOAuthProvider

        return AgentOAuthProvider(self._ctx, self.host.name, callback_url)

    # One connection

    async def connect_to_server(self, id: str) -> dict[str, str]:
        """Connect to a server that is known: ``{"state": "connected"}``, ``"authenticating"`` or ``"failed"``."""
        connection = self._connections.get(id)
        if connection is None:
            if (row := self._table.rows.get(id)) is None:
                raise McpServerError(f"Server {id} is not registered. Call add_mcp_server() first.", id)
            connection = self._connection(row)
        await connection.connect()
        if connection.state == "authenticating":
            auth_url = None if connection.provider is None else connection.provider.auth_url
            if auth_url is None:
                return {"state": "failed", "error": "OAuth configuration incomplete: missing auth_url"}
            return {"state": "authenticating", "auth_url": auth_url}
        if connection.state == "failed":
            return {"state": "failed", "error": connection.error or "Unknown connection error"}
        return {"state": connection.state}

    async def discover_if_connected(self, id: str, *, timeout: float = 15.0) -> str | None:
        """Ask a server anew what it offers. Return what went wrong, or None."""
        connection = self._connections.get(id)
        if connection is None:
            self.host.emit("mcp:client:discover")
            return "connection not found"
        return await connection.discover(timeout)

    async def close_connection(self, id: str) -> None:
        """End a connection. The server stays known, and is connected to when the agent wakes the next time."""
        self._pending.pop(id, None)
        connection = self._connections.pop(id, None)
        if connection is not None:
            await connection.close()

    async def close_all_connections(self) -> None:
        """End all connections."""
        for server_id in list(self._connections):
            await self.close_connection(server_id)

    async def wait_for_connections(self, timeout: float | None = None) -> None:
        """Return when no connection is being made any more, or after ``timeout`` seconds. Never raises."""
        if not self._pending or (timeout is not None and timeout <= 0):
            return

        async def settled() -> None:
            while self._pending:
                for waiting in list(self._pending.values()):
                    await waiting.wait()

        if timeout is None:
            await settled()
            return
        try:
            await within(self._ctx.clock, timeout, settled())
        except TimeoutError:
            pass

    # What servers offer

    def list_servers(self) -> list[dict[str, Any]]:
        """Return the servers that are known."""
        return [
            {"id": row.id, "name": row.name, "server_url": row.server_url, "auth_url": row.auth_url}
            for row in self._table.rows.values()
        ]

    def list_tools(self, *, server_id: Filter = None, server_name: Filter = None, state: Filter = None) -> list[Any]:
        """Return the tools of the servers, each with ``serverId``. Filters take one value or several."""
        return self._offered("tools", server_id, server_name, state)

    def list_prompts(self, *, server_id: Filter = None, server_name: Filter = None, state: Filter = None) -> list[Any]:
        """Return the prompts of the servers."""
        return self._offered("prompts", server_id, server_name, state)

    def list_resources(
        self, *, server_id: Filter = None, server_name: Filter = None, state: Filter = None
    ) -> list[Any]:
        """Return the resources of the servers."""
        return self._offered("resources", server_id, server_name, state)

    def list_resource_templates(
        self, *, server_id: Filter = None, server_name: Filter = None, state: Filter = None
    ) -> list[Any]:
        """Return the resource templates of the servers."""
        return self._offered("resource_templates", server_id, server_name, state)

    def get_ai_tools(
        self, *, server_id: Filter = None, server_name: Filter = None, state: Filter = None
    ) -> dict[str, Tool]:
        """Return the servers' tools for ``stream_text(tools=...)``, as ``tool_{server id without "-"}_{name}``.

        A tool that fails raises with the text that its server gave.
        """
        found: dict[str, Tool] = {}
        for connection in self._matching(server_id, server_name, state):
            if connection.state not in ("ready", "authenticating"):
                _log.warning(
                    "The tools of the MCP server %r may not be there yet: it is %s. Wait with wait_for_connections().",
                    connection.row.name,
                    connection.state,
                )
            for offered in connection.offered["tools"]:
                key = f"tool_{connection.row.id.replace('-', '')}_{offered['name']}"
                found[key] = tool(
                    of_part(self._runner(connection, offered["name"]), self.name, key),
                    name=key,
                    description=offered.get("description") or offered.get("title") or "",
                    input_schema=offered.get("inputSchema") or {"type": "object"},
                )
        return found

    async def call_tool(self, server_id: str, name: str, arguments: Mapping[str, Any] | None = None) -> CallToolResult:
        """Call a tool and return the official package's result, which says whether it ``is_error``."""
        plain = name.removeprefix(f"{server_id}.")
        return await self._connected(server_id).call(lambda client: client.call_tool(plain, dict(arguments or {})))

    async def read_resource(self, server_id: str, uri: str) -> ReadResourceResult:
        """Read a resource."""
        return await self._connected(server_id).call(lambda client: client.read_resource(uri))

    async def get_prompt(
        self, server_id: str, name: str, arguments: Mapping[str, str] | None = None
    ) -> GetPromptResult:
        """Get a prompt with its arguments filled in."""
        return await self._connected(server_id).call(lambda client: client.get_prompt(name, dict(arguments or {})))

    # Handlers

    def configure_elicitation_handlers(
        self,
        *,
        form: ElicitationHandler | None = None,
        url: ElicitationHandler | None = None,
        timeout: float | None = ANSWER_SECONDS,
    ) -> None:
        """Answer servers that ask the user something: ``handler(params, server_id)`` returns the answer.

        The answer is the official package's ``ElicitResult`` or a dict such as ``{"action": "accept", "content": {}}``.
        A handler that takes longer than ``timeout`` seconds is cancelled, and the server told that the user did not
        decide: ``{"action": "cancel"}``. A server that speaks an older protocol than 2026-07-28 asks within a call,
        which has to last as long: ``add_mcp_server(client={"read_timeout_seconds": ...})``. Servers are told that they
        may ask when they are connected to: configure it before, in ``on_start``.
        """
        self._elicitation.configure(form, url, timeout)

    def configure_oauth_callback(
        self,
        *,
        success_redirect: str | None = None,
        error_redirect: str | None = None,
        custom_handler: Callable[[OAuthResult], Any] | None = None,
    ) -> None:
        """Say where a user's browser goes after authorizing: by default to ``/`` of the callback's host.

        ``error_redirect`` gets ``?error=``. ``custom_handler(result)`` returns the answer instead.
        """
        callback = self._oauth_callback
        callback.success_redirect, callback.error_redirect = success_redirect, error_redirect
        callback.custom_handler = custom_handler

    # Adding

    async def _known_row(self, name: str, server_url: str, wanted_id: str | None) -> ServerRow | None:
        rows = self._table.rows
        row = next((each for each in rows.values() if (each.name, each.server_url) == (name, server_url)), None)
        if wanted_id is None:
            return row
        taken = rows.get(wanted_id)
        if taken is not None and taken is not row:
            raise McpServerError(
                f'MCP server id "{wanted_id}" is already in use by server "{taken.name}" ({taken.server_url}). '
                "Stable ids must be unique per (name, url).",
                wanted_id,
            )
        if row is not None and row.id != wanted_id:
            await self._rename(row, wanted_id)
        return row

    async def _rename(self, row: ServerRow, new_id: str) -> None:
        old_id = row.id
        if (pending := self._pending.get(old_id)) is not None:
            await pending.wait()
        storage = self._ctx.storage
        kept = await storage.list(prefix=f"/{self.host.name}/{old_id}/")
        if kept:
            start = len(f"/{self.host.name}/{old_id}/")
            await storage.put({f"/{self.host.name}/{new_id}/{key[start:]}": value for key, value in kept.items()})
            await storage.delete(list(kept))
        self._table.rename(row, new_id)
        if (connection := self._connections.pop(old_id, None)) is not None:
            self._connections[new_id] = connection
            if connection.provider is not None:
                connection.provider.bind(new_id, row.server_url, row.client_id)
        self._tell()

    async def _added_already(self, connection: ServerConnection) -> dict[str, str]:
        row = connection.row
        if connection.state == "failed":
            raise McpServerError(f'MCP server "{row.name}" is in failed state: {connection.error}', row.id)
        if connection.state != "authenticating":
            return {"id": row.id, "state": "ready"}
        auth_url = await self._redeemable(connection)
        if auth_url is not None:
            return {"id": row.id, "state": "authenticating", "auth_url": auth_url}
        return await self._connect_and_discover(connection)

    async def _redeemable(self, connection: ServerConnection) -> str | None:
        """Return where the user may still go to authorize, if the flow that was begun has not expired."""
        provider = connection.provider
        auth_url = (provider and provider.auth_url) or connection.row.auth_url
        if provider is None or not auth_url:
            return None
        state = Request(auth_url).query.get("state") or ""
        return auth_url if await provider.check_state(state) is None else None

    async def _connect_and_discover(self, connection: ServerConnection) -> dict[str, str]:
        row = connection.row
        result = await self.connect_to_server(row.id)
        if result["state"] == "failed":
            raise McpServerError(f"Failed to connect to MCP server at {row.server_url}: {result['error']}", row.id)
        if result["state"] == "authenticating":
            return {"id": row.id, **result}
        error = await self.discover_if_connected(row.id)
        if error is not None:
            raise McpServerError(f"Failed to discover MCP server capabilities: {error}", row.id)
        return {"id": row.id, "state": "ready"}

    def _callback_url(self, host: str | None, path: str | None, prefix: str) -> str | None:
        if host and not path and not self.host.options.send_identity_on_connect:
            raise McpServerError(
                "callback_path is required in add_mcp_server() when send_identity_on_connect is false: "
                "the default callback URL would expose the agent's name. "
                "Give a callback_path, and route requests to it to this agent with get_agent_by_name()."
            )
        if not host:
            current = get_current_agent()
            seen = current.request.url if current.request is not None else getattr(current.connection, "uri", None)
            if not seen:
                return None
            parts = urlsplit(seen)
            scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
            host = f"{scheme}://{parts.netloc}"
        host = host.removesuffix("/")
        if path:
            return f"{host}/{path.removeprefix('/')}"
        return f"{host}/{prefix}/{kebab_case(self.host.class_name)}/{self.host.name}/callback"

    # Connections

    def _connection(self, row: ServerRow) -> ServerConnection:
        from edgeagents_mcp.connection import ServerConnection

        provider: AgentOAuthProvider | None = None
        if row.callback_url:
            provider = cast("AgentOAuthProvider", self.host.find("create_mcp_oauth_provider")(row.callback_url))
            provider.bind(row.id, row.server_url, row.client_id)
        connection = self._connections[row.id] = ServerConnection(
            row,
            self._ctx,
            client_info={"name": self.host.class_name, "version": "0.0.1"},
            provider=provider,
            elicit=self._elicitation.ask,
            # A restored connection says that it can, as it did before, when the handlers come a moment later.
            can_elicit=lambda: bool(self._elicitation.capabilities or row.options.get("capabilities")),
            emit=self.host.emit,
            changed=self._changed,
        )
        return connection

    def _connected(self, server_id: str) -> ServerConnection:
        connection = self._connections.get(server_id)
        if connection is None:
            known = ", ".join(sorted(self._table.rows)) or "none"
            raise McpServerError(f"There is no connection to an MCP server {server_id!r}. Known: {known}.", server_id)
        return connection

    async def _restore(self, connection: ServerConnection) -> None:
        row = connection.row
        self.host.emit("mcp:client:preconnect", server_id=row.id)

        async def attempt(number: int) -> dict[str, str]:
            result = await self.connect_to_server(row.id)
            if result["state"] == "failed":
                raise McpServerError(result["error"], row.id)
            return result

        retry = RetryOptions.of(row.options.get("retry")).over(_CONNECT_RETRY)
        result = await try_up_to(attempt, retry, clock=self._ctx.clock, rng=self._ctx.rng)
        if result["state"] == "connected":
            await self.discover_if_connected(row.id)

    def _in_background(self, server_id: str, work: Awaitable[None]) -> None:
        done = asyncio.Event()
        self._pending[server_id] = done

        async def run() -> None:
            try:
                await work
            except Exception as error:
                _log.warning("The MCP server %r could not be connected to: %s", server_id, error_text(error))
            finally:
                done.set()
                if self._pending.get(server_id) is done:
                    del self._pending[server_id]

        # Not ``spawn``: it has to go on while the agent starts, where on_start() may wait for its servers.
        self._ctx.wait_until(run())

    def _changed(self, connection: ServerConnection) -> None:
        row, provider = connection.row, connection.provider
        if connection.state == "authenticating" and provider is not None and provider.auth_url:
            row.auth_url, row.client_id = provider.auth_url, provider.client_id
            self._table.save(row)
            self.host.emit("mcp:client:authorize", server_id=row.id, auth_url=row.auth_url, client_id=row.client_id)
        self._tell()

    def _forget_auth_url(self, connection: ServerConnection) -> None:
        if connection.row.auth_url is not None:
            connection.row.auth_url = None
            self._table.save(connection.row)
            self._tell()

    # Telling

    def _tell(self) -> None:
        self.host.set_mcp_servers(self.get_mcp_servers())

    def _describe(self, row: ServerRow) -> dict[str, Any]:
        connection = self._connections.get(row.id)
        if connection is None:
            state: str = "authenticating" if row.auth_url else "not-connected"
            known: dict[str, Any] = {"capabilities": None, "error": None, "instructions": None}
        else:
            state = connection.state
            known = {
                "capabilities": connection.capabilities,
                "error": _clean(connection.error),
                "instructions": connection.instructions,
            }
        return {"auth_url": row.auth_url, **known, "name": row.name, "server_url": row.server_url, "state": state}

    def _offered(self, kind: str, server_id: Filter, server_name: Filter, state: Filter) -> list[Any]:
        return [
            {**each, "serverId": connection.row.id}
            for connection in self._matching(server_id, server_name, state)
            for each in connection.offered[kind]
        ]

    def _matching(self, server_id: Filter, server_name: Filter, state: Filter) -> list[ServerConnection]:
        ids, names, states = _among(server_id), _among(server_name), _among(state)
        return [
            connection
            for connection in self._connections.values()
            if (ids is None or connection.row.id in ids)
            and (names is None or connection.row.name in names)
            and (states is None or connection.state in states)
        ]

    def _runner(self, connection: ServerConnection, name: str) -> Callable[..., Awaitable[Any]]:
        async def run(**arguments: Any) -> Any:
            result = await connection.call(lambda client: client.call_tool(name, arguments))
            if result.is_error:
                first: Any = result.content[0] if result.content else None
                raise McpServerError(getattr(first, "text", None) or "Tool call failed", connection.row.id)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)

        return run


def _among(given: Filter) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset((given,) if isinstance(given, str) else given)


def _clean(error: str | None) -> str | None:
    if error is None:
        return None
    error = _CONTROL.sub("", error)
    return f"{error[:_LONGEST_ERROR]}..." if len(error) > _LONGEST_ERROR else error
