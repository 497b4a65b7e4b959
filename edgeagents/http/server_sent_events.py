"""Server-Sent Events: one event to bytes, and bytes to events.

Both directions follow the HTML standard, section "Server-sent events". Keeping a silent stream alive is the
business of whoever sends it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from edgeagents.http.body import encode_text

__all__ = ["EventStreamParser", "ServerSentEvent", "parse_event_stream"]

_LINE_END = re.compile(r"\r\n|\r|\n")


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
    reported as events of their own.
    """

    def __init__(self, *, comments: bool = False) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._comments = comments
        self._text = ""
        self._at_start = True
        self._data: list[str] = []
        self._event = ""
        self._retry: int | None = None
        self.last_event_id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that ``chunk`` completes."""
        text = self._text + self._decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        events: list[ServerSentEvent] = []
        start = 0
        for end in _LINE_END.finditer(text):
            if end.group() == "\r" and end.end() == len(text):
                # Half of a CRLF, perhaps.
                break
            self._line(text[start : end.start()], events)
            start = end.end()
        self._text = text[start:]
        return events

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
            self._data, self._event, self._retry = [], "", None
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                if self._comments:
                    events.append(ServerSentEvent(comment=value))
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self.last_event_id = value
            case "retry" if value.isascii() and value.isdigit():
                self._retry = int(value)
            case _:
                pass


async def parse_event_stream(chunks: AsyncIterable[bytes], *, comments: bool = False) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a stream of bytes, as each one is complete."""
    parser = EventStreamParser(comments=comments)
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
