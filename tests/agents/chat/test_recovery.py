"""Turns that the end of a server has cut: their tasks are cancelled in the midst of what they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents import AIChatAgent, ChatOptions, callable
from edgeagents.agents import ChatRecovery, RecoveryLimits
from edgeagents.models import TextDelta
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents.chat.talk import (
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
from tests.models.fakes import ScriptedProvider, said

pytestmark = [
    pytest.mark.cloudflare(
        "Chat",
        "`chatRecovery`, `onChatRecovery`, `chatStreamStallTimeoutMs`",
        "same; there is no `stash`, and `RecoveryLimits` says how often",
    ),
    pytest.mark.cloudflare(
        "Chat",
        "a turn that waits when the server ends",
        "different: it runs when the server is back; the SDK forgets it",
    ),
]


async def hangs() -> None:
    await asyncio.Event().wait()


class Bot(AIChatAgent):
    """Says one half before the server's end, and the other when it goes on."""

    lives = 0
    seen: list[ChatRecovery] = []

    def on_start(self) -> None:
        type(self).lives += 1

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        text = [m for m in self.messages if m["role"] == "user"][-1]["parts"][0]["text"]
        if text == "silent" and self.lives == 1:
            await hangs()
        if options.continuation:
            return self.other_half()
        return self.half(text) if self.lives == 1 else self.again(options)

    async def half(self, text: str) -> AsyncIterator[Any]:
        yield {"type": "start"}
        if text != "nothing":
            yield {"type": "text-start", "id": "t"}
            yield {"type": "text-delta", "id": "t", "delta": "one "}
        await hangs()

    async def other_half(self) -> AsyncIterator[Any]:
        yield {"type": "start"}
        yield {"type": "text-start", "id": "t2"}
        yield {"type": "text-delta", "id": "t2", "delta": "two"}
        yield {"type": "text-end", "id": "t2"}

    async def again(self, options: ChatOptions) -> AsyncIterator[Any]:
        for chunk in speech("asked again with ", str(options.body)):
            yield chunk


class Careful(Bot):
    wishes: dict[str, bool] = {}

    async def on_chat_recovery(self, recovery: ChatRecovery) -> dict[str, bool]:
        self.seen.append(recovery)
        return self.wishes


class Doomed(Bot):
    chat_recovery = RecoveryLimits(max_attempts=3, max_attempts_without_progress=2, retry_delay_ms=0)

    async def on_chat_message(self) -> Any:
        await hangs()


class Resigned(Bot):
    chat_recovery = False


class Speaker(AIChatAgent):
    """Answers with a model."""

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        stream = self.stream_text(model="scripted:m", prompt="hi", abort_signal=options.abort_signal)
        text = [m for m in self.messages if m["role"] == "user"][-1]["parts"][0]["text"]
        if text == "response":
            return stream.to_ui_message_stream_response(message_id="m1", send_reasoning=False)
        return stream.to_text_stream_response() if text == "text" else stream


@pytest.fixture(autouse=True)
def _fresh() -> None:
    for kind in (Bot, Careful, Doomed, Resigned, Stubborn, Stalling, Calling):
        kind.lives = 0
    Careful.seen, Careful.wishes = [], {}


def server(kind: type, storage: Path, **more: Any) -> Runtime:
    return agent_runtime(kind, storage=storage, **more)


async def cut(kind: type, storage: Path, *texts: str, request_id: str = "r1", **body: Any) -> list[Any]:
    """Ask for a turn, end the server in it, and return the frames that came."""
    path = f"/agents/{kind.__name__.lower()}/x"
    async with server(kind, storage) as running:
        a = await tab(running, "A", path)
        ask(a, request_id, *(user(f"u{n}", text) for n, text in enumerate(texts or ("hi",), 1)), **body)
        await settle(200)
        return await heard(a)


