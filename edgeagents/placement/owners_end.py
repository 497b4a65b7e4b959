"""The owner's end of an event that another process brought.

The event is handled here as if it had come here; what it answers goes back in frames, as fast as it is read there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from edgeagents.errors import ClientDisconnected, ObjectError, RemoteError
from edgeagents.http import AbortController, Response
from edgeagents.http.closing import close
from edgeagents.objects import Address, Event, FetchEvent
from edgeagents.objects.rpc import crossing_error
from edgeagents.objects.values import encode
from edgeagents.own_errors import as_raised
from edgeagents.placement.carried_socket import Carried
from edgeagents.placement.link import WINDOW, Inflow, Link, Outflow
from edgeagents.placement.wire import pack_error, pack_response, unpack_address, unpack_event

__all__ = ["Handle", "OwnersEnd"]

_LOST = 1006

_log = logging.getLogger("edgeagents.placement")


class Handle(Protocol):
    """Brings an event to an object of this process; None when it has no right to the object."""

    def __call__(self, address: Address, event: Event, props: Mapping[str, Any] | None, /) -> Any | None:
        """Return what is to be awaited."""
        ...


class OwnersEnd:
    """One channel of a link."""

    def __init__(self, link: Link, number: int, packed: list[Any], handle: Handle) -> None:
        self._link, self._number = link, number
        self._body = Inflow(link, number, granted=0)
        self._abort = AbortController()
        self._outflow: Outflow | None = None
        self._granted = 0
        self._socket: Carried | None = None
        self._is_unwanted = False
        self._task = asyncio.get_running_loop().create_task(self._serve(packed, handle))

    async def _serve(self, packed: list[Any], handle: Handle) -> None:
        event: Event | None = None
        try:
            event, props = unpack_event(packed, self._body, self._abort.signal)
            handled = handle(unpack_address(packed), event, props)
            if handled is None:
                self._finish("moved")
                return
            await self._answer(await handled)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this: the object's code waited for something that was.
            self._finish("error", pack_error(crossing_error(error)))
        except Exception as error:
            if isinstance(error, RemoteError):
                # The traceback does not cross. A call may well fail on purpose, which its caller deals with.
                level = logging.ERROR if isinstance(event, FetchEvent) else logging.INFO
                address = unpack_address(packed)
                whose = f"{address.namespace} {address.id.name or address.id.digits!r}"
                _log.log(level, "%s: what another process asked for failed", whose, exc_info=as_raised(error))
            self._finish("error", pack_error(error))

    @property
    def _is_nobodys(self) -> bool:
        """Whether nobody will read what is answered."""
        return self._is_unwanted or self._link.is_lost

    async def _answer(self, result: Any) -> None:
        if isinstance(result, Response):
            await self._link.send_large(self._number, "response", pack_response(result))
            if result.websocket is not None:
                self._socket = Carried(self._link, self._number, result.websocket)
                if self._is_nobodys:
                    self._closed(_LOST, "", False)
            elif self._is_nobodys:
                await result.aclose()
            elif result.is_streaming:
                await self._stream(result)
            else:
                self._link.forget(self._number)
        elif isinstance(result, AsyncIterator) and self._is_nobodys:
            await close(result)
        elif isinstance(result, AsyncIterator):
            self._link.send(self._number, "items")
            self._outflow = Outflow(self._link, self._number, self._granted)
            await self._send_to_end(self._outflow.send_items(_encoded(result)))
        else:
            await self._link.send_large(self._number, "result", encode(result))
            self._link.forget(self._number)

    async def _stream(self, response: Response) -> None:
        self._outflow = Outflow(self._link, self._number, WINDOW + self._granted)
        try:
            await self._send_to_end(self._outflow.send(response.stream()))
        finally:
            await response.aclose()

    async def _send_to_end(self, sending: Any) -> None:
        try:
            await sending
        except Exception as error:
            self._finish("end", pack_error(crossing_error(error)))
        else:
            self._finish("end")

    def _finish(self, kind: str, *content: Any) -> None:
        self._link.send(self._number, kind, *content)
        self._link.forget(self._number)

    # What comes

    def receive(self, kind: str, *content: Any) -> None:
        """See ``Channel``."""
        match kind:
            case "data":
                self._body.feed(content[0])
            case "end":
                self._body.end()
            case "broken":
                self._body.end(ClientDisconnected(content[0]))
            case "grant":
                if self._outflow is not None:
                    self._outflow.grant(content[0])
                else:
                    self._granted += content[0]
            case "abort":
                self._abort_request()
            case "gone":
                self._gone()
            case "message":
                if self._socket is not None:
                    self._socket.feed(content[0])
            case "close":
                self._closed(*content)
            case _:
                raise ValueError(f"The other process sent {kind!r}, which means nothing here.")

    def lost(self) -> None:
        """See ``Channel``."""
        self._gone()

    def unreadable(self, error: Exception) -> None:
        """See ``Channel``. The event goes on, as it does when its caller leaves; nobody reads what it answers."""
        self._gone()
        self._finish("error", pack_error(ObjectError(f"What was sent to the object cannot be read: {error}")))

    def _closed(self, code: int, reason: str, was_clean: bool) -> None:
        socket, self._socket = self._socket, None
        self._link.forget(self._number)
        if socket is not None:
            socket.feed_close(code, reason, was_clean)

    def _abort_request(self) -> None:
        self._abort.abort(ClientDisconnected())
        self._body.end(ClientDisconnected())

    def _gone(self) -> None:
        """Nobody wants the answer any more."""
        self._is_unwanted = True
        self._abort_request()
        if self._socket is not None:
            self._closed(_LOST, "", False)
        if self._outflow is not None:
            # What is streamed has a reader less; the source closes with the stream.
            self._task.cancel()
        self._link.forget(self._number)


async def _encoded(items: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield encode(item)
    finally:
        await close(items)
