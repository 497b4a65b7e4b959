"""A model's server that says numbered words, each when a test lets it, and hangs up when it is told to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

__all__ = ["CountingModels", "word"]


def word(number: int) -> str:
    """Return what the model says as its ``number``-th word."""
    return f"w{number} "


class _Talk:
    """What one model says to its latest caller."""

    def __init__(self, words: int) -> None:
        self.words = words
        self.allowed = 0
        self.more = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None

    @property
    def is_open(self) -> bool:
        return self.writer is not None


class CountingModels:
    """Speaks Chat Completions on loopback. A model's name is that of the agent which asks it."""

    def __init__(self) -> None:
        self._talks: dict[str, _Talk] = {}
        self._server: asyncio.Server | None = None
        self.changed = asyncio.Event()

    async def start(self) -> str:
        """Listen, and return the base URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        assert self._server is not None
        for talk in self._talks.values():
            self._hang_up(talk)
        self._server.close()

    def expect(self, name: str, words: int) -> None:
        """Know a model that says ``words`` words, none of them yet."""
        self._talks[name] = _Talk(words)

    def allow(self, name: str, words: int) -> None:
        """Let the model say so many words more."""
        talk = self._talks[name]
        talk.allowed = min(talk.allowed + words, talk.words)
        talk.more.set()

    def finish(self, name: str) -> None:
        """Let the model say all it has to, and end."""
        self.allow(name, self._talks[name].words)

    def is_talking(self, name: str) -> bool:
        """Whether somebody listens to the model."""
        return self._talks[name].is_open

    def hang_up(self, name: str) -> None:
        """Break the connection in the middle of the answer."""
        self._hang_up(self._talks[name])

    def _hang_up(self, talk: _Talk) -> None:
        writer, talk.writer = talk.writer, None
        if writer is not None:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            body = await _body(reader)
            talk = self._talks[body["model"]]
            said = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "assistant"), "")
            talk.writer = writer
            self._tell()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            await self._say(talk, writer, said.count(" "))
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _say(self, talk: _Talk, writer: asyncio.StreamWriter, number: int) -> None:
        while number < talk.words:
            while number >= talk.allowed:
                talk.more.clear()
                await talk.more.wait()
            if talk.writer is not writer:
                return
            writer.write(_event({"content": word(number)}))
            await writer.drain()
            number += 1
        writer.write(_event({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()
        if talk.writer is writer:
            talk.writer = None
        self._tell()

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


async def _body(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return json.loads(await reader.readexactly(int(lengths[0])))


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n".encode()
