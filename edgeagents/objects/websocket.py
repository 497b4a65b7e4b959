"""WebSockets: two ends of one connection, in memory.

``web_socket_pair`` makes both ends. An object keeps one (``ctx.accept_web_socket``) and answers the handshake with the
other; whoever carries that other end over a network attaches a sink to it and feeds it what arrives. Between two
objects of one process nothing else is needed.

What an end sends passes the output gate of the object that owns it. Nothing here knows ASGI or what messages mean.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from edgeagents.errors import WebSocketClosed, WebSocketError
from edgeagents.http import Identity
from edgeagents.objects.clock import TimerHandle
from edgeagents.objects.gates import TurnOwner, current_turn
from edgeagents.objects.values import decode, encode

__all__ = [
    "SocketOwner",
    "WebSocket",
    "WebSocketRequestResponsePair",
    "WebSocketSink",
    "as_frame",
    "check_close",
    "web_socket_pair",
]

# RFC 6455 7.4.1: never sent; they tell how a connection ended without a close frame or before it was one.
_RESERVED_CODES = frozenset({1004, 1005, 1006, 1015})
_REASON_BYTES = 123
_ATTACHMENT_BYTES = 16_384
# Messages that wait for somebody to read them before no more are taken from the network.
_UNREAD = 64


@dataclass(frozen=True, slots=True)
class WebSocketRequestResponsePair:
    """A text message and the answer that it gets without waking the object."""

    request: str
    response: str


class WebSocketSink(Protocol):
    """The network's side of an end: takes what the object sends. Called on the event loop; must not block."""

    def send(self, message: str | bytes) -> None:
        """Send ``message``, or queue it within a bound of its own."""
        ...

    def close(self, code: int | None, reason: str) -> None:
        """Close the connection after what was sent."""
        ...

    # A sink that queues says with ``waiting`` how many messages its client has yet to take.


class SocketOwner(Protocol):
    """The object that has an end: what leaves it passes the owner's gate, what arrives becomes the owner's event."""

    def release(self, send: Callable[..., object], *args: Any) -> None:
        """Call ``send`` when the owner's writes before it are kept."""
        ...

    def socket_message(self, socket: WebSocket, message: str | bytes) -> Awaitable[None] | None:
        """Handle a message; the result, if any, is to be awaited before more are read."""
        ...

    def socket_closed(self, socket: WebSocket, code: int, reason: str, was_clean: bool) -> None:
        """Handle the end of the connection. Called once."""
        ...


def as_frame(message: object) -> str | bytes:
    """Return what is sent for ``message``: text, or the bytes of anything that holds some. Raises TypeError for else.

    A number or a list of them is no message, although ``bytes()`` takes both.
    """
    if isinstance(message, str | bytes):
        return message
    try:
        return memoryview(message).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"A WebSocket message is str or bytes, not {type(message).__name__}. json.dumps(value) makes text of it."
        ) from None


def check_close(code: int | None, reason: str) -> None:
    """Raise ValueError unless ``code`` and ``reason`` may stand in a close frame."""
    if code is not None and not (1000 <= code < 5000 and code not in _RESERVED_CODES):
        raise ValueError(f"Invalid WebSocket close code: {code}.")
    if reason and code is None:
        raise ValueError("A WebSocket close reason needs a close code.")
    if len(reason.encode()) > _REASON_BYTES:
        raise ValueError(f"A WebSocket close reason is at most {_REASON_BYTES} bytes long.")


_Frame = tuple[Literal["message"], "str | bytes"] | tuple[Literal["close"], int, str, bool]


