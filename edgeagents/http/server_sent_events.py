"""Server-Sent Events: one event to bytes, and bytes to events.

Both directions follow the HTML standard, section "Server-sent events". Keeping a silent stream alive is the
business of whoever sends it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from edgeagents.http.body import DEFAULT_BUFFER_LIMIT, encode_text
from edgeagents.http.closing import close

__all__ = ["EventStreamParser", "ServerSentEvent", "parse_event_stream"]

_LINE_END = re.compile(r"\r\n|\r|\n")
# No browser waits for longer, and int() refuses thousands of digits.
_RETRY_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One event of a stream of ``text/event-stream``. What is None is not sent.

    ``retry`` is in milliseconds. An event with a comment alone is a sign of life that no browser reports.
    """

    data: str | None = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for name in ("event", "id"):
            value = getattr(self, name)
            if value is not None and _LINE_END.search(value):
                raise ValueError(f"The {name} of a server-sent event is one line, not {value!r}.")
        if self.id is not None and "\0" in self.id:
            raise ValueError("The id of a server-sent event cannot hold NUL: browsers would ignore it.")

    def encode(self) -> bytes:
        """Return the event as it goes over the wire, with the blank line that ends it."""
        lines: list[str] = []
        if self.comment is not None:
            lines += [f": {line}" for line in _LINE_END.split(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        if self.data is not None:
            lines += [f"data: {line}" for line in _LINE_END.split(self.data)]
        return encode_text("\n".join(lines) + "\n\n")


class EventStreamParser:
    """Bytes in, events out. It knows no I/O.

    As a browser does, it reports an event only when it has data and its blank line has come. Each event has
    the id that was last sent, so that a reader may resume from any of them. With ``comments``, comments are
    reported as events of their own. An event of more than ``limit`` characters raises ValueError.
    """

    def __init__(self, *, comments: bool = False, limit: int = DEFAULT_BUFFER_LIMIT) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._comments, self._limit = comments, limit
        self._begun: list[str] = []
        """The pieces of a line that has not ended."""
        self._begun_size = self._data_size = 0
        self._at_start = True
        self._is_half_ended = False
        """Whether the last line ended with CR, of which LF may be the other half."""
        self._data: list[str] = []
        self._event = ""
        self._retry: int | None = None
        self.last_event_id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that ``chunk`` completes."""
        text = self._decode(chunk)
        events: list[ServerSentEvent] = []
        if not text:
            return events
        if self._at_start:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        if self._is_half_ended:
            text = text.removeprefix("\n")
        self._is_half_ended = text.endswith("\r")
        start = 0
        for end in _LINE_END.finditer(text):
            line = text[start : end.start()]
            if self._begun:
                line = "".join([*self._begun, line])
                self._begun, self._begun_size = [], 0
            self._line(line, events)
            start = end.end()
        if start < len(text):
            self._begun.append(text[start:])
            self._begun_size += len(text) - start
            self._check_size()
        return events

    def _check_size(self) -> None:
        if self._begun_size + self._data_size > self._limit:
            raise ValueError(
                f"A server-sent event is longer than {self._limit} characters: EventStreamParser(limit=...)"
            )

    def _line(self, line: str, events: list[ServerSentEvent]) -> None:
        if not line:
            if self._data:
                events.append(
                    ServerSentEvent(
                        data="\n".join(self._data),
                        event=self._event or None,
                        id=self.last_event_id,
                        retry=self._retry,
                    )
                )
            self._data, self._event, self._retry, self._data_size = [], "", None, 0
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                if self._comments:
                    events.append(ServerSentEvent(comment=value))
            case "data":
                self._data.append(value)
                self._data_size += len(value) + 1
                self._check_size()
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self.last_event_id = value
            case "retry" if value.isascii() and value.isdigit() and len(value) <= _RETRY_DIGITS:
                self._retry = int(value)
            case _:
                pass


async def parse_event_stream(chunks: AsyncIterable[bytes], *, comments: bool = False) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a stream of bytes, as each one is complete."""
    parser = EventStreamParser(comments=comments)
    try:
        async for chunk in chunks:
            for event in parser.feed(chunk):
                yield event
    finally:
        await close(chunks)