async def test_half_an_answer_is_gone_on_with(tmp_path: Path) -> None:
    assert text_of(await cut(Bot, tmp_path)) == "one "
    async with server(Bot, tmp_path) as running:
        a = await connect(running, "/agents/bot/x?_pk=A")
        frames = await hear_until(a, "cf_agent_chat_recovering", recovering=False)
        offer = next(frame for frame in frames if frame["type"] == "cf_agent_stream_resuming")
        assert offer["id"] != "r1"
        assert frames[-2] == {
            "body": "",
            "done": True,
            "id": offer["id"],
            "type": RESPONSE,
            "continuation": True,
            "messageIds": ["u1"],
        }
        say(a, type="cf_agent_stream_resume_ack", id="r1")
        end = {"body": "", "done": True, "id": "r1", "type": RESPONSE, "replay": True, "outcome": "recovering"}
        assert await heard(a) == [{**end, "messageIds": ["u1"]}]
        messages = await history(running)
        assert [message["role"] for message in messages] == ["user", "assistant"]
        assert messages[1]["parts"] == [{"type": "text", "text": "one two", "state": "done"}]


@pytest.mark.parametrize("text", ["silent", "nothing"], ids=["no reply yet", "a reply of nothing yet"])
async def test_a_question_without_an_answer_is_asked_again(tmp_path: Path, text: str) -> None:
    await cut(Bot, tmp_path, text, tone="kind")
    async with server(Bot, tmp_path) as running:
        await tab(running, "A")
        await settle(200)
        messages = await history(running)
        assert [message["role"] for message in messages] == ["user", "assistant"]
        assert messages[1]["parts"][-1]["text"] == "asked again with {'tone': 'kind'}"


async def test_the_agent_wakes_by_itself_to_go_on(tmp_path: Path) -> None:
    await cut(Bot, tmp_path)
    clock = ManualClock()
    clock.set_now(clock.now().replace(year=2030))
    async with server(Bot, tmp_path, clock=clock) as running:
        await clock.advance(60)
        await settle(200)
        assert Bot.lives == 2
        assert (await history(running))[1]["parts"][0]["text"] == "one two"


async def test_turns_that_waited_run_after_the_one_that_was_cut(tmp_path: Path) -> None:
    async with server(Bot, tmp_path) as running:
        a = await tab(running, "A")
        ask(a, "r1", user("u1"))
        await settle()
        ask(a, "r2", user("u1"), user("u2"), nr=2)
        await settle()
    async with server(Bot, tmp_path) as running:
        a = await tab(running, "A")
        await settle(300)
        texts = [m["parts"][-1]["text"] for m in await history(running) if m["role"] == "assistant"]
        assert texts == ["one two", "asked again with {'nr': 2}"]


async def test_half_an_answer_is_not_taken_for_an_older_one_that_says_the_same(tmp_path: Path) -> None:
    same = {"id": "a0", "role": "assistant", "parts": [{"type": "text", "text": "one ", "state": "streaming"}]}
    async with server(Resigned, tmp_path) as running:
        a = await tab(running, "A", "/agents/resigned/x")
        ask(a, "r1", user("u0"), same, user("u1"))
        await settle(200)
    async with server(Resigned, tmp_path) as running:
        await tab(running, "A", "/agents/resigned/x")
        await settle(200)
        messages = await history(running, "/agents/resigned/x")
        assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant"]


async def test_an_answer_to_a_tool_outlives_the_server_while_the_reply_is_made(tmp_path: Path) -> None:
    async with server(Calling, tmp_path) as running:
        a = await tab(running, "A", "/agents/calling/x")
        ask(a, "r1", user("u1"))
        await settle(200)
        say(a, type="cf_agent_tool_result", toolCallId="c1", toolName="where", output="here")
        await settle()
    async with server(Calling, tmp_path) as running:
        await tab(running, "A", "/agents/calling/x")
        await settle(200)
        parts = (await history(running, "/agents/calling/x"))[1]["parts"]
        assert [part.get("output", part.get("text")) for part in parts] == ["look", "here", "two"]


