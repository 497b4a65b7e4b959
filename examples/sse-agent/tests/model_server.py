"""A model server on loopback that speaks as much of OpenAI's API as streaming text needs.

It says one word each time that the test lets it, so a test can look at what has arrived before the next one exists.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ["Here ", "is ", "a ", "Worker ", "for ", "you: ", "export ", "default ", "{}", "."]
PATIENCE_SECONDS = 30.0


class ModelServer(ThreadingHTTPServer):
    """Answers every prompt with ``WORDS``. ``asked`` is what it was asked, with the key."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self._may_say = threading.Semaphore(0)
        self._is_free = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def say(self, words: int = 1) -> None:
        """Let it say so many more words."""
        for _ in range(words):
            self._may_say.release()

    def say_all(self) -> None:
        """Let it speak freely from now on."""
        self._is_free.set()
        self.say(len(WORDS))

    def wait_for_leave(self) -> None:
        if not self._is_free.is_set() and not self._may_say.acquire(timeout=PATIENCE_SECONDS):
            raise TimeoutError("The test never let the model go on.")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that went away: some tests kill them."""


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append({"key": self.headers["authorization"], "path": self.path, **body})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        words = WORDS[_words_said(body) :]
        events = _chat_completion(words) if self.path.endswith("/chat/completions") else _response(words)
        for event in events:
            if event is None:
                self.server.wait_for_leave()
                continue
            self.wfile.write(event.encode())
            self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _words_said(body: dict[str, Any]) -> int:
    """Return how many words the model has said already in an answer that it is asked to go on with."""
    for message in reversed(body.get("input") or body.get("messages") or []):
        if message.get("role") == "assistant":
            content = message["content"]
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            return next(count for count in range(len(WORDS) + 1) if "".join(WORDS[:count]) == text)
    return 0


def _response(words: Sequence[str]) -> Iterator[str | None]:
    """Yield the events of the Responses API, None where the next word waits for leave."""
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "output": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    numbers = iter(range(1000))

    def event(kind: str, **fields: Any) -> str:
        data = json.dumps({"type": kind, "sequence_number": next(numbers), **fields})
        return f"event: {kind}\ndata: {data}\n\n"

    yield event("response.created", response={**response, "status": "in_progress"})
    yield event("response.output_item.added", output_index=0, item=item)
    yield event("response.content_part.added", part=part, **at)
    for word in words:
        yield None
        yield event("response.output_text.delta", delta=word, logprobs=[], **at)
    text = "".join(words)
    yield event("response.output_text.done", text=text, logprobs=[], **at)
    done = {**item, "status": "completed", "content": [{**part, "text": text}]}
    yield event("response.output_item.done", output_index=0, item=done)
    usage = {
        "input_tokens": 5,
        "output_tokens": len(WORDS),
        "total_tokens": 5 + len(WORDS),
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    yield event("response.completed", response={**response, "status": "completed", "output": [done], "usage": usage})


def _chat_completion(words: Sequence[str]) -> Iterator[str | None]:
    """Yield the chunks of the Chat Completions API, None where the next word waits for leave."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [choice]}
        return f"data: {json.dumps(data)}\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for word in words:
        yield None
        yield chunk({"content": word})
    yield chunk({}, "stop")
    yield "data: [DONE]\n\n"


@contextmanager
def model_server() -> Iterator[ModelServer]:
    server = ModelServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.say_all()
        server.shutdown()
        server.server_close()
        thread.join(10)
