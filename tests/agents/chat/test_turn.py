"""A turn, frame by frame, as a real ``@cloudflare/ai-chat`` 0.12 on workerd was seen to have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from edgeagents import AIChatAgent, ChatOptions, Connection, Response, callable, get_current_agent
from edgeagents.errors import ModelError
from edgeagents.models import TextDelta
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle
from tests.agents.chat.talk import (
    MESSAGES,
    RESPONSE,
    ask,
    call,
    chunks,
    hear_turn,
    hear_until,
    history,
    seqs,
    speech,
    tab,
    text_of,
    types,
    user,
)
from tests.agents.frames import heard, say
from tests.models.fakes import ScriptedProvider

pytestmark = [
    pytest.mark.cloudflare("Chat", "frames of a turn: requests, chunks, transcripts, ends", "same"),
    pytest.mark.cloudflare(
        "Chat",
        "an error in `onChatMessage`",
        "different: clients are told, where the SDK leaves the sender waiting; what a model's provider said is masked",
    ),
    pytest.mark.cloudflare(
        "Chat",
        "what `onChatMessage` may return",
        "same; also text, generators of text or chunks, and what `stream_text` returned",
    ),
    pytest.mark.cloudflare(
        "Chat",
        "`messageMetadata` of `finish`",
        "different: clients get it with the finish reason, where the SDK replaces it",
    ),
]


class Bot(AIChatAgent):
    """Answers as the last message says."""

    def on_start(self) -> None:
        self.asked: dict[str, Any] = {}
        self.errors: list[str] = []

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        connection = get_current_agent().connection
        self.asked = {
            "request_id": options.request_id,
            "body": options.body,
            "client_tools": options.client_tools,
            "continuation": options.continuation,
            "aborted": options.abort_signal.aborted,
            "connection": None if connection is None else connection.id,
        }
        asked = [message for message in self.messages if message["role"] == "user"]
        return getattr(self, asked[-1]["parts"][0]["text"])()

    @callable()
    async def last_asked(self) -> dict[str, Any]:
        return self.asked

    @callable()
    async def all_errors(self) -> list[str]:
        return self.errors

    async def hi(self) -> AsyncIterator[Any]:
        for chunk in speech("Hello", " world"):
            yield chunk

    def named(self) -> Iterator[Any]:
        yield {"type": "start", "messageId": "m7", "messageMetadata": {"model": "x"}}
        yield {"type": "finish", "finishReason": "stop", "messageMetadata": {"tokens": 3}}

    def plain(self) -> Response:
        return Response("Hello you")

    def words(self) -> Iterator[str]:
        yield "one "
        yield "two"

    def nothing(self) -> None:
        return None

    def nothing_in_it(self) -> Response:
        return Response()

    def raises(self) -> None:
        raise ValueError("kaboom")

    def number(self) -> int:
        return 7

    async def error(self) -> AsyncIterator[Any]:
        for chunk in [*speech("a")][:4]:
            yield chunk
        yield {"type": "error", "errorText": "provider 500"}

    async def breaks(self) -> AsyncIterator[Any]:
        for chunk in [*speech("a")][:4]:
            yield chunk
        raise ValueError("mid")

    async def waits(self) -> AsyncIterator[Any]:
        for chunk in [*speech("a")][:4]:
            yield chunk
        await asyncio.Event().wait()

    def on_error(self, error: Exception, connection: Connection | None = None) -> None:
        self.errors.append(str(error))


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Bot, clock=ManualClock()) as running:
        yield running


async def test_a_turn_frame_by_frame(runtime: Runtime) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "r1", user("u1"))
    got, seen = await hear_turn(a, "r1"), await hear_turn(b, "r1")
    question = {"messages": [user("u1")], "type": MESSAGES}
    message_id = chunks(got)[0]["messageId"]
    assert message_id.startswith("assistant_1767225600000_")
    bodies = [
        '{"type":"start","messageId":"' + message_id + '"}',
        '{"type":"start-step"}',
        '{"type":"text-start","id":"t"}',
        '{"type":"text-delta","id":"t","delta":"Hello"}',
        '{"type":"text-delta","id":"t","delta":" world"}',
        '{"type":"text-end","id":"t"}',
        '{"type":"finish-step"}',
        '{"type":"finish","messageMetadata":{"finishReason":"stop"}}',
    ]
    live = [{"body": body, "done": False, "id": "r1", "type": RESPONSE, "seq": i} for i, body in enumerate(bodies)]
    end = {"body": "", "done": True, "id": "r1", "type": RESPONSE, "messageIds": ["u1"]}
    answer = {
        "id": message_id,
        "role": "assistant",
        "parts": [{"type": "step-start"}, {"type": "text", "text": "Hello world", "state": "done"}],
    }
    assert got == [*live, end]
    assert seen == [question, question, *live, {"messages": [user("u1"), answer], "type": MESSAGES}, end]
    assert await history(runtime) == [user("u1"), answer]


async def test_a_text_is_one_part_without_a_frame_around_it(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r2", user("u1"), user("u2", "plain"))
    frames = await hear_turn(a, "r2")
    assert chunks(frames) == [
        {"type": "text-start", "id": "r2"},
        {"type": "text-delta", "id": "r2", "delta": "Hello you"},
        {"type": "text-end", "id": "r2"},
    ]
    assert frames[-1] == {"body": "", "done": True, "id": "r2", "type": RESPONSE, "messageIds": ["u1", "u2"]}


async def test_a_sync_generator_is_a_reply(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "words"))
    assert text_of(await hear_turn(a, "r")) == "one two"
    assert (await history(runtime))[-1]["parts"] == [{"type": "text", "text": "one two", "state": "done"}]


async def test_a_reply_that_has_an_id_and_metadata_keeps_them(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "named"))
    sent = chunks(await hear_turn(a, "r"))
    assert sent[0] == {"type": "start", "messageId": "m7", "messageMetadata": {"model": "x"}}
    assert sent[1] == {"type": "finish", "messageMetadata": {"tokens": 3, "finishReason": "stop"}}


async def test_no_reply_is_told_in_one_frame(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r3", user("u3", "nothing"))
    text = "No response was generated by the agent."
    assert await hear_turn(a, "r3") == [
        {"body": text, "done": True, "id": "r3", "type": RESPONSE, "outcome": "completed", "messageIds": ["u3"]}
    ]


async def test_a_reply_without_a_body_is_just_over(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "nothing_in_it"))
    assert await hear_turn(a, "r") == [{"body": "", "done": True, "id": "r", "type": RESPONSE, "messageIds": ["u"]}]
    assert await history(runtime) == [user("u", "nothing_in_it")]


async def test_an_error_chunk_ends_the_turn_and_keeps_what_was_said(runtime: Runtime) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "r5", user("u5", "error"))
    end = {"body": "", "done": True, "id": "r5", "type": RESPONSE, "outcome": "error", "messageIds": ["u5"]}
    error = {"error": True, "body": "provider 500", "done": False, "id": "r5", "type": RESPONSE, "messageIds": ["u5"]}
    assert (await hear_turn(a, "r5"))[-2:] == [error, end]
    seen = await hear_turn(b, "r5")
    assert seen[-2:] == [error, end]
    assert types(seen[-3:-2]) == ["chat_messages"]
    assert (await history(runtime))[-1]["parts"][-1] == {"type": "text", "text": "a", "state": "streaming"}


async def test_a_reply_that_raises_ends_the_turn_with_its_message(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "breaks"))
    end = {"body": "mid", "done": True, "error": True, "id": "r", "type": RESPONSE, "messageIds": ["u"]}
    assert (await hear_turn(a, "r"))[-1] == end
    assert (await history(runtime))[-1]["role"] == "assistant"


async def test_a_handler_that_raises_is_told_to_clients_and_to_on_error(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "raises"))
    end = {"body": "kaboom", "done": True, "error": True, "id": "r", "type": RESPONSE, "outcome": "error"}
    assert await hear_turn(a, "r") == [{**end, "messageIds": ["u"]}]
    assert (await call(runtime, "all_errors"))["result"] == ["kaboom"]
    ask(a, "r2", user("u2"))
    assert text_of(await hear_turn(a, "r2")) == "Hello world"


async def test_what_is_no_reply_is_an_error_that_says_what_is(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u", "number"))
    end = (await hear_turn(a, "r"))[-1]
    assert end["error"]
    assert "on_chat_message returned int" in end["body"]


async def test_a_cancelled_turn_keeps_what_was_said(runtime: Runtime) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "s2", user("u2", "waits"))
    await heard(a)
    await heard(b)
    say(a, type="cf_agent_chat_request_cancel", id="s2")
    end = {"body": "", "done": True, "id": "s2", "type": RESPONSE, "outcome": "aborted", "messageIds": ["u2"]}
    assert await heard(a) == [end]
    transcript, last = await heard(b)
    assert transcript["messages"][-1]["parts"][-1] == {"type": "text", "text": "a", "state": "streaming"}
    assert last == end


async def test_to_cancel_what_does_not_run_does_nothing(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    say(a, type="cf_agent_chat_request_cancel", id="nothing")
    assert await heard(a) == []


async def test_a_turn_goes_on_without_the_client_that_asked(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r", user("u"))
    a.lose()
    await settle(200)
    assert (await history(runtime))[-1]["parts"][-1]["text"] == "Hello world"


async def test_what_came_with_the_request_reaches_the_handler(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    tool = {"name": "getLocation", "description": "Where?"}
    ask(a, "r", user("u"), clientTools=[tool], id="chat-1", tone="kind")
    await hear_turn(a, "r")
    assert (await call(runtime, "last_asked"))["result"] == {
        "request_id": "r",
        "body": {"id": "chat-1", "tone": "kind"},
        "client_tools": [tool],
        "continuation": False,
        "aborted": False,
        "connection": "A",
    }


async def test_frames_that_are_no_requests_are_left_alone(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    say(a, type="cf_agent_use_chat_request", id="r", init={"method": "POST", "body": "{"})
    say(a, type="cf_agent_use_chat_request", id="r", init={"method": "POST"})
    assert await heard(a) == []


async def test_an_id_that_cannot_be_kept_leaves_nobody_waiting(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r\ud800", user("u1"))
    ask(a, "r2", {**user("u\ud800"), "parts": []}, user("u2"))
    await hear_turn(a, "r2")
    assert [message["id"] for message in await history(runtime)][:1] == ["u2"]
    say(a, type="cf_agent_stream_resume_request", probeId="p")
    assert await heard(a) == [{"type": "cf_agent_stream_resume_none", "reason": "idle", "probeId": "p"}]


async def test_each_chunk_has_the_next_number(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    for number in range(3):
        ask(a, f"r{number}", user(f"u{number}"))
        assert seqs(await hear_turn(a, f"r{number}")) == [*range(8)]


async def test_turns_run_one_after_the_other(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1", "waits"))
    await settle()
    ask(a, "r2", user("u1", "waits"), user("u2"))
    assert {frame["id"] for frame in await heard(a) if frame["type"] == RESPONSE} == {"r1"}
    say(a, type="cf_agent_chat_request_cancel", id="r1")
    frames = await hear_until(a, RESPONSE, id="r2", done=True)
    assert [frame["id"] for frame in frames if frame["type"] == RESPONSE] == ["r1", *["r2"] * 9]


class Speaker(AIChatAgent):
    """Answers with a model that is not well."""

    async def on_chat_message(self) -> Any:
        stream = self.stream_text(model="scripted:m", prompt="hi")
        asked = self.messages[-1]["parts"][0]["text"]
        if asked == "told":
            return stream.to_ui_message_stream_response(on_error=lambda part: "We are sorry.")
        return stream.to_text_stream_response() if asked == "text" else stream


@pytest.mark.parametrize(
    ("asked", "text"),
    [("stream", "An error occurred."), ("text", "An error occurred."), ("told", "We are sorry.")],
)
@pytest.mark.parametrize("first", [[], [TextDelta("t", "Hel")]], ids=["at once", "in the midst"])
async def test_what_a_models_provider_says_of_its_failure_is_not_told(asked: str, text: str, first: list[Any]) -> None:
    async with agent_runtime(Speaker) as running:
        failure = ModelError("the key sk-123 is not known", status=401)
        running.models.add(ScriptedProvider([*first, failure], [*first, failure], [*first, failure]))
        a = await tab(running, "A", "/agents/speaker/x")
        ask(a, "r1", user("u1", asked))
        *_, error, end = await hear_turn(a, "r1")
        assert (error["body"], error["error"]) == (text, True)
        assert (end["body"], end["outcome"]) == ("", "error")