class Calling(Bot):
    async def half(self, text: str) -> AsyncIterator[Any]:
        yield {"type": "start"}
        yield {"type": "text-start", "id": "t"}
        yield {"type": "text-delta", "id": "t", "delta": "look"}
        yield {"type": "text-end", "id": "t"}
        yield {"type": "tool-input-available", "toolCallId": "c1", "toolName": "where", "input": {}}
        await hangs()


async def test_the_agent_is_asked_before_a_turn_is_taken_up(tmp_path: Path) -> None:
    await cut(Careful, tmp_path, tone="kind")
    async with server(Careful, tmp_path) as running:
        await tab(running, "A", "/agents/careful/x")
        await settle(200)
    (recovery,) = Careful.seen
    assert (recovery.kind, recovery.attempt, recovery.partial_text) == ("continue", 1, "one ")
    assert (recovery.request_id, recovery.body) == ("r1", {"tone": "kind"})


@pytest.mark.parametrize(
    ("wishes", "texts"),
    [
        ({"continue": False}, ["one "]),
        ({"persist": False}, ["asked again with None"]),
        ({"persist": False, "continue": False}, []),
    ],
    ids=["leave it", "forget it", "both"],
)
async def test_what_the_agent_wishes_is_done(tmp_path: Path, wishes: dict[str, bool], texts: list[str]) -> None:
    await cut(Careful, tmp_path)
    Careful.wishes = wishes
    async with server(Careful, tmp_path) as running:
        a = await tab(running, "A", "/agents/careful/x")
        await settle(200)
        messages = await history(running, "/agents/careful/x")
        assert [m["parts"][-1]["text"] for m in messages if m["role"] == "assistant"] == texts
        say(a, type="cf_agent_stream_resume_request", probeId="p")
        assert (await heard(a))[-1]["reason"] == "idle"


class Stubborn(Bot):
    async def half(self, text: str) -> AsyncIterator[Any]:
        try:
            async for chunk in super().half(text):
                yield chunk
        except asyncio.CancelledError:
            yield {"type": "text-delta", "id": "t", "delta": "never mind"}


async def test_a_reply_that_swallows_its_end_has_not_ended(tmp_path: Path) -> None:
    await cut(Stubborn, tmp_path)
    async with server(Stubborn, tmp_path) as running:
        await tab(running, "A", "/agents/stubborn/x")
        await settle(200)
        assert "two" in (await history(running, "/agents/stubborn/x"))[1]["parts"][-1]["text"]


async def test_without_recovery_what_was_said_is_kept(tmp_path: Path) -> None:
    await cut(Resigned, tmp_path)
    async with server(Resigned, tmp_path) as running:
        a = await tab(running, "A", "/agents/resigned/x")
        say(a, type="cf_agent_stream_resume_ack", id="r1")
        end = {"body": "", "done": True, "id": "r1", "type": RESPONSE, "replay": True, "outcome": "aborted"}
        assert await heard(a) == [{**end, "messageIds": ["u1"]}]
        assert (await history(running, "/agents/resigned/x"))[1]["parts"][0]["text"] == "one "


async def test_a_turn_that_ends_the_server_each_time_fails_in_the_end(tmp_path: Path) -> None:
    await cut(Doomed, tmp_path)
    for _ in range(3):
        async with server(Doomed, tmp_path) as running:
            await tab(running, "A", "/agents/doomed/x")
            await settle(200)
    async with server(Doomed, tmp_path) as running:
        a = await tab(running, "A", "/agents/doomed/x")
        await settle(200)
        await heard(a)
        say(a, type="cf_agent_stream_resume_request", probeId="p")
        offer = (await heard(a))[-1]
        say(a, type="cf_agent_stream_resume_ack", id=offer["id"])
        end = (await heard(a))[-1]
        assert end["body"] == "The assistant was interrupted and could not recover. Please try again."
        assert (end["error"], end["messageIds"]) == (True, ["u1"])


