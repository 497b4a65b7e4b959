"""One WebSocket between a server and the end that an object answered a handshake with.

Frames from the client are fed one by one: what an object cannot take yet stays with the server. Frames to the client
wait in a queue of bounded size; a client that lets it fill up is dropped, so that it never holds up the object.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Message, Receive, Send
from edgeagents.errors import ObjectError
from edgeagents.http.body import encodable
from edgeagents.objects.eager import Rest, Standby

if TYPE_CHECKING:
    from edgeagents.objects.websocket import WebSocket

__all__ = ["WebSocketConnection"]

_log = logging.getLogger("edgeagents.asgi")

TRY_AGAIN_LATER = 1013
TOO_BIG = 1009
SERVICE_RESTART = 1012
INTERNAL_ERROR = 1011
NO_STATUS = 1005
LOST = 1006


class WebSocketConnection:
    """Carries the frames of an accepted WebSocket. It is the sink of ``socket``."""

    __slots__ = (
        "_close_frame",
        "_is_broken_off",
        "_is_gone",
        "_is_over",
        "_is_receiving",
        "_is_writing",
        "_name",
        "_queue",
        "_queued_bytes",
        "_reader",
        "_receive",
        "_send",
        "_settings",
        "_socket",
        "_standby",
        "_told",
        "_woken",
        "_writing",
    )

    def __init__(self, name: str, socket: WebSocket, receive: Receive, send: Send, settings: Settings) -> None:
        self._name = name
        self._socket = socket
        self._receive, self._send, self._settings = receive, send, settings
        self._queue: deque[str | bytes] = deque()
        self._queued_bytes = 0
        self._close_frame: tuple[int, str] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._standby: Standby
        self._woken: asyncio.Future[None] | None = None
        self._writing: Rest | None = None
        self._is_writing = False
        self._is_broken_off = False
        self._is_gone = False
        self._is_over = False
        self._is_receiving = False
        self._told = False

    async def run(self) -> None:
        """Carry frames until the connection is over. The handshake must have been accepted."""
        self._settings.connections.add(self)
        self._standby = Standby()
        try:
            self._socket.attach(self)
            self._read_soon()
            await self._stand_by()
        finally:
            self._settings.connections.discard(self)
            self._is_gone = True
            if self._writing is not None:
                self._writing.close()
            self._tell(*(self._close_frame or (LOST, "")), was_clean=False)
            # Not waited for: receive() may never return.
            if self._reader is not None:
                self._reader.cancel()

    async def _stand_by(self) -> None:
        """Wait for the end, and meanwhile for what a client that reads slowly has not taken at once."""
        while not self._is_over:
            try:
                if self._writing is None:
                    self._woken = asyncio.get_running_loop().create_future()
                    await self._woken
                    continue
                await self._writing
            except asyncio.CancelledError:
                if not self._is_broken_off or self._standby.is_cancelled():
                    raise
            except Exception as error:
                self._write_failed(error)
            if self._writing is not None:
                self._writing.close()
                self._writing = None
            if self._is_broken_off:
                self._is_broken_off = self._is_writing = False
                if not self._is_over:
                    self._write_soon()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    # To the client.

    @property
    def waiting(self) -> int:
        """How many messages the client has yet to take."""
        return len(self._queue)

    def send(self, message: str | bytes) -> None:
        """Send ``message`` to the client, or queue it when the client has yet to take another."""
        if self._is_gone or self._close_frame is not None:
            return
        if self._is_writing:
            self._queue.append(message)
        else:
            self._is_writing = True
            try:
                rest = self._standby.begin(self._send(_event(message)))
            except Exception as error:
                self._write_failed(error)
                return
            if rest is None:
                self._is_writing = False
                if self._queue or self._close_frame is not None:
                    self._write_soon()
                return
            self._queue.appendleft(message)
            rest.then(self._write_on())
            self._writing = rest
            self._wake()
        self._queued_bytes += _size(message)
        limits = self._settings.limits
        if self._queued_bytes > limits.send_queue_bytes or len(self._queue) > limits.send_queue_frames:
            self._drop_stalled()

    def close(self, code: int | None, reason: str) -> None:
        """Close the connection after what is queued."""
        if self._is_gone or self._close_frame is not None:
            return
        self._close_frame = (1000 if code is None else code, reason)
        self._write_soon()

    def drain(self) -> None:
        """Close, because the server wants to stop: the client comes back."""
        self.close(SERVICE_RESTART, "Service restart")
        self._settings.clock.call_later(self._settings.closing_seconds, self._finish)

    def _write_soon(self) -> None:
        if self._is_writing:
            return
        self._is_writing = True
        try:
            self._writing = self._standby.begin(self._write())
        except Exception as error:
            self._write_failed(error)
        if self._writing is not None:
            self._wake()

    async def _write_on(self) -> None:
        """The first of the queue has been sent: write the others."""
        self._queued_bytes -= _size(self._queue.popleft())
        await self._write()

    async def _write(self) -> None:
        queue = self._queue
        while queue:
            await self._send(_event(queue[0]))
            self._queued_bytes -= _size(queue.popleft())
        if self._close_frame is not None:
            await self._send_close(*self._close_frame)
        # At once and not when this is seen to have ended: what is queued in between is written anew.
        self._is_writing = False

    async def _send_close(self, code: int, reason: str) -> None:
        # The client's answer ends it. One that does not answer is not waited for.
        self._settings.clock.call_later(self._settings.closing_seconds, self._finish)
        if self._reader is not None and self._is_receiving:
            # Granian sends no close frame while somebody waits in receive().
            self._reader.cancel()
            self._reader = None
            await asyncio.sleep(0)
        await self._send({"type": "websocket.close", "code": code, "reason": reason})
        if not self._is_over:
            self._read_soon()

    def _write_failed(self, error: Exception) -> None:
        # Servers differ in what they raise once the client has left; its leaving is reported by receive().
        _log.debug("%s: a frame could not be sent", self._name, exc_info=error)
        self._is_writing = False
        self._is_gone = True
        self._queue.clear()
        self._settings.clock.call_later(self._settings.closing_seconds, self._finish)

    def _drop_stalled(self) -> None:
        _log.warning(
            "%s: the client is dropped because it reads too slowly: %d frames of %d bytes wait for it. "
            "Limits(send_queue_frames=%d, send_queue_bytes=%d)",
            self._name,
            len(self._queue),
            self._queued_bytes,
            self._settings.limits.send_queue_frames,
            self._settings.limits.send_queue_bytes,
        )
        self._break_off(TRY_AGAIN_LATER, "The client reads too slowly")

    def _break_off(self, code: int, reason: str) -> None:
        """Close at once, without what is queued."""
        self._queue.clear()
        self._queued_bytes = 0
        self._close_frame = (code, reason)
        if self._writing is None:
            self._write_soon()
        else:
            # It is stuck in send(): the close frame goes past it.
            self._break_send()
        # Not within the send() of the object that found its reader stalled.
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_soon(self._socket.feed_close, code, reason, False)

    # From the client.

    def _read_soon(self) -> None:
        self._reader = asyncio.get_running_loop().create_task(self._read(), name="edgeagents: read a WebSocket")

    async def _read(self) -> None:
        reader = asyncio.current_task()
        try:
            # Once the connection is being closed, another reader waits for the client's answer.
            while self._reader is reader:
                self._is_receiving = True
                try:
                    message = await self._receive()
                finally:
                    self._is_receiving = False
                if message["type"] == "websocket.disconnect":
                    self._disconnected(message)
                    return
                frame = message.get("text")
                if frame is None:
                    frame = message.get("bytes") or b""
                if self._is_too_big(frame):
                    limit = self._settings.limits.frame_bytes
                    _log.warning("%s: a message is refused: Limits(frame_bytes=%d)", self._name, limit)
                    self._break_off(TOO_BIG, f"A message is at most {limit} bytes long")
                elif not self._told:
                    fed = self._socket.feed(frame)
                    if fed is not None:
                        await fed
        except asyncio.CancelledError:
            if reader is None or reader.cancelling():
                raise
            # What took the message was cancelled, and not this: there may be more messages, and an end.
            _log.error("%s: the handling of a message was cancelled", self._name)
            self._break_off(INTERNAL_ERROR, "Internal error")
        except Exception as error:
            if isinstance(error, ObjectError) and error.overloaded:
                _log.warning("%s: %s", self._name, error)
                self._break_off(TRY_AGAIN_LATER, "Durable Object is overloaded. Too many requests queued.")
            else:
                _log.exception("%s: the WebSocket failed", self._name)
                self._break_off(INTERNAL_ERROR, "Internal error")

    def _is_too_big(self, frame: str | bytes) -> bool:
        limit = self._settings.limits.frame_bytes
        if len(frame) > limit:
            return True
        return isinstance(frame, str) and len(frame) * 4 > limit and len(frame.encode("utf-8", "replace")) > limit

    def _disconnected(self, message: Message) -> None:
        if self._close_frame is not None:
            # The answer to our own close frame; not every server passes on which code it had.
            code, reason = self._close_frame
        else:
            code, reason = message.get("code") or NO_STATUS, message.get("reason") or ""
        self._is_gone = True
        self._tell(code, reason, was_clean=code != LOST)
        self._finish()

    def _tell(self, code: int, reason: str, *, was_clean: bool) -> None:
        if not self._told:
            self._told = True
            self._socket.feed_close(code, reason, was_clean)

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._writing is None:
            self._wake()
        else:
            self._break_send()

    def _break_send(self) -> None:
        """End the waiting in send(), whose client takes nothing."""
        if not self._is_broken_off:
            self._is_broken_off = True
            self._standby.interrupt()


def _size(message: str | bytes) -> int:
    """Return how many bytes ``message`` has on its way."""
    if isinstance(message, bytes) or message.isascii():
        return len(message)
    return len(message.encode("utf-8", "surrogatepass"))


def _event(message: str | bytes) -> Message:
    if isinstance(message, str):
        if not message.isascii():
            # Of a lone surrogate some servers fail, and some send nothing at all.
            message = encodable(message)
        return {"type": "websocket.send", "text": message}
    return {"type": "websocket.send", "bytes": message}
