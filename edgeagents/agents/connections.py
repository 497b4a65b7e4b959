"""Connections: the sockets of an agent, each with an id, tags and a state of its own.

All that a connection knows is kept in its socket's attachment, so it is there again when the agent comes back to
memory. Which frames go out on it is not known here (``lifecycle``), nor how bytes get to the client (``objects``).
"""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from edgeagents.errors import AgentError, WebSocketError
from edgeagents.objects.websocket import WebSocket, as_frame

if TYPE_CHECKING:
    from edgeagents.agents.context import CurrentAgent
    from edgeagents.http import Identity, Request
    from edgeagents.objects.context import ObjectContext

__all__ = ["Connection", "ConnectionContext", "Connections", "prepare_tags"]

MAX_TAGS = 10
MAX_TAG_CHARACTERS = 256

StateT = TypeVar("StateT", default=Any)


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """What came with a new connection: ``request`` is the one that asked for the WebSocket."""

    request: Request


class Connection(Generic[StateT]):
    """A client's open socket.

    ``id`` is the client's own choice (``?_pk=``) or made up, so two connections can share one for a moment; never two
    of different identities. ``tags`` begin with it, but it is found by ``get_connection`` alone: what is meant for a
    tag does not go to a client that calls itself so. ``uri`` is the URL that the client connected to.
    """

    __slots__ = (
        "__weakref__",
        "_is_protocol_enabled",
        "_is_readonly",
        "_socket",
        "_state",
        "current",
        "id",
        "tags",
        "uri",
    )

    def __init__(self, socket: WebSocket, id: str, uri: str | None) -> None:
        self._socket = socket
        self.id = id
        self.uri = uri
        self.tags: tuple[str, ...] = (id,)
        self._state: Any = None
        self._is_readonly = False
        self._is_protocol_enabled = True
        self.current: CurrentAgent | None = None
        """What runs when a message of this client is handled; the same for all of them."""

    @classmethod
    def restore(cls, socket: WebSocket) -> Connection[Any] | None:
        """Return the connection that was kept in the attachment of ``socket``, or None when none was."""
        attachment = socket.deserialize_attachment()
        kept = attachment.get("__pk") if isinstance(attachment, dict) else None
        if not isinstance(kept, dict) or not isinstance(kept.get("id"), str):
            return None
        connection: Connection[Any] = cls(socket, kept["id"], kept.get("uri"))
        connection.tags = tuple(kept.get("tags") or (connection.id,))
        connection._state = attachment.get("__user")
        flags = attachment.get("__flags") or {}
        connection._is_readonly = bool(flags.get("readonly"))
        connection._is_protocol_enabled = not flags.get("no_protocol")
        return connection

    def keep(self) -> None:
        """Write down everything that must outlive the agent's memory."""
        self._write(self._state, is_readonly=self._is_readonly)

    def _write(self, state: Any, *, is_readonly: bool) -> None:
        attachment: dict[str, Any] = {
            "__pk": {"id": self.id, "tags": list(self.tags), "uri": self.uri},
            "__user": state,
        }
        if is_readonly or not self._is_protocol_enabled:
            attachment["__flags"] = {"readonly": is_readonly, "no_protocol": not self._is_protocol_enabled}
        self._socket.serialize_attachment(attachment)

    @property
    def state(self) -> StateT:
        """This connection's own state, None at first. Replace it with ``set_state``, do not change it in place."""
        return self._state

    def set_state(self, state: StateT | Callable[[StateT], StateT] | None) -> StateT:
        """Replace the connection's state, by a value or by what a function makes of the old one; return the new one.

        It is kept while the agent is out of memory. At most 16,384 bytes with everything else that is kept.
        """
        new: Any = state(self._state) if builtins.callable(state) else state
        self._write(new, is_readonly=self._is_readonly)
        self._state = new
        return new

    def serialize_attachment(self, value: Any) -> None:
        """Set the state, in the words of a plain WebSocket."""
        self._write(value, is_readonly=self._is_readonly)
        self._state = value

    def deserialize_attachment(self) -> Any:
        """Return the state, in the words of a plain WebSocket."""
        return self._state

    @property
    def identity(self) -> Identity | None:
        """Who the client is, as the hook ``authorise`` found out, or None when there is no such hook.

        It stays while the agent is out of memory. When it ends, the connection is closed with 4401.
        """
        return self._socket.identity

    @property
    def is_readonly(self) -> bool:
        """Whether this client may not change the agent's state."""
        return self._is_readonly

    def set_readonly(self, is_readonly: bool = True) -> None:
        """Forbid this client to change the agent's state, or allow it again."""
        self._write(self._state, is_readonly=is_readonly)
        self._is_readonly = is_readonly

    @property
    def is_protocol_enabled(self) -> bool:
        """Whether this client gets identity, state and MCP frames. Settled when it connects."""
        return self._is_protocol_enabled

    def disable_protocol(self) -> None:
        """Never send identity, state or MCP frames. For ``keep`` to write down."""
        self._is_protocol_enabled = False

    @property
    def ready_state(self) -> int:
        """``WebSocket.OPEN`` or one of its neighbours."""
        return self._socket.ready_state

    @property
    def is_open(self) -> bool:
        """Whether the connection can be sent to."""
        return self._socket.ready_state == WebSocket.OPEN

    @property
    def buffered_messages(self) -> int:
        """How many messages wait for a client that reads slowly. Too many close the connection."""
        return self._socket.buffered_messages

    @property
    def protocol(self) -> str:
        """The subprotocol that was chosen, or the empty string."""
        return self._socket.protocol

    @property
    def socket(self) -> WebSocket:
        """The raw socket."""
        return self._socket

    def send(self, message: str | bytes) -> None:
        """Send a text or binary frame, once the writes made so far are kept. Never waits.

        Raises ``WebSocketError`` when the connection is closed.
        """
        self._socket.send(message)

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Close the connection. 1008 and 4000 to 4999 tell the official clients not to come back."""
        self._socket.close(code, reason)

    def __repr__(self) -> str:
        return f"<Connection {self.id!r}>"


def prepare_tags(id: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of a connection: its id, then ``tags``. Raises ``AgentError`` for what cannot be a tag."""
    if isinstance(tags, str):
        raise AgentError(f"get_connection_tags() returns a list of tags, not one string: {tags!r}.")
    prepared = (id, *(tag for tag in tags if tag != id))
    if len(prepared) > MAX_TAGS:
        raise AgentError(f"A connection can only have {MAX_TAGS} tags, including the default id tag.")
    for tag in prepared:
        if not isinstance(tag, str):
            raise AgentError(f"A connection tag must be a string. Received: {tag!r}")
        if not tag:
            raise AgentError("A connection tag must not be an empty string.")
        if len(tag) > MAX_TAG_CHARACTERS:
            raise AgentError(f"A connection tag must not exceed {MAX_TAG_CHARACTERS} characters")
    return prepared


