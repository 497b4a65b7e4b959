"""Clients that come while a turn runs, or after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgeagents import AIChatAgent
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents.chat.talk import (
    RESPONSE,
    ask,
    chunks,
    hear_turn,
    seqs,
    speech,
    tab,
    text_of,
    types,
    user,
)
from tests.agents.frames import heard, parsed, say

pytestmark = [
    pytest.mark.cloudflare(
        "Chat", "resume handshake: offers, probes, replay, failures for those who come late", "same"
    ),
]


class Bot(AIChatAgent):
    """Says a word each time that it is let."""

    steps: asyncio.Queue[str] = asyncio.Queue()

    async def on_chat_message(self) -> Any:
        if self.text == "late":
            await self.steps.get()
        return None if self.text == "nothing" else self.speak()

    @property
    def text(self) -> str:
        return [m for m in self.messages if m["role"] == "user"][-1]["parts"][0]["text"]

    async def speak(self) -> AsyncIterator[Any]:
        begin, end = [*speech()][:3], [*speech()][3:]
        for chunk in begin:
            yield chunk
        while (word := await self.steps.get()) != "":
            if word == "!":
                yield {"type": "error", "errorText": "provider 500"}
                return
            yield {"type": "text-delta", "id": "t", "delta": word}
        for chunk in end:
            yield chunk


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    Bot.steps = asyncio.Queue()
    async with agent_runtime(Bot) as running:
        yield running


def go_on(*words: str) -> None:
    for word in words:
        Bot.steps.put_nowait(word)


def probe(socket: Any, probe_id: str) -> None:
    say(socket, type="cf_agent_stream_resume_request", probeId=probe_id)


def ready(socket: Any, request_id: str) -> None:
    say(socket, type="cf_agent_stream_resume_ack", id=request_id)


async def test_a_tab_that_comes_mid_stream_gets_all_of_it_once(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "s1", user("u1"))
    go_on("one ")
    await heard(a)
    b = await connect(runtime, "/agents/bot/x?_pk=B")
    assert types(await heard(b)) == ["stream_resuming", "identity", "mcp_servers"]
    probe(b, "pb")
    assert await heard(b) == [{"type": "cf_agent_stream_resuming", "id": "s1", "probeId": "pb"}]
    go_on("two ")
    assert seqs(await heard(a)) == [4]
    assert await heard(b) == []
    ready(b, "s1")
    replayed = await heard(b)
    assert seqs(replayed) == [0, 1, 2, 3, 4]
    assert all(frame["replay"] for frame in replayed)
    assert replayed[-1] == {
        "body": "",
        "done": False,
        "id": "s1",
        "type": RESPONSE,
        "replay": True,
        "replayComplete": True,
    }
    go_on("three", "")
    rest = await hear_turn(b, "s1")
    assert seqs(rest) == [5, 6, 7, 8]
    assert text_of(replayed) + text_of(rest) == "one two three"
    assert seqs(await hear_turn(a, "s1")) == [5, 6, 7, 8]
    probe(b, "pb2")
    ready(b, "s1")
    assert await heard(b) == [
        {"type": "cf_agent_stream_resume_none", "reason": "idle", "probeId": "pb2"},
        {"body": "", "done": True, "id": "s1", "type": RESPONSE, "replay": True, "messageIds": ["u1"]},
    ]


async def test_a_tab_that_never_says_it_is_ready_gets_the_end(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "s1", user("u1"))
    await heard(a)
    b = await tab(runtime, "B")
    go_on("x", "")
    assert types(await hear_turn(b, "s1")) == ["chat_messages", "use_chat_response"]


async def test_late_tabs_learn_of_a_failure_each(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r5", user("u5"))
    go_on("!")
    await hear_turn(a, "r5")
    for id in "BC":
        late = await tab(runtime, id)
        probe(late, "p1")
        assert await heard(late) == [{"type": "cf_agent_stream_resuming", "id": "r5", "probeId": "p1"}]
        ready(late, "r5")
        frames = await heard(late)
        assert seqs(frames) == [0, 1, 2]
        end = {"body": "provider 500", "done": True, "error": True, "id": "r5", "type": RESPONSE}
        assert frames[-1] == {**end, "messageIds": ["u5"]}


async def test_a_failure_is_forgotten_when_the_conversation_goes_on(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r5", user("u5"))
    go_on("!")
    await hear_turn(a, "r5")
    ask(a, "r6", user("u6"))
    go_on("")
    await hear_turn(a, "r6")
    probe(a, "p")
    assert await heard(a) == [{"type": "cf_agent_stream_resume_none", "reason": "idle", "probeId": "p"}]


async def test_a_tab_that_comes_before_the_first_chunk_waits_for_it(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1", "late"))
    await settle()
    b = await connect(runtime, "/agents/bot/x?_pk=B")
    assert (await heard(b))[0] == {"type": "cf_agent_stream_pending", "id": "r1"}
    probe(b, "p")
    assert await heard(b) == [{"type": "cf_agent_stream_pending", "id": "r1", "probeId": "p"}]
    go_on("begin")
    assert await heard(b) == [{"type": "cf_agent_stream_resuming", "id": "r1"}]
    ready(b, "r1")
    assert len(chunks(await heard(b))) == 3


async def test_who_waits_for_a_turn_without_a_reply_is_let_go(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1", "late"))
    await settle()
    b = await tab(runtime, "B")
    probe(b, "p")
    await heard(b)
    say(a, type="cf_agent_chat_request_cancel", id="r1")
    go_on("begin")
    frames = await heard(b)
    assert types(frames) == ["use_chat_response", "stream_resume_none"]
    assert frames[-1] == {"type": "cf_agent_stream_resume_none"}


@pytest.mark.parametrize("request_id", ["unknown", ""])
async def test_who_is_ready_for_nothing_is_told_that_it_is_over(runtime: Runtime, request_id: str) -> None:
    a = await tab(runtime, "A")
    ready(a, request_id)
    assert await heard(a) == [{"body": "", "done": True, "id": request_id, "type": RESPONSE, "replay": True}]


async def test_who_is_ready_for_another_stream_gets_nothing(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "s1", user("u1"))
    await heard(a)
    ready(a, "other")
    assert await heard(a) == []


async def test_without_a_conversation_nothing_is_offered_and_nothing_stored(runtime: Runtime) -> None:
    a = await connect(runtime, "/agents/bot/x?_pk=A")
    assert types(await heard(a)) == ["identity", "mcp_servers"]
    probe(a, "p")
    assert await heard(a) == [{"type": "cf_agent_stream_resume_none", "reason": "idle", "probeId": "p"}]


class Quiet(Bot):
    def should_send_protocol_messages(self) -> bool:
        return False


async def test_a_tab_without_protocol_frames_takes_part_in_chat() -> None:
    Bot.steps = asyncio.Queue()
    async with agent_runtime(Quiet) as runtime:
        a = await connect(runtime, "/agents/quiet/x?_pk=A")
        ask(a, "s1", user("u1"))
        await heard(a)
        b = await connect(runtime, "/agents/quiet/x?_pk=B")
        assert await heard(b) == [{"type": "cf_agent_stream_resuming", "id": "s1"}]
        ready(b, "s1")
        assert seqs([parsed(frame) if isinstance(frame, str) else frame for frame in await heard(b)]) == [0, 1, 2]


async def test_a_long_log_is_sent_piece_by_piece_and_nothing_comes_twice() -> None:
    Bot.steps = asyncio.Queue()
    clock = ManualClock()
    async with agent_runtime(Bot, clock=clock) as runtime:
        a = await tab(runtime, "A")
        ask(a, "s1", user("u1"))
        go_on(*("word " for _ in range(3000)))
        await settle(500)
        await heard(a)
        b = await tab(runtime, "B")
        ready(b, "s1")
        ready(b, "s1")
        first = await heard(b)
        assert seqs(first) == [*range(1024)]
        go_on("meanwhile ")
        assert seqs(await heard(a)) == [3003]
        await clock.advance(0.1)
        rest = await heard(b)
        assert seqs(rest) == [*range(1024, 3004)]
        assert rest[-1]["replayComplete"]
        go_on("live")
        assert seqs(await heard(b)) == [3004]


async def test_a_turn_that_ends_while_its_log_is_sent_ends_there_too() -> None:
    Bot.steps = asyncio.Queue()
    clock = ManualClock()
    async with agent_runtime(Bot, clock=clock) as runtime:
        a = await tab(runtime, "A")
        ask(a, "s1", user("u1"))
        go_on(*("word " for _ in range(2000)))
        await settle(500)
        b = await tab(runtime, "B")
        ready(b, "s1")
        go_on("")
        await settle()
        ask(a, "s2", user("u2"))
        await settle()
        await clock.advance(0.1)
        frames = await heard(b)
        assert seqs(frames) == [*range(2006)]
        end = {"body": "", "done": True, "id": "s1", "type": RESPONSE, "replay": True, "messageIds": ["u1"]}
        assert frames[-2:] == [end, {"type": "cf_agent_stream_resuming", "id": "s2"}]