@pytest.mark.parametrize("text", ["stream", "response", "text"])
async def test_a_models_answer_goes_on_under_its_request(tmp_path: Path, text: str) -> None:
    gates = [asyncio.get_running_loop().create_future() for _ in range(2)]
    async with server(Speaker, tmp_path) as running:
        running.models.add(ScriptedProvider([TextDelta("t", "Hel"), TextDelta("t", "lo "), gates[0]], continues=True))
        a = await tab(running, "A", "/agents/speaker/x")
        ask(a, "r1", user("u1", text))
        await settle(300)
        before = await heard(a)
    async with server(Speaker, tmp_path) as running:
        running.models.add(ScriptedProvider([gates[1], *said("wor", "ld")], continues=True))
        a = await tab(running, "A", "/agents/speaker/x")
        say(a, type="cf_agent_stream_resume_ack", id="r1")
        await settle()
        gates[1].set_result(None)
        after = [*await hear_turn(a, "r1"), *await history(running, "/agents/speaker/x")]
    frames = [frame for frame in after if frame.get("type") == RESPONSE]
    assert seqs(frames) == [*range(len(seqs(frames)))]
    assert chunks(frames)[: len(chunks(before))] == chunks(before)
    assert text_of(frames) == "Hello world"
    assert frames[-1] == {"body": "", "done": True, "id": "r1", "type": RESPONSE, "messageIds": ["u1"]}
    assert after[-1]["parts"][-1] == {"type": "text", "text": "Hello world", "state": "done"}
    assert after[-1]["id"] == chunks(frames)[0].get("messageId", after[-1]["id"])


async def test_a_stalled_reply_is_taken_up(tmp_path: Path) -> None:
    clock = ManualClock()
    async with server(Stalling, tmp_path, clock=clock) as running:
        a = await tab(running, "A", "/agents/stalling/x")
        ask(a, "r1", user("u1"))
        await heard(a)
        await clock.advance(2)
        frames = await heard(a)
        assert types(frames)[:3] == ["chat_messages", "use_chat_response", "chat_recovering"]
        assert frames[1]["outcome"] == "recovering"
        assert text_of(frames) == "two"
        assert (await history(running, "/agents/stalling/x"))[1]["parts"][0]["text"] == "one two"


class Stalling(Bot):
    chat_stream_stall_timeout_ms = 1000


async def test_a_model_that_stalled_is_stopped_when_another_takes_its_place(tmp_path: Path) -> None:
    clock = ManualClock()
    async with server(Slow, tmp_path, clock=clock) as running:
        a = await tab(running, "A", "/agents/slow/x")
        ask(a, "r1", user("u1"))
        await heard(a)
        await clock.advance(1.5)
        await heard(a)
        states = (await call(running, "states", path="/agents/slow/x"))["result"]
        assert states == ["streaming", "completed"]


class Slow(AIChatAgent):
    """Asks a model that says a word in ten minutes."""

    chat_stream_stall_timeout_ms = 1000

    async def on_chat_message(self) -> Any:
        return self.stream_text(
            model="offline:echo", prompt="hi", provider_options={"offline": {"pause_ms": 600_000, "words": 5}}
        )

    @callable()
    async def states(self) -> list[str]:
        return [each.state for each in self.streams.list(tag="turn")]


async def test_a_turn_that_is_taken_up_is_stopped_under_the_request_that_the_client_knows(tmp_path: Path) -> None:
    await cut(Doomed, tmp_path)
    async with server(Doomed, tmp_path) as running:
        a = await tab(running, "A", "/agents/doomed/x")
        say(a, type="cf_agent_stream_resume_request", probeId="p")
        pending = (await heard(a))[-1]
        assert pending["type"] == "cf_agent_stream_pending"
        say(a, type="cf_agent_chat_request_cancel", id="r1")
        end = {"body": "", "done": True, "id": pending["id"], "type": RESPONSE, "outcome": "aborted"}
        assert {**end, "messageIds": ["u1"]} in await heard(a)
