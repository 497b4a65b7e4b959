"""WebSockets: an end of a pair, or of a connection to a server elsewhere.

Each stands for one end of the runtime's (``edgeagents.objects.WebSocket``), and there is one of these for each of
those, so a socket that wakes an object is the one that the object knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, ClassVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import websockets

from edgeagents.errors import WebSocketClosed, WebSocketError
from edgeagents.objects import WebSocket as NativeWebSocket
from edgeagents.objects import web_socket_pair
from wrangler_compat.host.context import outbound_here, wait_until
from wrangler_compat.host.model.buffers import JsArrayBuffer, bytes_of
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import DomException, JsException, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish
from wrangler_compat.host.web.blob import Blob
from wrangler_compat.host.web.events import CloseEvent, ErrorEvent, Event, EventTarget, MessageEvent, schedule

__all__ = ["WebSocket", "WebSocketPair", "WebSocketRequestResponsePair", "connect"]


class WebSocket(EventTarget):
    """``WebSocket``. ``new WebSocket(url)`` connects to a server; a failure is an event, never an exception."""

    class Statics(EventTarget.Statics):
        """The states."""

        CONNECTING = READY_STATE_CONNECTING = 0
        OPEN = READY_STATE_OPEN = 1
        CLOSING = READY_STATE_CLOSING = 2
        CLOSED = READY_STATE_CLOSED = 3

    CONNECTING, OPEN, CLOSING, CLOSED = 0, 1, 2, 3
    _known: ClassVar[WeakKeyDictionary[NativeWebSocket, WebSocket]] = WeakKeyDictionary()

    def __init__(self, url: Any, protocols: Any = None) -> None:
        address = urlsplit(to_text(url))
        offered = [] if is_nullish(protocols) else [protocols] if isinstance(protocols, str) else list(protocols)
        if not address.scheme or not address.netloc or " " in to_text(url):
            raise _constructor_error("The url is invalid.")
        if address.scheme not in ("ws", "wss", "http", "https"):
            raise _constructor_error("The url scheme must be ws or wss.")
        if address.fragment:
            raise _constructor_error("The url fragment must be empty.")
        if len(set(offered)) < len(offered):
            raise _constructor_error("The protocols header cannot have repeating values.")
        ours, theirs = web_socket_pair()
        self._begin(ours)
        self._is_connecting, self.url = True, to_text(url)
        target = address._replace(scheme=address.scheme.replace("http", "ws")).geturl()
        _keep(asyncio.ensure_future(self._connect(target, offered, theirs)))

    @classmethod
    def of(cls, native: NativeWebSocket) -> WebSocket:
        """Return what stands for ``native``: always the same."""
        known = cls._known.get(native)
        if known is None:
            known = cls.__new__(cls)
            known._begin(native)
        return known

    def _begin(self, native: NativeWebSocket) -> None:
        EventTarget.__init__(self)
        self._native = native
        WebSocket._known[native] = self
        self._is_accepted, self._is_connecting = native.is_accepted, False
        self.url: Any = native.url or ""
        self.protocol, self.extensions, self.binaryType = native.protocol or "", "", "blob"

    async def _connect(self, url: str, protocols: list[str], theirs: NativeWebSocket) -> None:
        try:
            connection = await websockets.connect(url, subprotocols=protocols or None, max_size=None)  # pyright: ignore[reportArgumentType]
        except Exception as error:
            self._is_connecting = False
            self.dispatchEvent(ErrorEvent("error", {"message": str(error), "error": JsException(str(error))}))
            self._native.feed_close(1006, "", was_clean=False)
            self.dispatchEvent(CloseEvent("close", {"code": 1006, "reason": "", "wasClean": False}))
            return
        self._is_connecting = False
        self.protocol = connection.subprotocol or ""
        _keep(asyncio.ensure_future(_carry(connection, theirs)))
        self.accept()
        self.dispatchEvent(Event("open"))

    def to_native(self) -> NativeWebSocket:
        """Return the runtime's end."""
        return self._native

    @property
    def readyState(self) -> int:
        """0 connecting, 1 open, 2 closing, 3 closed."""
        return 0 if self._is_connecting else self._native.ready_state

    def accept(self, options: Any = None) -> None:
        """Begin to receive here."""
        # Events come in the context of the code that accepts, whoever sends, and never before it has added listeners.
        self._context = copy_context()
        self._native.add_event_listener("message", self._message)
        self._native.add_event_listener("close", self._closed)
        try:
            self._native.accept()
        except WebSocketError as error:
            raise JsTypeError(str(error)) from None
        self._is_accepted = True

    def send(self, message: Any) -> None:
        """Send text, or a buffer."""
        if not self._is_accepted:
            raise JsTypeError(
                "You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages."
            )
        if isinstance(message, Blob):
            data: bytes | None = message._content
        else:
            data = bytes_of(message)
        try:
            self._native.send(to_text(message) if data is None else data)
        except WebSocketError as error:
            raise JsTypeError(str(error)) from None

    def close(self, code: Any = None, reason: Any = None) -> None:
        """Close the connection."""
        if not self._is_connecting and self.readyState >= WebSocket.CLOSING:
            return
        number, text = (None if is_nullish(code) else code), ("" if is_nullish(reason) else to_text(reason))
        if number is None and text:
            raise DomException(
                "If you specify a WebSocket close reason, you must also specify a code.", "InvalidAccessError"
            )
        try:
            self._native.close(number, text)
        except ValueError as error:
            kind = "SyntaxError" if "reason" in str(error) else "InvalidAccessError"
            raise DomException(str(error), kind) from None

    def serializeAttachment(self, value: Any) -> None:
        """Keep a copy of ``value`` with the connection."""
        from wrangler_compat.host.clone import to_data

        try:
            self._native.serialize_attachment(to_data(value))
        except ValueError as error:
            raise JsException(str(error)) from error

    def deserializeAttachment(self) -> Any:
        """Return a copy of what was attached last, or null."""
        from wrangler_compat.host.clone import from_data

        return from_data(self._native.deserialize_attachment())

    def received(self, message: str | bytes) -> Any:
        """Return a message as an event has it."""
        if isinstance(message, str):
            return message
        return Blob([message]) if self.binaryType == "blob" else JsArrayBuffer(message)

    def _message(self, message: str | bytes) -> None:
        self._dispatch_soon(MessageEvent("message", {"data": self.received(message)}))

    def _closed(self, closed: WebSocketClosed) -> None:
        self._dispatch_soon(
            CloseEvent("close", {"code": closed.code, "reason": closed.reason, "wasClean": closed.was_clean})
        )

    def _dispatch_soon(self, event: Event) -> None:
        asyncio.get_running_loop().call_soon(self.dispatchEvent, event, context=self._context)


