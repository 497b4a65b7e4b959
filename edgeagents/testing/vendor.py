"""A vendor's server on loopback: it says what a test wrote down for it, in the vendor's own words.

A ``Vendor`` knows those words: it turns an ``Answer`` into bytes of the wire, and what was asked back into our
values. ``VendorServer`` knows HTTP, and how an answer ends: whole, silent, cut, or not at all.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, TypeAlias

from edgeagents.models import FinishReason, Message, ToolChoice, ToolDefinition, Usage

__all__ = [
    "USAGE",
    "Answer",
    "Asked",
    "Block",
    "Calls",
    "Ending",
    "Raw",
    "Received",
    "Refusal",
    "Says",
    "Thinks",
    "Vendor",
    "VendorServer",
    "says",
    "sse",
]

Json: TypeAlias = Any

Ending: TypeAlias = Literal["whole", "silent", "cut", "error", "open"]
"""``"whole"``; ``"silent"``: the response ends without the vendor's last words; ``"cut"``: the connection breaks;
``"error"``: the vendor's error event comes; ``"open"``: nothing more comes until the client leaves."""


USAGE = Usage(5, 7, 12, reasoning_tokens=2, cached_input_tokens=1)


@dataclass(frozen=True, slots=True)
class Says:
    """Text, in these pieces."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Thinks:
    """Reasoning, in these pieces."""

    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Calls:
    """A tool call whose input comes in these pieces."""

    tool_call_id: str
    tool_name: str
    pieces: tuple[str, ...]


Block: TypeAlias = Says | Thinks | Calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says. ``input_tokens`` counts those from the cache too, ``output_tokens`` the reasoning."""

    blocks: tuple[Block, ...]
    reason: FinishReason = "stop"
    usage: Usage = USAGE
    ending: Ending = "whole"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer with an error's status."""

    status: int
    message: str = "no such luck"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Raw:
    """A stream of exactly these bytes."""

    body: bytes


def says(*pieces: str, ending: Ending = "whole") -> Answer:
    """Return an answer that is text."""
    return Answer(blocks=(Says(pieces),), ending=ending)


def sse(data: Json, event: str | None = None) -> bytes:
    """Return one Server-Sent Event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was meant. What the vendor's protocol has no word for is None."""

    model: str
    system: str = ""
    messages: tuple[Message, ...] = ()
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    key: str = ""


class Vendor(ABC):
    """How one vendor's servers talk. ``root`` is the part of the path that is in a client's base URL."""

    root = "/v1"

    @abstractmethod
    def stream(self, answer: Answer) -> Iterator[bytes]:
        """Yield the events of ``answer``. One that does not end ``"whole"`` lacks what says that it is."""

    @abstractmethod
    def refusal(self, refusal: Refusal) -> Json:
        """Return the body of an error's response."""

    @abstractmethod
    def read(self, received: Received) -> Asked:
        """Return what was asked. Raises LookupError or ValueError when it is not in the vendor's form."""


class VendorServer:
    """Gives its answers in order: enter it with ``async with``.

    ``received`` are the requests as they came; ``left`` is set when a client leaves an answer that stays open.
    """

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor
        self.answers: list[Answer | Refusal | Raw] = []
        self.received: list[Received] = []
        self.left = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> VendorServer:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL that a client of this vendor is given."""
        assert self._server is not None, "Enter the server with 'async with' first."
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self.vendor.root}"

    @property
    def asked(self) -> list[Asked]:
        """The requests as they were meant."""
        return [self.vendor.read(each) for each in self.received]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="vendor server")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await _read_request(reader)) is not None:
                self.received.append(received)
                answer = self.answers.pop(0) if self.answers else Refusal(500, "The test has no further answer.")
                if not await self._answer(answer, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client has gone, which is its right.
        finally:
            writer.close()

    async def _answer(
        self, answer: Answer | Refusal | Raw, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer; return whether the connection can be used again."""
        if isinstance(answer, Refusal):
            body = json.dumps(self.vendor.refusal(answer)).encode()
            _write_head(writer, answer.status, {**answer.headers, "content-length": str(len(body))}, "application/json")
            writer.write(body)
            await writer.drain()
            return True
        _write_head(writer, 200, {"transfer-encoding": "chunked"}, "text/event-stream")
        for chunk in _pieces(self.vendor, answer):
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
        ending = answer.ending if isinstance(answer, Answer) else "whole"
        if ending == "cut":
            return False
        if ending == "open":
            await reader.read()
            self.left.set()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _pieces(vendor: Vendor, answer: Answer | Raw) -> Iterable[bytes]:
    pieces = vendor.stream(answer) if isinstance(answer, Answer) else (answer.body,)
    # An empty chunk would end the response.
    return (piece for piece in pieces if piece)


def _write_head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], media_type: str) -> None:
    lines = [f"HTTP/1.1 {status} -", f"content-type: {media_type}", *(f"{name}: {headers[name]}" for name in headers)]
    writer.write("\r\n".join([*lines, "", ""]).encode())


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, json.loads(body or b"{}"))