class Connections:
    """All connections of one agent."""

    def __init__(self, ctx: ObjectContext) -> None:
        self._ctx = ctx
        self._by_socket: dict[WebSocket, Connection[Any]] = {}

    def accept(self, connection: Connection[Any], given: Iterable[str] = ()) -> None:
        """Take ``connection`` as one of this agent's. Its flags are settled; the program gave it the tags ``given``."""
        socket = connection.socket
        self._ctx.accept_web_socket(socket, (_id_tag(connection.id), *given))
        connection.keep()
        self._by_socket[socket] = connection

    def of(self, socket: WebSocket) -> Connection[Any] | None:
        """Return the connection of ``socket``: always the same one. None when it was not accepted as a connection."""
        connection = self._by_socket.get(socket)
        if connection is None:
            connection = Connection.restore(socket)
            if connection is not None:
                self._by_socket[socket] = connection
        return connection

    def forget(self, connection: Connection[Any]) -> None:
        """Drop a connection that is closed."""
        self._by_socket.pop(connection.socket, None)

    def open(self, tag: str | None = None) -> Iterator[Connection[Any]]:
        """Yield the connections that are open, those to which the program gave ``tag`` if one is named."""
        known = self._by_socket
        for socket in self._ctx.get_web_sockets(tag):
            connection = known.get(socket) or self.of(socket)
            if connection is not None and socket.ready_state == WebSocket.OPEN:
                yield connection

    def with_id(self, id: str) -> Iterator[Connection[Any]]:
        """Yield the open connections with this id: one, or two while a client comes back."""
        return (connection for connection in self.open(_id_tag(id)) if connection.id == id)

    def get(self, id: str) -> Connection[Any] | None:
        """Return the open connection with this id, or None. Raises ``AgentError`` when there is more than one."""
        found = list(self.with_id(id))
        if len(found) > 1:
            raise AgentError(
                f"More than one connection found for id {id}. Did you mean to use get_connections(tag) instead?"
            )
        return found[0] if found else None

    def broadcast(self, message: str | bytes, without: Collection[str] = ()) -> None:
        """Send ``message`` to every open connection whose id is not in ``without``.

        Raises TypeError for what is no message, also when nobody is connected.
        """
        if not isinstance(message, str | bytes):
            message = as_frame(message)
        for connection in self.open():
            if connection.id not in without:
                _send_if_open(connection, message)

    def broadcast_protocol(self, frame: str, source: Connection[Any] | None = None) -> None:
        """Send a protocol frame to every open connection that gets such frames, except ``source``.

        Except the very connection, not its id: two sockets of one client may share that, and the other one must hear.
        """
        for connection in self.open():
            if connection is not source and connection.is_protocol_enabled:
                _send_if_open(connection, frame)

    def send(self, connection: Connection[Any], frame: str) -> None:
        """Send to one connection, if it is still open."""
        _send_if_open(connection, frame)

    def close_all(self, code: int, reason: str) -> None:
        """Close every open connection."""
        for connection in list(self.open()):
            connection.close(code, reason)


def _id_tag(id: str) -> str:
    """Return the tag under which a socket is found by its client's id. A program's tags do not begin so."""
    tag = f"\0{id}"
    return tag if len(tag) <= MAX_TAG_CHARACTERS else f"\0{hashlib.sha256(id.encode('utf-8', 'replace')).hexdigest()}"


def _send_if_open(connection: Connection[Any], message: str | bytes) -> None:
    try:
        connection.send(message)
    except WebSocketError:
        # It closed since it was listed; its own close event tells whoever needs to know.
        pass