def _constructor_error(what: str) -> DomException:
    return DomException(f"WebSocket Constructor: {what}", "SyntaxError")


class WebSocketPair(JsProxy):
    """``WebSocketPair``: two ends, as its properties ``0`` and ``1``."""

    def __init__(self) -> None:
        self._ends = [WebSocket.of(end) for end in web_socket_pair()]

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self._ends)

    def __getitem__(self, index: int) -> WebSocket:
        return self._ends[index]

    def __getattr__(self, name: str) -> Any:
        if name in ("0", "1"):
            return self._ends[int(name)]
        return super().__getattr__(name)

    def _keys(self) -> list[str]:
        return ["0", "1"]


class WebSocketRequestResponsePair(JsProxy):
    """``WebSocketRequestResponsePair``: a message, and the answer that it gets without waking the object."""

    def __init__(self, request: Any, response: Any) -> None:
        self.request, self.response = to_text(request), to_text(response)


async def connect(url: str, headers: list[tuple[str, str]]) -> tuple[WebSocket, str | None]:
    """Return a socket to a server elsewhere, not accepted yet, and the protocol that the server chose."""
    outbound = outbound_here()
    if outbound is not None:
        init = JsObject({"headers": JsObject({**dict(headers), "upgrade": "websocket"})})
        answer = await outbound.fetch("http" + url.removeprefix("ws"), init)
        if is_nullish(answer.webSocket):
            raise JsException(f"The server did not accept the WebSocket: it answered {answer.status}.")
        return answer.webSocket, answer.headers.get("sec-websocket-protocol")
    ours, theirs = web_socket_pair()
    connection = await websockets.connect(url, additional_headers=headers, max_size=None)
    schedule(_carry(connection, theirs))
    return WebSocket.of(ours), connection.subprotocol


def _keep(work: asyncio.Future[Any]) -> None:
    """Let a connection go on. It keeps the object that made it in memory, and ends with it."""
    (wait_until.get() or schedule)(work)


async def _carry(connection: websockets.ClientConnection, end: NativeWebSocket) -> None:
    """Carry messages between a connection and ``end`` until one of them closes."""
    end.accept()
    sending = asyncio.ensure_future(_send_on(connection, end))
    try:
        async for message in connection:
            end.send(message)
    except (websockets.ConnectionClosed, WebSocketError):
        pass
    except asyncio.CancelledError:
        schedule(connection.close(1001))
        raise
    finally:
        sending.cancel()
    code, reason = connection.close_code, connection.close_reason or ""
    if code in (None, 1005, 1006, 1015):
        end.feed_close(1006, "", was_clean=False) if code != 1005 else end.close()
    else:
        end.close(code, reason)


async def _send_on(connection: websockets.ClientConnection, end: NativeWebSocket) -> None:
    try:
        while True:
            await connection.send(await end.receive())
    except WebSocketClosed as closed:
        await connection.close(1000 if closed.code in (1005, 1006) else closed.code, closed.reason)