class WebSocket:
    """One end of a WebSocket. Made by ``web_socket_pair``.

    ``accept()`` takes it for ordinary use (listeners, ``receive()``, ``async for``); ``ctx.accept_web_socket()`` gives
    it to an object that may leave memory while it stays open. What arrives before either is kept in order.
    """

    CONNECTING: ClassVar[int] = 0
    OPEN: ClassVar[int] = 1
    CLOSING: ClassVar[int] = 2
    CLOSED: ClassVar[int] = 3

    __slots__ = (
        "__weakref__",
        "_attachment",
        "_attachment_bytes",
        "_early",
        "_holder",
        "_inbox",
        "_listeners",
        "_on_end",
        "_owner",
        "_peer",
        "_release",
        "_room",
        "_sink",
        "auto_response_at",
        "close_code",
        "deadline",
        "identity",
        "protocol",
        "ready_state",
        "tags",
        "url",
    )

    _peer: WebSocket

    def __init__(self) -> None:
        self.url: str | None = None
        self.protocol = ""
        self.ready_state = WebSocket.OPEN
        self.close_code: int | None = None
        self.tags: tuple[str, ...] = ()
        self.auto_response_at: Any = None
        self.identity: Identity | None = None
        """Whose it is, if the application knows. It stays while the object is out of memory."""
        self.deadline: TimerHandle | None = None
        self._attachment: bytes | None = None
        self._attachment_bytes = _ATTACHMENT_BYTES
        self._owner: SocketOwner | None = None
        self._holder: TurnOwner | None = None
        self._release: Callable[..., None] | None = None
        self._on_end: Callable[[], object] | None = None
        self._sink: WebSocketSink | None = None
        self._listeners: dict[str, list[Callable[[Any], object]]] | None = None
        self._inbox: asyncio.Queue[_Frame] | None = None
        self._early: deque[_Frame] | None = deque()
        self._room: asyncio.Future[None] | None = None

    # What the code that has this end does.

    @property
    def is_accepted(self) -> bool:
        """Whether somebody receives at this end: its code, an object or a network."""
        return self._early is None

    def accept(self) -> None:
        """Begin to receive at this end, for listeners and ``receive()``."""
        if self._early is None:
            raise WebSocketError("This WebSocket was accepted already.")
        self._inbox = asyncio.Queue()
        turn = current_turn.get()
        self._holder = None if turn is None else turn.owner
        self._hand_over_early()

    def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Send ``message``: text for str, binary for bytes. Never blocks. Any thread may call this.

        It leaves once the owner's writes before it are kept. Raises ``WebSocketError`` after ``close()`` and TypeError
        for what is neither text nor bytes; a peer that has gone meanwhile is no error.
        """
        if self.ready_state != WebSocket.OPEN:
            raise WebSocketError("Can't call WebSocket send() after close().")
        frame = message if isinstance(message, str | bytes) else as_frame(message)
        peer = self._peer
        if self._release is None:
            peer._receive(frame)
        else:
            self._release(peer._receive, frame)

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Close the connection after what was sent. Harmless when it is closed already.

        Raises ValueError for a code or reason that may not stand in a close frame.
        """
        check_close(code, reason)
        if self.ready_state >= WebSocket.CLOSING:
            return
        self.ready_state = WebSocket.CLOSING
        peer = self._peer
        if self._release is None:
            peer._receive_close(code, reason)
        else:
            self._release(peer._receive_close, code, reason)

    @property
    def buffered_messages(self) -> int:
        """How many messages wait for a peer that reads slowly. Too many close the connection: send less at a time."""
        return getattr(self._peer._sink, "waiting", 0)

    def serialize_attachment(self, value: object) -> None:
        """Keep a copy of ``value`` with the connection, also while its object is not in memory."""
        data = encode(value)
        limit = self._attachment_bytes
        if len(data) > limit:
            raise ValueError(
                f"A WebSocket attachment is at most {limit} bytes; this one has {len(data)}: "
                f"Limits(attachment_bytes={limit})."
            )
        self._attachment = data

    def deserialize_attachment(self) -> Any:
        """Return a copy of what was attached last, or None."""
        return None if self._attachment is None else decode(self._attachment)

    def add_event_listener(self, kind: Literal["message", "close"], listener: Callable[[Any], object]) -> None:
        """Call ``listener`` with each message, or with a ``WebSocketClosed`` at the end. It may be ``async``."""
        if self._listeners is None:
            self._listeners = {}
        self._listeners.setdefault(kind, []).append(listener)

    async def receive(self) -> str | bytes:
        """Return the next message. Raises ``WebSocketClosed`` when the peer has closed. Needs ``accept()``."""
        if self._inbox is None:
            raise WebSocketError("Call accept() on this WebSocket before receive().")
        frame = await self._inbox.get()
        if self._room is not None and self._inbox.qsize() < _UNREAD:
            self._make_room()
        if frame[0] == "message":
            return frame[1]
        self._inbox.put_nowait(frame)  # Every later call learns of it too.
        raise WebSocketClosed(*frame[1:])

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield messages until the peer closes."""
        while True:
            try:
                yield await self.receive()
            except WebSocketClosed:
                return

    # What carries this end over a network does.

    def attach(self, sink: WebSocketSink) -> None:
        """Take this end for a network: what the other end sends goes to ``sink``, what it has sent goes first."""
        if self._early is None:
            raise WebSocketError("This WebSocket was accepted already.")
        self._sink = sink
        self._hand_over_early()

    def feed(self, message: str | bytes) -> Awaitable[None] | None:
        """Give the other end a message from the network. Await the result, if any, before the next one."""
        return self._peer._receive(message)

    def feed_close(self, code: int, reason: str = "", was_clean: bool = True) -> None:
        """Tell the other end that the connection is over: 1005 for no code, 1006 and not clean for a lost one."""
        self.ready_state = WebSocket.CLOSED
        self._peer._end(code, reason, was_clean)

    # What an object does.

    def give_to(self, owner: SocketOwner, tags: tuple[str, ...], attachment_bytes: int = _ATTACHMENT_BYTES) -> None:
        """Make ``owner`` receive for this end from now on."""
        if self._early is None:
            raise WebSocketError("Cannot call accept_web_socket() if the WebSocket was already accepted via accept()")
        self._owner, self.tags, self._release = owner, tags, owner.release
        self._attachment_bytes = attachment_bytes
        self._hand_over_early()

    def end_now(self, code: int, reason: str) -> None:
        """Close the connection without waiting for the peer to agree: nothing that it sends arrives any more."""
        self.close(code, reason)
        self._end(code, reason, True)

    def hold(self, release: Callable[..., None], on_end: Callable[[], object]) -> bool:
        """Let what the other end sends pass ``release``, and call ``on_end`` when the connection is over.

        For the end that a handler answers with, when it accepted the other end itself; returns False when it did not,
        but passes on what another object answered.
        """
        peer = self._peer
        if peer._inbox is None or peer._on_end is not None or peer.ready_state == WebSocket.CLOSED:
            return False
        peer._release, peer._on_end = release, on_end
        return True

    # Between the two ends.

    def _hand_over_early(self) -> None:
        early, self._early = self._early, None
        for frame in early or ():
            if frame[0] == "message":
                self._receive(frame[1])
            elif self._sink is not None:
                self._sink.close(None if frame[1] == 1005 else frame[1], frame[2])
            else:
                self._end(*frame[1:])
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _until_room(self, unread: int) -> Awaitable[None] | None:
        """Return what the network is to wait for, so that what nobody reads stays with the client."""
        if unread < _UNREAD:
            return None
        if self._room is None or self._room.done():
            self._room = asyncio.get_running_loop().create_future()
        return self._room

    def _receive(self, message: str | bytes) -> Awaitable[None] | None:
        if self._sink is not None:
            self._sink.send(message)
            return None
        if self.ready_state == WebSocket.CLOSED:
            return None
        if self._owner is not None:
            return self._owner.socket_message(self, message)
        if self._early is not None:
            self._early.append(("message", message))
            return self._until_room(len(self._early))
        if self._inbox is not None:
            if self._listeners is not None and "message" in self._listeners:
                self._tell(self._listeners["message"], message)
            else:
                self._inbox.put_nowait(("message", message))
                return self._until_room(self._inbox.qsize())
        return None

    def _receive_close(self, code: int | None, reason: str) -> None:
        # The other end began to close. A network says by feed_close() when the peer has agreed; in memory it has.
        if self._sink is not None:
            self._sink.close(code, reason)
            return
        self._end(1005 if code is None else code, reason, True)
        self._peer._end(1005 if code is None else code, reason, True)

    def _end(self, code: int, reason: str, was_clean: bool) -> None:
        if self.ready_state == WebSocket.CLOSED:
            return
        if self._early is not None:
            self._early.append(("close", code, reason, was_clean))
            return
        self.ready_state = WebSocket.CLOSED
        self.close_code = code
        if self.deadline is not None:
            self.deadline.cancel()
        if self._on_end is not None:
            self._on_end()
        if self._owner is not None:
            self._owner.socket_closed(self, code, reason, was_clean)
        if self._inbox is not None:
            self._inbox.put_nowait(("close", code, reason, was_clean))
        if self._listeners is not None:
            self._tell(self._listeners.get("close", ()), WebSocketClosed(code, reason, was_clean))

    def _tell(self, listeners: list[Callable[[Any], object]] | tuple[()], value: object) -> None:
        if self._holder is None:
            _call(listeners, value)
        elif listeners and self._holder.failure is None:
            # They are code of the object that has accepted this end, which may be in a critical section.
            self._holder.spawn(_call_in_turn(tuple(listeners), value), name="a listener of a WebSocket")


_running: set[asyncio.Future[Any]] = set()


def _call(listeners: list[Callable[[Any], object]] | tuple[()], value: object) -> None:
    for listener in tuple(listeners):
        result = listener(value)
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            _running.add(task)
            task.add_done_callback(_running.discard)


async def _call_in_turn(listeners: tuple[Callable[[Any], object], ...], value: object) -> None:
    for result in [listener(value) for listener in listeners]:
        if inspect.isawaitable(result):
            await result


def web_socket_pair() -> tuple[WebSocket, WebSocket]:
    """Return two connected ends: the client's, to answer the handshake with, and the server's."""
    client, server = WebSocket(), WebSocket()
    client._peer, server._peer = server, client  # pyright: ignore[reportPrivateUsage]
    return client, server
