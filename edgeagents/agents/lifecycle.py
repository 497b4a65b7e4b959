"""An agent's life: what happens, in which order, when it wakes, is asked, connected to, spoken to and left.

The order is the protocol: clients rely on the identity coming before the state, and on both coming before whatever
``on_connect`` sends. The parts that do the work are handed in as capabilities and hooks; the frames are ``protocol``'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from edgeagents.agents import protocol
from edgeagents.agents.capability import Capability, CapabilityHost, places_of_hooks
from edgeagents.agents.closed_socket import closed_socket, failed_session
from edgeagents.agents.connections import Connection, ConnectionContext, prepare_tags
from edgeagents.agents.context import CurrentAgent, carry, current_agent
from edgeagents.agents.hooks import Hooks
from edgeagents.agents.kebab import kebab_case
from edgeagents.agents.mcp_frame import McpServers
from edgeagents.agents.state import SyncedState
from edgeagents.agents.waking import is_waking
from edgeagents.errors import AgentError, HttpError, JsonTooDeep, TooManySockets, WebSocketError
from edgeagents.http import Identity, Request, Response
from edgeagents.objects.ids import nanoid
from edgeagents.objects.websocket import WebSocket, web_socket_pair
from edgeagents.own_errors import as_raised

__all__ = ["Lifecycle"]

_TRANSPORT_PARAMETER = "__agents_transport"


class Lifecycle:
    """Runs the events of one agent through its capabilities and hooks, with ``get_current_agent`` filled in."""

    def __init__(
        self,
        host: CapabilityHost,
        *,
        hooks: Hooks,
        state: SyncedState,
        mcp_servers: McpServers,
        capabilities: Sequence[Capability],
        current: Callable[..., CurrentAgent],
    ) -> None:
        self._host, self._hooks, self._state, self._mcp_servers = host, hooks, state, mcp_servers
        self._ctx, self._connections, self._logger = host.ctx, host.connections, host.ctx.logger
        self._json_depth = host.ctx.limits.json_depth
        self._current = current
        self._capabilities = capabilities
        # What the kinds of capabilities decide is found out once for all agents that have them.
        self._places = places = places_of_hooks(tuple(map(type, capabilities)))
        self._on_request = [capabilities[place].request for place in places["request"]]
        self._on_greet = [capabilities[place].greet for place in places["greet"]]
        self._on_connect = [capabilities[place].connect for place in places["connect"]]
        self._on_frame = [capabilities[place].frame for place in places["frame"]]
        self._on_message = [capabilities[place].message for place in places["message"]]
        self._on_close = [capabilities[place].close for place in places["close"]]

    async def start(self, props: Mapping[str, Any] | None) -> None:
        """Start the capabilities in order, then call ``on_start``."""
        if self._ctx.id.name is None:
            raise AgentError(
                f"{self._host.class_name} has no name. Reach an agent by its name: with get_agent_by_name(), "
                "get_by_name() or id_from_name(), not by a unique id or an id from a string."
            )
        token = current_agent.set(self._current())
        try:
            for place in self._places["start"]:
                await self._capabilities[place].start(props)
            try:
                await self._hooks.run("on_start", props)
            except Exception as error:
                await self._hooks.report(error)
        finally:
            current_agent.reset(token)

    async def request(self, request: Request) -> object:
        """Answer a request: by the first capability that does, else by ``on_request``."""
        current = self._current(request=request)
        token = current_agent.set(current)
        try:
            for hook in self._on_request:
                answer = await hook(request)
                if answer is not None:
                    return _carried(answer, current)
            if "on_request" not in self._hooks:
                return Response("Not implemented", status=404)
            try:
                return _carried(await self._hooks.run("on_request", request), current)
            except HttpError:
                raise  # An answer rather than a fault.
            except Exception as error:
                await self._hooks.report(error)
                return Response("Internal Server Error", status=500)
        finally:
            current_agent.reset(token)

    async def connect(self, request: Request) -> Response:
        """Answer the handshake of a WebSocket with a connection of this agent."""
        query = request.query
        if query.get(_TRANSPORT_PARAMETER) == "capnweb":
            # A terminal code: the client would otherwise come back for ever.
            return closed_socket(1008, "The capnweb transport is not supported")
        client, server = web_socket_pair()
        server.identity = request.identity
        chosen = query.get("_pk")
        connection: Connection[Any] = Connection(server, chosen or nanoid(self._ctx.rng), request.url)
        if chosen and request.identity is not None and self._is_anothers(chosen, request.identity):
            return closed_socket(1008, "This connection id is another client's")
        context = ConnectionContext(request)
        token = current_agent.set(self._current(connection=connection, request=request))
        try:
            given = await self._settle(connection, context)
            protocol_name = await self._subprotocol(request)
            client.protocol = server.protocol = protocol_name or ""
            if connection.is_protocol_enabled:
                # Looked at first: that may seed the state, which is then sent to all who are connected.
                state = self._state.to_frame()
                self._connections.accept(connection, given)
                if is_waking(request):
                    # As with the TypeScript SDK, where a client is connected before the sub-agent starts, and hears
                    # of its MCP servers because it starts.
                    connection.send(self._mcp_servers.frame)
                for hook in self._on_greet:
                    await hook(connection, request)
                self._greet(connection, state)
            else:
                self._connections.accept(connection, given)
            self._host.emit("connect", connection_id=connection.id)
            for hook in self._on_connect:
                await hook(connection, request)
            try:
                await self._hooks.run("on_connect", connection, context)
            except Exception as error:
                await self._hooks.report(error, connection)
        except Exception as error:
            self._logger.error("%s: a client could not connect", self._host.title, exc_info=as_raised(error))
            return self._refuse(connection, error)
        finally:
            current_agent.reset(token)
        headers = {"sec-websocket-protocol": protocol_name} if protocol_name else None
        return Response(status=101, websocket=client, headers=headers)

    async def message(self, socket: WebSocket, message: str | bytes) -> None:
        """Give a message to the first capability that takes it, else to ``on_message``. The socket outlives errors."""
        connection = self._connections.of(socket)
        if connection is None:
            return
        current = connection.current
        if current is None:
            current = connection.current = self._current(connection=connection)
        token = current_agent.set(current)
        try:
            frame = protocol.decode(message, self._json_depth) if isinstance(message, str) else None
            if frame is not None:
                for hook in self._on_frame:
                    if await hook(connection, frame):
                        return
            for hook in self._on_message:
                if await hook(connection, message):
                    return
            await self._hooks.run("on_message", connection, message)
        except JsonTooDeep as error:
            self._logger.warning("A message from %r is refused: %s", connection, error)
            connection.close(1009, str(error))
        except Exception as error:
            await self._report(error, connection, "a message from %r could not be handled")
        finally:
            current_agent.reset(token)

    async def close(self, socket: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        """Tell that a connection was closed, and close our side with the same code."""
        connection = self._connections.of(socket)
        if connection is None:
            return
        token = current_agent.set(self._current(connection=connection))
        try:
            for hook in self._on_close:
                await hook(connection, code, reason, was_clean)
            await self._hooks.run("on_close", connection, code, reason, was_clean)
            self._host.emit("disconnect", connection_id=connection.id, code=code, reason=reason)
        except Exception as error:
            await self._report(error, connection, "on_close() failed for %r")
        finally:
            current_agent.reset(token)
            self._connections.forget(connection)
            try:
                socket.close(code, reason)
            except (ValueError, WebSocketError):
                # 1005, 1006 and 1015 tell of a peer that sent no close frame: there is nobody to answer.
                pass

    async def error(self, socket: WebSocket, error: BaseException) -> None:
        """Tell that a connection broke, unless it was closing anyway."""
        connection = self._connections.of(socket)
        if connection is None or connection.ready_state >= WebSocket.CLOSING:
            return
        token = current_agent.set(self._current(connection=connection))
        try:
            broken = error if isinstance(error, Exception) else WebSocketError(f"The connection broke: {error!r}")
            await self._report(broken, connection, "the connection %r broke")
        finally:
            current_agent.reset(token)

    async def alarm(self) -> None:
        """Run the jobs that are due, then ``on_alarm``. An error of that makes the alarm be tried again."""
        token = current_agent.set(self._current())
        try:
            await self._host.jobs.run_due()
            if self._host.jobs.is_closed:
                return  # One of them has destroyed the agent.
            for place in self._places["alarm"]:
                await self._capabilities[place].alarm()
            try:
                await self._hooks.run("on_alarm")
            except Exception:
                self._host.jobs.own_alarm_failed()
                raise
        finally:
            current_agent.reset(token)

    async def dispose(self) -> None:
        """Let go of everything that outlives storage: connections last, so that capabilities can still say goodbye."""
        for place in reversed(self._places["dispose"]):
            await self._capabilities[place].dispose()
        self._connections.close_all(1001, "Durable Object destroyed")

    def _is_anothers(self, id: str, identity: Identity) -> bool:
        """Whether somebody else is connected under an id that a client chose."""
        others = (each.identity for each in self._connections.with_id(id))
        return any(other is None or other.subject != identity.subject for other in others)

    async def _settle(self, connection: Connection[Any], context: ConnectionContext) -> Sequence[str]:
        """Settle who the connection is and what it may do. Returns the tags that the program gives it."""
        # All of this before the connection is accepted: once it is, a broadcast would reach it, and nothing may come
        # before its identity frame.
        tags = await self._hooks.run("get_connection_tags", connection, context)
        tags = tags if isinstance(tags, str) else tuple(tags or ())
        connection.tags = prepare_tags(connection.id, tags)
        if await self._hooks.run("should_connection_be_readonly", connection, context):
            connection.set_readonly()
        if "should_send_protocol_messages" in self._hooks and not await self._hooks.run(
            "should_send_protocol_messages", connection, context
        ):
            connection.disable_protocol()
        return tags

    async def _subprotocol(self, request: Request) -> str | None:
        offered = request.subprotocols
        if not offered or "select_subprotocol" not in self._hooks:
            return None
        chosen = await self._hooks.run("select_subprotocol", offered, request)
        if chosen is not None and chosen not in offered:
            raise AgentError(f"select_subprotocol() chose {chosen!r}, but the client offers only {', '.join(offered)}.")
        return chosen

    def _greet(self, connection: Connection[Any], state: str | None) -> None:
        if self._host.options.send_identity_on_connect:
            agent = kebab_case(self._host.class_name)
            connection.send(protocol.identity_frame(self._host.name, agent, state_follows=state is not None))
        if state is not None:
            connection.send(state)
        connection.send(self._mcp_servers.frame)

    def _refuse(self, connection: Connection[Any], error: Exception) -> Response:
        # What the client has been sent so far must not reach it: it gets a socket that holds the error alone. Without
        # its attachment the first socket is no connection any more, so nobody hears of its end.
        self._connections.forget(connection)
        connection.socket.serialize_attachment(None)
        connection.close(1011)
        if isinstance(error, TooManySockets):
            return closed_socket(1013, str(error))
        return failed_session(error, debug=self._ctx.debug)

    async def _report(self, error: Exception, connection: Connection[Any], text: str) -> None:
        try:
            await self._hooks.report(error, connection)
        except Exception as left:
            self._logger.error(f"%s: {text}", self._host.title, connection, exc_info=as_raised(left))


def _carried(answer: Any, current: CurrentAgent) -> Any:
    """Return a handler's answer such that a body that is still to be made is made as ``current``."""
    if isinstance(answer, Response):
        answer.map_body(partial(carry, current=current))
        return answer
    if isinstance(answer, AsyncIterable):
        return carry(aiter(answer), current)
    if isinstance(answer, Iterator):
        return carry(answer, current)
    if callable(answer) and not isinstance(answer, type):
        return _app_as(answer, current)
    return answer


def _app_as(app: Callable[..., Any], current: CurrentAgent) -> Callable[..., Any]:
    """Return an ASGI app, which is called later and in a task of its own, such that it runs as ``current``."""

    @wraps(app)
    async def call(*args: Any) -> None:
        token = current_agent.set(current)
        try:
            await app(*args)
        finally:
            current_agent.reset(token)

    return call
