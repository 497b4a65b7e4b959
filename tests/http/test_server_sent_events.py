from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from time import process_time
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents.http import EventStreamParser, ServerSentEvent, parse_event_stream


@pytest.mark.parametrize(
    ("event", "wire"),
    [
        (ServerSentEvent(data="a"), b"data: a\n\n"),
        (ServerSentEvent(data=""), b"data: \n\n"),
        (ServerSentEvent(data="a\r\nb\rc\n"), b"data: a\ndata: b\ndata: c\ndata: \n\n"),
        (ServerSentEvent(comment="hi"), b": hi\n\n"),
        (ServerSentEvent(data="d", event="e", id="1", retry=50), b"event: e\nid: 1\nretry: 50\ndata: d\n\n"),
        (ServerSentEvent(data="\ud800"), "data: \ufffd\n\n".encode()),
    ],
)
def test_encode(event: ServerSentEvent, wire: bytes):
    assert event.encode() == wire


@pytest.mark.parametrize("fields", [{"id": "a\nb"}, {"event": "a\rb"}, {"id": "a\0"}])
def test_fields_that_would_break_the_stream_are_refused(fields: dict[str, str]):
    with pytest.raises(ValueError, match="server-sent event"):
        ServerSentEvent(data="", **fields)


def parse(wire: bytes, *, cut: int = 0, comments: bool = False, limit: int = 10_000) -> list[ServerSentEvent]:
    parser = EventStreamParser(comments=comments, limit=limit)
    pieces = [wire[i : i + cut] for i in range(0, len(wire), cut)] if cut else [wire]
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("wire", "events"),
    [
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [ServerSentEvent(data="a")], id="byte order mark"),
        pytest.param(b"data:a\r\ndata:  b\r\n\r\nx", [ServerSentEvent(data="a\n b")], id="crlf"),
        pytest.param(b"data:a\r\rdata:b\r\r:", [ServerSentEvent(data="a"), ServerSentEvent(data="b")], id="cr"),
        pytest.param(
            b"id: 1\ndata: a\n\ndata: b\n\nid\ndata\n\n",
            [ServerSentEvent(data="a", id="1"), ServerSentEvent(data="b", id="1"), ServerSentEvent(data="", id="")],
            id="the id stays until it changes",
        ),
        pytest.param(b"event: x\n\ndata: a\n\n", [ServerSentEvent(data="a")], id="nothing without data"),
        pytest.param(b"data: a\n", [], id="unfinished"),
        pytest.param(b"retry: 5\ndata: a\n\n", [ServerSentEvent(data="a", retry=5)], id="retry"),
        pytest.param(b"retry: " + b"9" * 5000 + b"\ndata: a\n\n", [ServerSentEvent(data="a")], id="retry without end"),
        pytest.param(b"retry: x\nid: \0\nnope: 1\ndata: a\n\n", [ServerSentEvent(data="a")], id="ignored fields"),
        pytest.param("data: ü€\n\n".encode(), [ServerSentEvent(data="ü€")], id="characters are cut"),
        pytest.param(b": c\n\ndata: a\n\n", [ServerSentEvent(data="a")], id="comment"),
    ],
)
def test_parse_however_it_is_cut(wire: bytes, events: list[ServerSentEvent], cut: int):
    assert parse(wire, cut=cut) == events


def test_comments_are_reported_when_asked_for():
    assert parse(b": keep-alive\n\n", comments=True) == [ServerSentEvent(comment="keep-alive")]


async def test_parse_event_stream_yields_as_it_comes():
    async def chunks() -> AsyncIterator[bytes]:
        yield b"data: a\n"
        yield b"\ndata: b\n\n"

    assert [event.data async for event in parse_event_stream(chunks())] == ["a", "b"]


async def test_a_stream_that_is_not_read_to_its_end_is_closed():
    closed: list[bool] = []

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: a\n\n"
        finally:
            closed.append(True)

    async with aclosing(cast("AsyncGenerator[ServerSentEvent]", parse_event_stream(chunks()))) as events:
        assert (await anext(events)).data == "a"

    assert closed == [True]


def test_an_event_is_reported_when_its_blank_line_begins_to_end():
    parser = EventStreamParser()

    assert parser.feed(b"data: a\r\n\r") == [ServerSentEvent(data="a")]
    assert parser.feed(b"\ndata: b\r\r") == [ServerSentEvent(data="b")]
    assert parser.feed(b"\n") == []


def test_a_long_line_that_comes_in_many_pieces_takes_no_longer_than_its_pieces():
    parser = EventStreamParser()
    began = process_time()

    parser.feed(b"data: ")
    for _ in range(1024):
        parser.feed(b"x" * 4096)
    events = parser.feed(b"\n\n")

    # Ten seconds, if each piece were looked through with all that came before it.
    assert process_time() - began < 2
    assert events == [ServerSentEvent(data="x" * 4096 * 1024)]


@pytest.mark.parametrize(
    "wire", [b"data: 12345678901", b"data: 12345\ndata: 67890\n", b"data\n" * 11, b": 12345678901"], ids=str
)
@pytest.mark.parametrize("cut", [0, 1])
def test_an_event_that_is_longer_than_the_limit_is_refused(wire: bytes, cut: int):
    with pytest.raises(ValueError, match="longer than 10 characters"):
        parse(wire, cut=cut, limit=10)


def test_the_limit_is_for_each_event_and_comments_that_are_over_do_not_count():
    parser = EventStreamParser(limit=10)

    events = [event for _ in range(5) for event in parser.feed(b": 12345\ndata: 123\n: 12345\n\n")]

    assert [event.data for event in events] == ["123"] * 5


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=10)


@given(st.lists(st.tuples(_text, _line, _line), max_size=5), st.integers(1, 7))
def test_what_is_encoded_is_parsed_again(events: list[tuple[str, str, str]], cut: int):
    wire = b"".join(ServerSentEvent(data=data, event=event, id=id).encode() for data, event, id in events)

    parsed = parse(wire, cut=cut)

    normal = [data.replace("\r\n", "\n").replace("\r", "\n") for data, _, _ in events]
    assert [(e.data, e.event or "", e.id) for e in parsed] == [
        (data, event, id) for data, (_, event, id) in zip(normal, events, strict=True)
    ]
