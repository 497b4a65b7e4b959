from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from edgeagents.agents.chat.reply import Reply, event_stream_chunks, read_reply, rewrite_finish, stamp_start
from edgeagents.http import Response, ServerSentEvent
from edgeagents.models import ModelHandle, TextDelta, TextResult, TextStart, stream_text
from edgeagents.models.encoding import UIOptions
from edgeagents.models.parts import ErrorPart, Finish, Part, ReasoningDelta, Start, ToolCall
from tests.models.fakes import ScriptedProvider, said


async def chunks_of(reply: Reply, **more: Any) -> list[dict[str, Any]]:
    stream = read_reply(reply, "r1", **more)
    assert stream is not None
    return [chunk async for chunk in stream]


def text(*deltas: str, id: str = "r1") -> list[dict[str, Any]]:
    middle = [{"type": "text-delta", "id": id, "delta": delta} for delta in deltas]
    return [{"type": "text-start", "id": id}, *middle, {"type": "text-end", "id": id}]


HELLO = [{"type": "start"}, *text("Hello", id="1"), {"type": "finish", "finishReason": "stop"}]


def events(*chunks: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def test_nothing_is_no_reply() -> None:
    assert read_reply(None, "r1") is None


async def test_text_is_one_part_named_by_the_request() -> None:
    assert await chunks_of("Hello") == text("Hello")
    assert await chunks_of("") == text()


async def test_a_response_of_text_is_one_part_with_a_delta_for_each_piece() -> None:
    reply = Response(iter(["Hel", "lo"]), headers={"content-type": "text/plain"})
    assert await chunks_of(reply) == text("Hel", "lo")


async def test_a_response_without_a_body_has_no_chunks() -> None:
    assert await chunks_of(Response(None)) == []
    assert await chunks_of(Response("")) == text()


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_text_that_is_cut_inside_a_letter_is_whole(size: int) -> None:
    found = await chunks_of(Response(pieces("\ufeffGrüße 🎉".encode(), size)))
    assert found[0] == {"type": "text-start", "id": "r1"}
    assert "".join(chunk.get("delta", "") for chunk in found) == "Grüße 🎉"
    assert all(chunk["delta"] for chunk in found[1:-1])


async def test_bytes_that_are_no_text_are_replaced() -> None:
    assert await chunks_of(Response(pieces(b"a\xff\xe2\x82", 1))) == text("a", "\ufffd", "\ufffd")


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_an_event_stream_is_read_in_any_cutting(size: int) -> None:
    reply = Response(
        pieces(events(*HELLO) + b"data: [DONE]\n\n", size), headers={"content-type": "text/event-stream; charset=utf-8"}
    )
    assert await chunks_of(reply) == HELLO


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"type":"a"}\r\n\r\ndata: {"type":"b"}\r\n\r\n',
        b': alive\n\nid: 1\nevent: message\ndata:{"type":"a"}\n\nretry: 5\n\ndata: {"type":"b"}\n\n',
        b'data: {"type":\ndata: "a"}\n\ndata: {"type":"b"}\n\n',
        b'data: {"type":"a"}\ndata: {"type":"b"}\n\n',
        b'data: {"type":"a"}\n\ndata: {"type":"b"}',
        b'data: {"type":"a"}\n\ndata: [1]\n\ndata: hello\n\ndata: {"type":1}\n\ndata: {}\n\ndata: {"type":"b"}\n\n',
        b'data: [DONE]\n\ndata: {"type":"a"}\n\ndata: {"type":"b"}\n\n',
    ],
)
async def test_what_is_no_chunk_is_left_out_of_an_event_stream(data: bytes) -> None:
    assert [chunk["type"] async for chunk in event_stream_chunks(pieces(data, 4))] == ["a", "b"]


async def test_our_own_event_streams_are_read() -> None:
    async def made() -> AsyncIterator[str | ServerSentEvent]:
        for chunk in HELLO:
            yield json.dumps(chunk)

    assert await chunks_of(Response.event_stream(made())) == HELLO


async def test_a_generator_of_chunks_is_the_stream() -> None:
    async def made() -> AsyncIterator[dict[str, Any]]:
        for chunk in HELLO:
            yield chunk

    def made_in_a_thread() -> Iterator[dict[str, Any]]:
        yield from HELLO

    assert await chunks_of(made()) == HELLO
    assert await chunks_of(made_in_a_thread()) == HELLO
    assert await chunks_of(HELLO) == HELLO


async def test_each_run_of_text_among_chunks_is_a_part_of_its_own() -> None:
    async def made() -> AsyncIterator[Any]:
        yield "a"
        yield "b"
        yield {"type": "data-x", "data": 1}
        yield "c"
        yield {"type": "data-x", "data": 2}

    assert await chunks_of(made()) == [
        *text("a", "b"),
        {"type": "data-x", "data": 1},
        *text("c", id="r1-1"),
        {"type": "data-x", "data": 2},
    ]


async def test_a_generator_that_ends_with_text_closes_it() -> None:
    assert await chunks_of(({"type": "start"}, "a")) == [{"type": "start"}, *text("a")]


