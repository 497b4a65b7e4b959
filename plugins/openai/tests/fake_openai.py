"""A server on loopback that speaks both of OpenAI's protocols, and says what a test wrote down for it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn


@dataclass
class Answer:
    """One answer: ``events`` are streamed; then the stream ends, is cut, or stays open. Or ``body``, as it is."""

    events: Sequence[Any] = ()
    then: str = "end"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class FakeOpenAI:
    """Gives its answers in order. ``left`` is set when a client leaves an answer that stays open."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[Asked] = []
        self.left = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(Asked(scope["path"], headers, json.loads(body)))
        answer = self.answers.pop(0)
        if answer.status != 200 or answer.body is not None:
            await self._send_body(answer, send)
            return
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for event in answer.events:
            chunk = _event(event, scope["path"])
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if answer.then == "cut":
            raise ConnectionResetError("cut by the test")
        if answer.then == "stay":
            assert (await receive())["type"] == "http.disconnect"
            self.left.set()
            return
        if scope["path"].endswith("/chat/completions"):
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _send_body(self, answer: Answer, send: Any) -> None:
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        headers.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer.body).encode()})


def _event(event: dict[str, Any], path: str) -> bytes:
    text = json.dumps(event, ensure_ascii=False)
    name = "" if path.endswith("/chat/completions") else f"event: {event['type']}\n"
    return f"{name}data: {text}\n\n".encode()


@asynccontextmanager
async def fake_openai() -> AsyncGenerator[FakeOpenAI, None]:
    """Serve on a port of the system's choice."""
    app = FakeOpenAI()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app.port = listener.getsockname()[1]
    config = uvicorn.Config(app, lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield app
    finally:
        server.should_exit = True
        await serving
        listener.close()


# Chat Completions


def chat(*, text: str | None = None, reason: str | None = None, **delta: Any) -> dict[str, Any]:
    """Return one chunk of Chat Completions."""
    if text is not None:
        delta["content"] = text
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o",
        "choices": [choice],
    }


def chat_usage() -> dict[str, Any]:
    """Return the chunk that tells what was used."""
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    return {**chat(), "choices": [], "usage": usage}


def chat_call(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    """Return a chunk with a piece of a tool call."""
    call: dict[str, Any] = {"index": index, "function": {"arguments": arguments}}
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
        call["function"]["name"] = name
    return chat(tool_calls=[call])


# Responses


def event(kind: str, **fields: Any) -> dict[str, Any]:
    """Return one event of the Responses API."""
    return {"type": f"response.{kind}", "sequence_number": 0, **fields}


def text_event(text: str) -> dict[str, Any]:
    """Return an event with a piece of text."""
    return event("output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=text, logprobs=[])


def call_events(call_id: str, name: str, *pieces: str) -> list[dict[str, Any]]:
    """Return the events of one tool call."""
    item = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name, "arguments": ""}
    deltas = [
        event("function_call_arguments.delta", item_id=item["id"], output_index=0, delta=piece) for piece in pieces
    ]
    done = {**item, "arguments": "".join(pieces), "status": "completed"}
    return [
        event("output_item.added", output_index=0, item=item),
        *deltas,
        event("output_item.done", output_index=0, item=done),
    ]


def end_event(
    kind: str = "completed", *, incomplete: str | None = None, error: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the event that ends a response."""
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o",
        "status": kind,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": error,
        "incomplete_details": None if incomplete is None else {"reason": incomplete},
        "usage": {
            "input_tokens": 5,
            "output_tokens": 7,
            "total_tokens": 12,
            "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
    }
    return event(kind, response=response)
