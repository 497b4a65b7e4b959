"""Tools that clients run, decisions of people, and the turns that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents import AIChatAgent, ChatOptions, get_current_agent
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle
from tests.agents.chat.talk import RESPONSE, ask, chunks, hear_turn, history, seqs, speech, tab, text_of, types, user
from tests.agents.frames import heard, say

pytestmark = [
    pytest.mark.cloudflare("Chat", "client tools, approvals, auto-continuation, request context", "same"),
    pytest.mark.cloudflare(
        "Chat",
        "a continuation that waits for a second answer while the agent leaves memory",
        "different: it is kept; the SDK forgets it",
    ),
]


class Bot(AIChatAgent):
    """Calls tools as it is asked to, and says what it was told when it goes on."""

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        if options.continuation:
            return self.go_on(options)
        asked = [m for m in self.messages if m["role"] == "user"][-1]["parts"][0]["text"]
        return self.call(*asked.split())

    async def call(self, *names: str) -> AsyncIterator[Any]:
        yield {"type": "start"}
        yield {"type": "start-step"}
        for number, name in enumerate(names, 1):
            id = f"call_{number}"
            yield {"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": {}}
            if name == "danger":
                yield {"type": "tool-approval-request", "approvalId": f"ap{number}", "toolCallId": id}
        yield {"type": "finish-step"}
        yield {"type": "finish", "finishReason": "tool-calls"}

    async def go_on(self, options: ChatOptions) -> AsyncIterator[Any]:
        connection = get_current_agent().connection
        for chunk in speech("after ", "tool " + str(options.body), " for " + (connection.id if connection else "all")):
            yield chunk


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Bot, clock=clock) as running:
        yield running


def answer(socket: Any, id: str = "call_1", **more: Any) -> None:
    say(
        socket,
        type="cf_agent_tool_result",
        toolCallId=id,
        **{"toolName": "getLoc", "output": {"lat": 1}, "autoContinue": True, **more},
    )


def decide(socket: Any, approved: bool, id: str = "call_1", auto: bool = True) -> None:
    say(socket, type="cf_agent_tool_approval", toolCallId=id, approved=approved, autoContinue=auto)


async def test_a_clients_tool_and_what_follows(runtime: Runtime, clock: ManualClock) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "t1", user("u1", "getLoc"), model="m")
    await hear_turn(a, "t1")
    await hear_turn(b, "t1")
    answer(a)
    say(a, type="cf_agent_stream_resume_request", probeId="tp")
    updated, pending = await heard(a)
    message = updated["message"]
    part = {"type": "tool-getLoc", "toolCallId": "call_1", "toolName": "getLoc", "state": "output-available"}
    assert message["parts"][-1] == {**part, "input": {}, "output": {"lat": 1}, "preliminary": False}
    assert await heard(b) == [updated]
    request_id = pending["id"]
    assert pending == {"type": "cf_agent_stream_pending", "id": request_id, "probeId": "tp"}
    await clock.advance(0.05)
    offer, transcript, end = await heard(a)
    assert offer == {"type": "cf_agent_stream_resuming", "id": request_id}
    assert transcript["messages"][-1]["parts"][-2:] == [
        {"type": "step-start"},
        {"type": "text", "text": "after tool {'model': 'm'} for A", "state": "done"},
    ]
    assert end == {"body": "", "done": True, "id": request_id, "type": RESPONSE, "continuation": True}
    seen = await heard(b)
    assert seqs(seen) == [*range(9)]
    assert chunks(seen)[0] == {"type": "start"}
    assert all(frame["continuation"] for frame in seen if frame["type"] == RESPONSE)
    assert seen[-2:] == [transcript, end]


async def test_the_answering_tab_gets_chunks_when_it_is_ready(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    ask(a, "t1", user("u1", "getLoc"))
    await hear_turn(a, "t1")
    answer(a)
    await heard(a)
    clock.call_later(0.05, lambda: None)
    await clock.advance(0.05)
    frames = await heard(a)
    say(a, type="cf_agent_stream_resume_ack", id=frames[0]["id"])
    assert (await heard(a))[-1]["done"]


async def test_another_tab_is_told_whose_the_continuation_is(runtime: Runtime, clock: ManualClock) -> None:
    Slow.gate = None
    async with agent_runtime(Slow, clock=clock) as running:
        a = await tab(running, "A", "/agents/slow/x")
        ask(a, "t1", user("u1", "getLoc"))
        await hear_turn(a, "t1")
        answer(a)
        await clock.advance(0.05)
        b = await tab(running, "B", "/agents/slow/x")
        say(b, type="cf_agent_stream_resume_request", probeId="p")
        reason = "continuation-owned"
        assert await heard(b) == [{"type": "cf_agent_stream_resume_none", "reason": reason, "probeId": "p"}]
        a.close()
        await settle()
        say(b, type="cf_agent_stream_resume_request", probeId="q")
        assert types(await heard(b)) == ["stream_resuming"]


class Slow(Bot):
    gate: Any = None

    async def go_on(self, options: ChatOptions) -> AsyncIterator[Any]:
        yield {"type": "start"}
        await self.ctx.clock.sleep(1000)


async def test_answers_that_come_together_set_off_one_turn(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    ask(a, "t1", user("u1", "getLoc getTime"))
    await hear_turn(a, "t1")
    answer(a, "call_1")
    await clock.advance(0.04)
    answer(a, "call_2")
    await clock.advance(0.04)
    assert types(await heard(a)) == ["message_updated"] * 2
    await clock.advance(0.01)
    assert types(await heard(a)) == ["stream_resuming", "chat_messages", "use_chat_response"]


async def test_a_turn_waits_until_all_calls_are_settled(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    ask(a, "t1", user("u1", "getLoc getTime"))
    await hear_turn(a, "t1")
    answer(a, "call_1")
    await clock.advance(60)
    assert types(await heard(a)) == ["message_updated"]
    answer(a, "call_2", autoContinue=False, state="output-error", errorText="no clock")
    await clock.advance(0.05)
    frames = await heard(a)
    assert frames[0]["message"]["parts"][-1]["errorText"] == "no clock"
    assert types(frames[1:]) == ["stream_resuming", "chat_messages", "use_chat_response"]


async def test_without_auto_continue_nothing_follows(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    ask(a, "t1", user("u1", "getLoc"))
    await hear_turn(a, "t1")
    answer(a, autoContinue=False)
    await clock.advance(60)
    assert types(await heard(a)) == ["message_updated"]


async def test_the_first_answer_counts(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "t1", user("u1", "getLoc"))
    await hear_turn(a, "t1")
    answer(a, autoContinue=False)
    answer(a, autoContinue=False, output="another")
    assert types(await heard(a)) == ["message_updated"]
    assert (await history(runtime))[-1]["parts"][-1]["output"] == {"lat": 1}


async def test_an_answer_to_an_unknown_call_is_tried_for_a_second(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    answer(a, autoContinue=False)
    await clock.advance(0.5)
    ask(a, "t1", user("u1", "getLoc"))
    await hear_turn(a, "t1")
    await clock.advance(0.1)
    assert types(await heard(a)) == ["message_updated"]


@pytest.mark.parametrize(
    ("approved", "state"), [(True, "approval-responded"), (False, "output-denied")], ids=["allowed", "denied"]
)
async def test_a_decision_is_told_to_all_and_the_turn_goes_on(
    runtime: Runtime, clock: ManualClock, approved: bool, state: str
) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "t1", user("u1", "danger"))
    await hear_turn(a, "t1")
    await hear_turn(b, "t1")
    decide(a, approved)
    updated = (await heard(a))[0]
    assert updated["message"]["parts"][-1] == {
        "type": "tool-danger",
        "toolCallId": "call_1",
        "toolName": "danger",
        "state": state,
        "input": {},
        "approval": {"id": "ap1", "approved": approved},
    }
    assert await heard(b) == [updated]
    await clock.advance(0.05)
    assert text_of(await heard(b)) == "after tool None for A"


async def test_answers_to_calls_that_nobody_made_hold_up_no_other(runtime: Runtime, clock: ManualClock) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "t1", user("u1", "getLoc"))
    await hear_turn(a, "t1")
    await hear_turn(b, "t1")
    for number in range(50):
        answer(b, f"made-up-{number}", autoContinue=False)
    answer(a)
    assert types(await heard(b)) == ["message_updated"]
    await clock.advance(1.2)
    assert text_of(await heard(b)) == "after tool None for A"


class Asking(Bot):
    async def call(self, *names: str) -> AsyncIterator[Any]:
        async for chunk in super().call(*names):
            yield chunk
            if chunk["type"] == "tool-approval-request":
                await self.ctx.clock.sleep(1000)


async def test_a_question_is_kept_while_the_reply_waits_for_the_person(clock: ManualClock) -> None:
    async with agent_runtime(Asking, clock=clock) as runtime:
        a = await tab(runtime, "A", "/agents/asking/x")
        ask(a, "t1", user("u1", "danger"))
        await heard(a)
        assert (await history(runtime, "/agents/asking/x"))[-1]["parts"][-1]["state"] == "approval-requested"
        decide(a, True, auto=False)
        assert types(await heard(a)) == ["message_updated"]
        assert (await history(runtime, "/agents/asking/x"))[-1]["parts"][-1]["state"] == "approval-responded"
        await clock.advance(1000)
        assert (await heard(a))[-1]["done"]
        assert len(await history(runtime, "/agents/asking/x")) == 2


async def test_the_context_of_the_last_request_outlives_a_restart(tmp_path: Path) -> None:
    async with agent_runtime(Bot, storage=tmp_path) as first:
        a = await tab(first, "A")
        ask(a, "t1", user("u1", "getLoc"), model="m")
        await hear_turn(a, "t1")
    clock = ManualClock()
    async with agent_runtime(Bot, storage=tmp_path, clock=clock) as second:
        a, b = await tab(second, "A"), await tab(second, "B")
        answer(a)
        await clock.advance(0.05)
        assert text_of(await heard(b)) == "after tool {'model': 'm'} for A"


async def test_a_continuation_that_fails_is_told(clock: ManualClock) -> None:
    async with agent_runtime(Failing, clock=clock) as runtime:
        a = await tab(runtime, "A", "/agents/failing/x")
        ask(a, "t1", user("u1", "getLoc"))
        await hear_turn(a, "t1")
        answer(a)
        await clock.advance(0.05)
        frames = await heard(a)
        assert types(frames) == ["message_updated", "use_chat_response", "stream_resume_none"]
        assert (frames[1]["body"], frames[1]["error"], frames[1]["continuation"]) == ("no more", True, True)


class Failing(Bot):
    def go_on(self, options: ChatOptions) -> Any:
        raise ValueError("no more")
