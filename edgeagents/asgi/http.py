"""HTTP: one request from a server to a handler, and the response back as it is made.

The request's body is read when the handler asks for it. A response that is streamed goes out chunk by chunk, at the
speed of the client; when the client leaves, the body is closed and ``request.signal`` aborted, and the handler's own
work goes on. There is no limit to how long a response may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from edgeagents.asgi.broken_off import BrokenOff, CutOff
from edgeagents.asgi.channel import RequestChannel
from edgeagents.asgi.failures import answer_failure, cancelled_by_itself
from edgeagents.asgi.keep_alive import Silence
from edgeagents.asgi.request import ServerRequest
from edgeagents.asgi.response_head import head_fields
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Handle, Message, Receive, Scope, Send
from edgeagents.errors import BodyTooLarge, ClientDisconnected
from edgeagents.http import Request, Response
from edgeagents.http.closing import close
from edgeagents.objects.clock import TimerHandle

__all__ = ["serve_http"]

_log = logging.getLogger("edgeagents.asgi")
CHUNKS_IN_A_ROW = 32
_LENGTH = frozenset({b"content-length"})


async def serve_http(scope: Scope, receive: Receive, send: Send, handle: Handle, settings: Settings) -> bool:
    """Answer one request. Return False when ``handle`` returned None: then nothing was received and nothing sent.

    Raises ``BrokenOff`` when a streamed body failed on its way, and ``CutOff`` when the server stops meanwhile.
    """
    limits = settings.limits
    channel = RequestChannel(receive, limits, settings.clock)
    request = ServerRequest(scope, channel, limits)
    try:
        try:
            if limits.body_bytes is not None and (request.content_length or 0) > limits.body_bytes:
                raise BodyTooLarge(limits.body_bytes, "body_bytes")
            response = await handle(request)
        except Exception as error:
            response = answer_failure(error, request, debug=settings.debug)
        except asyncio.CancelledError as error:
            response = answer_failure(cancelled_by_itself(error), request, debug=settings.debug)
        if response is None:
            return False
        if response.websocket is not None or response.status < 200:
            _log.error(
                "%s %s was answered with status %d and %s WebSocket, but it asked for plain HTTP.",
                request.method,
                request.path,
                response.status,
                "no" if response.websocket is None else "a",
            )
            if response.websocket is not None:
                response.websocket.feed_close(1006, "", was_clean=False)
            await response.aclose()
            response = Response("Internal Server Error", status=500)
        await _send_response(response, request, channel, send, settings)
        return True
    finally:
        channel.close()
        if request._body is not None:
            request._body.close()


async def _send_response(
    response: Response, request: Request, channel: RequestChannel, send: Send, settings: Settings
) -> None:
    try:
        fields = _head(response, request)
    except ValueError as error:
        await response.aclose()
        response = answer_failure(error, request, debug=settings.debug)
        fields = _head(response, request)
    has_body = _may_have_body(response, request)
    if response.is_streaming and has_body:
        await _Stream(response, fields, request, channel, send, settings).run()
        return
    if has_body:
        body = await response.bytes()
    else:
        body = b""
        await response.aclose()
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        _log.debug("%s %s: the client left before it was answered", request.method, request.path)


def _may_have_body(response: Response, request: Request) -> bool:
    return request.method != "HEAD" and response.status not in (204, 205, 304)


def _head(response: Response, request: Request) -> list[tuple[bytes, bytes]]:
    if response.status in (204, 304):
        # A server that counts what it sends would wait for a body of this length.
        return head_fields(response, _LENGTH)
    if response.status == 205:
        return [*head_fields(response, _LENGTH), (b"content-length", b"0")]
    if not response.is_streaming:
        body = response.body
        assert body is None or isinstance(body, bytes)
        if request.method == "HEAD" and not body:
            # This may tell the length of a body that was never made.
            return head_fields(response)
        fields = head_fields(response, _LENGTH)
        fields.append((b"content-length", str(len(body or b"")).encode()))
        return fields
    if _is_event_stream(response):
        response.headers.setdefault("cache-control", "no-cache")
        response.headers.setdefault("x-accel-buffering", "no")
        # Comments would make a length untrue that was right for the events alone.
        return head_fields(response, _LENGTH)
    return head_fields(response)


class _Stream:
    """A response that is made while it is sent."""

    def __init__(
        self,
        response: Response,
        fields: list[tuple[bytes, bytes]],
        request: Request,
        channel: RequestChannel,
        send: Send,
        settings: Settings,
    ) -> None:
        self._response, self._fields, self._request, self._channel = response, fields, request, channel
        self._server_send = send
        self._settings = settings
        self._is_events = _is_event_stream(response)
        self._is_draining = False
        self._has_begun = False
        self._task: asyncio.Task[None]
        self._deadline: TimerHandle | None = None

    async def run(self) -> None:
        """Send all of it."""
        response, channel, connections = self._response, self._channel, self._settings.connections
        self._task = asyncio.get_running_loop().create_task(self._pump(), name="edgeagents: stream a response")
        channel.watch(on_gone=self._task.cancel)
        connections.add(self)
        identity = self._request.identity
        if identity is not None and identity.expires_at is not None and self._is_events:
            # Its reader comes back to resume, and is asked again who it is.
            left = (identity.expires_at - self._settings.clock.now()).total_seconds()
            self._deadline = self._settings.clock.call_later(left, self.drain)
        try:
            # Not awaited directly: a task that is cancelled must not look like this one's being cancelled.
            await asyncio.wait((self._task,))
        finally:
            connections.discard(self)
            if self._deadline is not None:
                self._deadline.cancel()
            if not self._task.done():
                self._task.cancel()
                await asyncio.wait((self._task,))
            if not self._has_begun:
                await response.aclose()
        if self._task.cancelled():
            error: BaseException | None = None
        else:
            error = self._task.exception()
        where = f"{self._request.method} {self._request.path}"
        if channel.gone or isinstance(error, ClientDisconnected):
            if error is not None and not isinstance(error, OSError):
                _log.error("%s: the body of the response failed when it was closed", where, exc_info=error)
            _log.debug("%s: the client left in the middle of the response", where)
        elif error is not None:
            _log.error("%s: the body of the response failed in mid-stream", where, exc_info=error)
            raise BrokenOff(f"{where}: the body of the response failed; see the log of edgeagents.asgi.") from None
        elif self._task.cancelled() and not self._is_events:
            raise CutOff(f"{where}: the response was cut because the server stops.")
        else:
            # An event stream may end at any time: its reader comes back and resumes.
            with contextlib.suppress(OSError):
                await self._server_send({"type": "http.response.body", "body": b""})

    def drain(self) -> None:
        if self._is_draining:
            return
        self._is_draining = True
        if self._is_events:
            self._task.cancel()
        else:
            # What is nearly done may end properly.
            self._settings.clock.call_later(self._settings.drain_seconds, self._task.cancel)

    async def _pump(self) -> None:
        self._has_begun = True
        settings, send, channel = self._settings, self._server_send, self._channel
        silence = Silence(self._send_chunk, settings.clock, settings.keep_alive_seconds) if self._is_events else None
        stream = self._response.stream()
        beat: asyncio.Task[None] | None = None
        in_a_row = 0
        try:
            await self._start()
            if silence is not None and not _is_encoded(self._response):
                beat = asyncio.get_running_loop().create_task(silence.keep_alive(), name="edgeagents: keep alive")
            async for chunk in stream:
                if channel.gone:
                    # The body did not let itself be cancelled.
                    raise ClientDisconnected
                if silence is not None:
                    if silence.comment is not None:
                        await silence.comment.wait()
                    silence.is_over = True
                try:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except OSError as error:
                    channel.lost()
                    raise ClientDisconnected from error
                if silence is not None:
                    silence.begins_after(chunk)
                    if self._is_draining:
                        break
                in_a_row += 1
                if in_a_row == CHUNKS_IN_A_ROW:
                    # A body that never waits, sent to a server that never waits either (as when the client has just
                    # left), would keep the event loop for itself, and with it the news that the client has left.
                    in_a_row = 0
                    await asyncio.sleep(0)
        finally:
            if beat is not None:
                beat.cancel()
            await close(stream)

    async def _start(self) -> None:
        await self._send({"type": "http.response.start", "status": self._response.status, "headers": self._fields})
        # Some servers and middlewares hold the head back until there is a body.
        await self._send_chunk(b"")

    async def _send_chunk(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def _send(self, message: Message) -> None:
        try:
            await self._server_send(message)
        except OSError as error:
            self._channel.lost()
            raise ClientDisconnected from error


def _is_event_stream(response: Response) -> bool:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"


def _is_encoded(response: Response) -> bool:
    return response.headers.get("content-encoding", "identity").lower() != "identity"