async def test_a_model_s_parts_are_shown_as_a_browser_reads_them() -> None:
    parts: list[Part] = [Start(), TextStart("t"), TextDelta("t", "x"), ReasoningDelta("q", "hm"), Finish("stop")]
    found = await chunks_of(parts, options=UIOptions(send_reasoning=False))
    assert found == [
        {"type": "start"},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": "x"},
        {"type": "finish", "finishReason": "stop"},
    ]


async def test_a_part_that_is_not_shown_does_not_cut_a_text() -> None:
    found = await chunks_of(["a", ReasoningDelta("q", "hm"), "b"], options=UIOptions(send_reasoning=False))
    assert found == text("a", "b")


async def test_what_stream_text_returns_is_a_reply() -> None:
    result = stream_text(model=ModelHandle(ScriptedProvider(said("Hel", "lo")), "m"), prompt="Say hi")
    found = await chunks_of(result)
    assert [found[0]["type"], found[-1]["type"]] == ["start", "finish"]
    assert [chunk["delta"] for chunk in found if "delta" in chunk] == ["Hel", "lo"]


class Failing(TextResult):
    """A result whose model fails."""

    closed = False

    async def numbered_parts(self, start: int = 0) -> Any:
        try:
            yield 0, ToolCall("c", "add", {}, "key sk-123 is wrong")
            yield 1, ErrorPart("key sk-123 is wrong")
        finally:
            self.closed = True


async def test_errors_of_a_model_are_masked_unless_options_say_otherwise() -> None:
    found = await chunks_of(Failing())
    assert [chunk["errorText"] for chunk in found] == ["An error occurred."] * 2
    shown = await chunks_of(Failing(), options=UIOptions(on_error=lambda part: "Try again."))
    assert [chunk["errorText"] for chunk in shown] == ["Try again."] * 2


async def test_closing_the_chunks_closes_the_reply() -> None:
    closed: list[str] = []

    async def made() -> AsyncIterator[Any]:
        try:
            while True:
                yield "x"
        finally:
            closed.append("async")

    def made_in_a_thread() -> Iterator[Any]:
        try:
            while True:
                yield "x"
        finally:
            closed.append("sync")

    result = Failing()
    replies = [made(), made_in_a_thread(), result, Response(made()), Response(made_in_a_thread())]
    for reply in replies:
        stream = read_reply(reply, "r1")
        assert stream is not None
        await anext(stream)
        if not isinstance(reply, TextResult):
            # The first item has been taken from the source only when its delta came.
            await anext(stream)
        await stream.aclose()
    assert closed == ["async", "sync", "async", "sync"]
    assert result.closed


async def test_what_a_reply_raises_comes_through() -> None:
    async def made() -> AsyncIterator[Any]:
        yield "half"
        raise RuntimeError("no more")

    stream = read_reply(made(), "r1")
    assert stream is not None
    assert [await anext(stream), await anext(stream)] == text("half")[:2]
    with pytest.raises(RuntimeError, match="no more"):
        await anext(stream)


@pytest.mark.parametrize("reply", [7, b"bytes", {"type": "start"}, object()])
def test_what_is_no_reply_is_refused_with_what_would_be_one(reply: Any) -> None:
    with pytest.raises(TypeError, match="Return a Response"):
        read_reply(reply, "r1")


@pytest.mark.parametrize("item", [7, b"x", {"no": "type"}, None])
async def test_what_is_no_item_of_a_reply_is_refused_by_name(item: Any) -> None:
    with pytest.raises(TypeError, match="A reply is made of text"):
        await chunks_of([item])


@pytest.mark.parametrize(
    ("chunk", "continuation", "expected"),
    [
        ({"type": "start"}, False, {"type": "start", "messageId": "a1"}),
        ({"type": "start", "messageId": None}, False, {"type": "start", "messageId": "a1"}),
        ({"type": "start", "messageId": "theirs"}, False, {"type": "start", "messageId": "theirs"}),
        ({"type": "start", "messageId": "theirs"}, True, {"type": "start"}),
        ({"type": "start", "messageMetadata": {"a": 1}}, True, {"type": "start", "messageMetadata": {"a": 1}}),
        ({"type": "finish"}, False, {"type": "finish"}),
    ],
)
def test_a_start_has_the_id_under_which_the_message_is_kept(chunk: Any, continuation: bool, expected: Any) -> None:
    assert stamp_start(chunk, "a1", continuation=continuation) == expected


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        (
            {"type": "finish", "finishReason": "stop"},
            '{"type": "finish", "messageMetadata": {"finishReason": "stop"}}',
        ),
        (
            {"type": "finish", "finishReason": "stop", "messageMetadata": {"tokens": 3}},
            '{"type": "finish", "messageMetadata": {"tokens": 3, "finishReason": "stop"}}',
        ),
        ({"type": "finish"}, '{"type": "finish"}'),
        (
            {"type": "finish", "messageMetadata": {"tokens": 3}},
            '{"type": "finish", "messageMetadata": {"tokens": 3}}',
        ),
        ({"type": "start", "finishReason": "stop"}, '{"type": "start", "finishReason": "stop"}'),
    ],
)
def test_a_finish_has_its_reason_in_the_metadata(chunk: Any, text: str) -> None:
    assert json.dumps(rewrite_finish(chunk)) == text
