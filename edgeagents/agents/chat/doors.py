"""Chat over plain HTTP: the history, turns, and their streams, for whoever has no WebSocket.

* ``.../get-messages``: the transcript as a JSON array.
* ``.../chat-stream/{request id}``: the chunks of a turn as the AI SDK's UI message stream, each with its number as the
  event's id; ``latest`` is the latest turn. It goes on after ``Last-Event-ID`` or from ``?cursor=``. With ``?poll=1``
  the answer is JSON, ``{"chunks", "cursor", "done"}``, and waits for a while when there is nothing new.
* ``POST {agent's URL}/chat``: what the AI SDK's ``DefaultChatTransport`` sends is a turn, and the answer its stream.
  The turn goes on when the client has gone; ``.../chat/{any id}/stream``, which that transport asks to resume, gives
  the one that runs. WebSockets see these turns as any other.

They are cursors on the same log that WebSockets read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any
from urllib.parse import unquote

from edgeagents.agents.capability import CapabilityHost
from edgeagents.agents.chat.chunk_log import ChunkLogs
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.chat.turns import ChatTurn
from edgeagents.agents.kebab import kebab_case
from edgeagents.agents.protocol import encode
from edgeagents.agents.streams import DurableStreams, event_cursor
from edgeagents.errors import BadRequest, StreamError
from edgeagents.http import Request, Response
from edgeagents.models.encoding import UI_MESSAGE_STREAM_HEADERS

__all__ = ["Doors"]

MESSAGES_PATH = "get-messages"
STREAM_PATH = "chat-stream"
LATEST = "latest"
CHAT_PATH = "chat"
POLL_SECONDS = 25.0
POLL_CHUNKS = 1000

_DONE = b"data: [DONE]\n\n"


class Doors:
    """Answers requests for an agent's conversation."""

    def __init__(
        self, host: CapabilityHost, transcript: Transcript, logs: ChunkLogs, turns: Callable[[], list[ChatTurn]]
    ) -> None:
        self._transcript, self._logs, self._turns = transcript, logs, turns
        # The path that reaches a sub-agent begins behind its own name.
        self._own = (kebab_case(host.class_name), host.name) if host.ctx.facet_name is None else ("",)
        self._streams: DurableStreams = host.find("streams")
        self._clock = host.ctx.clock

    def asks_for_turn(self, request: Request) -> bool:
        """Whether ``request`` wants a turn."""
        segments = request.path.split("/")
        return request.method == "POST" and segments[-1] == CHAT_PATH and self._is_own(segments[-3:-1])

    def _is_own(self, segments: list[str]) -> bool:
        # An agent may have the name of a door; its own path ends with its class and its name, and a door comes after.
        return tuple(segments) == self._own or tuple(map(unquote, segments)) == self._own

    def show(self, turn: ChatTurn) -> Response:
        """Answer with the stream of a turn that was accepted."""
        return Response(self._show(turn), headers={**UI_MESSAGE_STREAM_HEADERS, "x-chat-request-id": turn.request_id})

    async def _show(self, turn: ChatTurn) -> AsyncGenerator[bytes, None]:
        await turn.begun.wait()
        stream_id = self._logs.stream_of(turn.request_id)
        if stream_id is not None:
            async for data in self._events(stream_id, 0):
                yield data
            return
        result = await turn.done
        end: dict[str, Any] | None = None
        if result.status == "error":
            end = {"type": "error", "errorText": result.error or "The turn failed."}
        elif result.status != "completed":
            end = {"type": "abort"}
        if end is not None:
            yield _event(end)
        yield _DONE

    async def answer(self, request: Request) -> Response | None:
        """Return the answer to a request that is for chat, None for any other."""
        segments = request.path.split("/")
        is_resuming = segments[-1] == "stream" and segments[-3:-2] == [CHAT_PATH] and self._is_own(segments[-5:-3])
        if is_resuming and request.method == "GET":
            return await self._stream(request, LATEST, only_running=True)
        if segments[-1] == MESSAGES_PATH:
            return self._messages()
        if len(segments) > 2 and segments[-2] == STREAM_PATH and request.method in ("GET", "HEAD"):
            return await self._stream(request, segments[-1])
        return None

    def _messages(self) -> Response:
        text = ",".join(self._transcript.texts())
        return Response(f"[{text}]", headers={"content-type": "application/json", "cache-control": "no-store"})

    async def _stream(self, request: Request, wanted: str, *, only_running: bool = False) -> Response:
        request_id = None if wanted == LATEST else wanted
        stream_id = self._logs.stream_of(request_id)
        status = None if stream_id is None else self._streams.status(stream_id)
        if only_running and (status is None or status.state in ("completed", "errored")):
            # One that was accepted and has yet to begin runs too, for whoever asks.
            accepted = next((turn for turn in self._turns() if not turn.begun.is_set()), None)
            return Response(status=204) if accepted is None else self.show(accepted)
        if stream_id is None or status is None:
            # As the AI SDK wants it: nothing to resume is no error.
            return Response(status=204) if request_id is None else Response("There is no such turn.", status=404)
        try:
            start = event_cursor(request, end=status.cursor)
        except BadRequest as error:
            return Response(str(error), status=400)
        if request.query.get("poll"):
            return await self._poll(request, stream_id, start)
        if start and start == status.cursor and status.state in ("completed", "errored"):
            return Response(status=204)
        return Response(self._events(stream_id, start), headers=UI_MESSAGE_STREAM_HEADERS)

    async def _events(self, stream_id: str, start: int) -> AsyncGenerator[bytes, None]:
        chunks = self._streams.read(stream_id, from_=start)
        try:
            async for number, chunk in chunks:
                yield f"id: {number}\n".encode() + _event(chunk)
        except StreamError:
            # How it ended follows.
            pass
        finally:
            await chunks.aclose()
        end = self._end(stream_id)
        if end is not None:
            yield _event(end)
        yield _DONE

    def _end(self, stream_id: str) -> dict[str, Any] | None:
        """Return the chunk that tells how a turn ended, when it was not as it should. It is in no log."""
        status = self._streams.status(stream_id)
        if status is None or status.state == "interrupted":
            return {"type": "error", "errorText": "The turn was interrupted."}
        if status.state == "errored":
            return {"type": "error", "errorText": status.reason or "The turn failed."}
        return {"type": "abort"} if status.metadata.get("outcome") == "aborted" else None

    async def _poll(self, request: Request, stream_id: str, start: int) -> Response:
        chunks = await self._news(stream_id, start)
        status = self._streams.status(stream_id)
        cursor = start + len(chunks)
        is_done = status is None or (status.state in ("completed", "errored") and cursor >= status.cursor)
        body: dict[str, Any] = {"chunks": chunks, "cursor": cursor, "done": is_done}
        return Response.from_json(body)

    async def _news(self, stream_id: str, start: int) -> list[Any]:
        batches = self._streams.read_batches(stream_id, from_=start, batch_size=POLL_CHUNKS)
        reading = asyncio.ensure_future(anext(batches, None))
        timer = self._clock.call_later(POLL_SECONDS, reading.cancel)
        try:
            return [chunk for _, chunk in await reading or ()]
        except StreamError:
            return []
        except asyncio.CancelledError:
            if not reading.cancelled() or (task := asyncio.current_task()) is None or task.cancelling():
                raise
            return []
        finally:
            timer.cancel()
            reading.cancel()
            await batches.aclose()


def _event(chunk: Any) -> bytes:
    return f"data: {encode(chunk)}\n\n".encode("utf-8", "replace")
