"""Chat over plain HTTP: the history, and the stream of a turn for whoever has no WebSocket.

* ``.../get-messages``: the transcript as a JSON array.
* ``.../chat-stream/{request id}``: the chunks of a turn as the AI SDK's UI message stream, each with its number as the
  event's id; ``latest`` is the latest turn. It goes on after ``Last-Event-ID`` or from ``?cursor=``. With ``?poll=1``
  the answer is JSON, ``{"chunks", "cursor", "done"}``, and waits for a while when there is nothing new.

They are cursors on the same log that WebSockets read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

from edgeagents.agents.capability import CapabilityHost
from edgeagents.agents.chat.chunk_log import ChunkLogs
from edgeagents.agents.chat.transcript import Transcript
from edgeagents.agents.streams import DurableStreams, event_cursor
from edgeagents.errors import BadRequest, StreamError
from edgeagents.http import Request, Response
from edgeagents.models.encoding import UI_MESSAGE_STREAM_HEADERS

__all__ = ["Doors"]

MESSAGES_PATH = "get-messages"
STREAM_PATH = "chat-stream"
LATEST = "latest"
POLL_SECONDS = 25.0
POLL_CHUNKS = 1000


class Doors:
    """Answers requests for an agent's conversation."""

    def __init__(self, host: CapabilityHost, transcript: Transcript, logs: ChunkLogs) -> None:
        self._transcript, self._logs = transcript, logs
        self._streams: DurableStreams = host.find("streams")
        self._clock = host.ctx.clock

    async def answer(self, request: Request) -> Response | None:
        """Return the answer to a request that is for chat, None for any other."""
        segments = request.path.split("/")
        if segments[-1] == MESSAGES_PATH:
            return self._messages()
        if len(segments) > 2 and segments[-2] == STREAM_PATH and request.method in ("GET", "HEAD"):
            return await self._stream(request, segments[-1])
        return None

    def _messages(self) -> Response:
        text = ",".join(self._transcript.texts())
        return Response(f"[{text}]", headers={"content-type": "application/json", "cache-control": "no-store"})

    async def _stream(self, request: Request, wanted: str) -> Response:
        request_id = None if wanted == LATEST else wanted
        stream_id = self._logs.stream_of(request_id)
        status = None if stream_id is None else self._streams.status(stream_id)
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
                text = json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))
                yield f"id: {number}\ndata: {text}\n\n".encode("utf-8", "replace")
        except StreamError:
            # How it ended follows.
            pass
        finally:
            await chunks.aclose()
        end = self._end(stream_id)
        if end is not None:
            yield f"data: {json.dumps(end, ensure_ascii=False, separators=(',', ':'))}\n\n".encode("utf-8", "replace")
        yield b"data: [DONE]\n\n"

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
