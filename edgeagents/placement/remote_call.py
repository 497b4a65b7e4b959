"""The caller's end of an event that another process handles.

It looks like the object's own answer: a response with its stream and its WebSocket, a result with its items, an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from edgeagents.errors import ObjectError, OwnershipLost, WebSocketError
from edgeagents.http import Request
from edgeagents.objects import Address, Event, FetchEvent, WebSocket, web_socket_pair
from edgeagents.objects.values import decode
from edgeagents.placement.carried_socket import Forwarded
from edgeagents.placement.link import WINDOW, Inflow, Link, Outflow, Reading
from edgeagents.placement.wire import pack_event, unpack_error, unpack_response

__all__ = ["Moved", "call"]

_RESTARTING: Final = 1012
_INTERNAL_ERROR: Final = 1011


class Moved(Exception):
    """The process that was asked does not own the object, and has done nothing."""


async def call(link: Link, address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
    """Bring ``event`` to the object through ``link``; return or raise what its handler does.

    Raises ``Moved`` when nothing was done, and ``OwnershipLost`` when the other process ended while it was at it.
    """
    packed = await pack_event(address, event, props)
    end = _CallersEnd(link, event.request if isinstance(event, FetchEvent) else None)
    return await end.answer_to(packed)


class _CallersEnd:
    def __init__(self, link: Link, request: Request | None) -> None:
        self._link, self._request = link, request
        self._answer: asyncio.Future[Any] | None = asyncio.get_running_loop().create_future()
        self._is_unwanted = False
        self._outflow: Outflow | None = None
        self._sending: asyncio.Task[None] | None = None
        self._inflow: Inflow | None = None
        self._socket: WebSocket | None = None
        self._forwarded: Forwarded | None = None
        self._unlisten: Callable[[], None] | None = None
        self.number = link.open(self)
        if request is not None:
            self._unlisten = request.signal.add_listener(lambda: link.send(self.number, "abort"))

    async def answer_to(self, packed: list[Any]) -> Any:
        try:
            await self._link.send_large(self.number, "open", *packed)
        except BaseException:
            self._end()
            raise
        assert self._answer is not None
        try:
            return await self._answer
        except asyncio.CancelledError:
            # The event belongs to the object, which goes on; but nobody reads what it answers.
            self._is_unwanted = True
            if self._socket is not None:
                self._stop_reading()  # The answer came in the same moment.
            raise
        finally:
            # The channel stays while the answer is read, and ends when the reader drops it: it does not hold it.
            self._answer = None

    # What comes

    def receive(self, kind: str, *content: Any) -> None:
        match kind:
            case "result":
                self._settle(decode(content[0]))
                self._end()
            case "response" | "items" if self._is_unwanted:
                self._stop_reading()
            case "response":
                self._take_response(content[0])
            case "items":
                self._settle(_decoded(self._reading(Inflow(self._link, self.number, granted=0, by_bytes=False))))
            case "error":
                self._fail(unpack_error(content[0]))
            case "moved":
                self._fail(Moved())
            case "grant" if self._forwarded is not None:
                self._forwarded.grant(content[0])
            case "grant":
                self._send_body(content[0])
            case "data":
                if self._inflow is not None:
                    self._inflow.feed(content[0])
            case "end":
                self._end_of_stream(unpack_error(content[0]) if content else None)
            case "message" | "close":
                self._from_object(kind, *content)
            case _:
                raise ValueError(f"The other process sent {kind!r}, which means nothing here.")

    def lost(self) -> None:
        error = OwnershipLost("The process that owned the object ended while it handled this. Try again.")
        if self._socket is not None:
            # 1012 makes clients come back; they then reach the next owner.
            _close(self._socket, _RESTARTING, "Durable Object reset")
        if self._forwarded is not None:
            self._forwarded.lost()
        self._fail(error)

    def unreadable(self, error: Exception) -> None:
        """See ``Channel``. What the object did is done, but what it answered is not to be had."""
        self._link.send(self.number, "gone")
        if self._socket is not None:
            _close(self._socket, _INTERNAL_ERROR, "Internal error")
        if self._forwarded is not None:
            self._forwarded.lost()
        self._fail(ObjectError(f"What the object answered in another process cannot be read in this one: {error}"))

    def _take_response(self, packed: list[Any]) -> None:
        _, _, whole, has_socket = packed
        if has_socket:
            response = unpack_response(packed, None)
            response.websocket, self._socket = web_socket_pair()
            self._forwarded = Forwarded(self._link, self.number, self._end)
            self._socket.give_to(self._forwarded, ())
        elif whole is None:
            response = unpack_response(packed, self._reading(Inflow(self._link, self.number, granted=WINDOW)))
        else:
            response = unpack_response(packed, None)
            self._end()
        self._settle(response)

    def _reading(self, inflow: Inflow) -> Reading:
        self._inflow = inflow
        inflow.on_close = self._stop_reading
        return Reading(inflow)

    def _stop_reading(self) -> None:
        self._link.send(self.number, "gone")
        self._end()

    def _end_of_stream(self, error: BaseException | None) -> None:
        if self._inflow is not None:
            self._inflow.end(error)
        self._end()

    def _from_object(self, kind: str, *content: Any) -> None:
        socket = self._socket
        if socket is None:
            return
        if kind == "close":
            _close(socket, *content)
        elif socket.ready_state == WebSocket.OPEN:
            socket.send(content[0])

    def _settle(self, value: Any) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(value)

    def _fail(self, error: BaseException) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._end_of_stream(error)

    def _end(self) -> None:
        self._link.forget(self.number)
        if self._sending is not None:
            self._sending.cancel()
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    # What goes

    def _send_body(self, count: int) -> None:
        if self._outflow is None:
            self._outflow = Outflow(self._link, self.number, 0)
            self._sending = asyncio.get_running_loop().create_task(self._send())
        self._outflow.grant(count)

    async def _send(self) -> None:
        assert self._outflow is not None
        assert self._request is not None
        try:
            await self._outflow.send(self._request.stream())
        except Exception as error:
            self._link.send(self.number, "broken", str(error))
        else:
            self._link.send(self.number, "end")


async def _decoded(items: Reading) -> AsyncIterator[Any]:
    try:
        async for item in items:
            yield decode(item)
    finally:
        await items.aclose()


def _close(socket: WebSocket, code: int | None, reason: str) -> None:
    try:
        socket.close(code, reason)
    except (ValueError, WebSocketError):
        socket.close()
