"""What happens to the conversation beside a client's turns: it is cleared, replaced, kept, loaded, gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edgeagents import AIChatAgent, ChatOptions, callable
from edgeagents.agents import ChatResponse
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents.chat.talk import MESSAGES, RESPONSE, ask, call, hear_turn, history, tab, text_of, types, user
from tests.agents.frames import heard, say

pytestmark = [
    pytest.mark.cloudflare(
        "Chat",
        "`saveMessages`, `persistMessages`, `continueLastTurn`, `onChatResponse`, `waitUntilStable`",
        "same",
    ),
    pytest.mark.cloudflare("Chat", "clear, regenerate, `setMessages`", "same"),
    pytest.mark.cloudflare(
        "Chat",
        "persistence of messages, `sanitizeMessageForPersistence`, `maxPersistedMessages`, `hydrationByteBudget`",
        "same; with a limit, old messages that a client sends again are not kept again",
    ),
]


class Bot(AIChatAgent):
    """Repeats what was said."""

    def on_start(self) -> None:
        self.told: list[Any] = []

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        if options.continuation:
            return " and on"
        text = self.messages[-1]["parts"][0]["text"]
        if text == "fail":
            raise ValueError("no")
        return text

    async def on_chat_response(self, response: ChatResponse) -> None:
        self.told.append([response.status, response.message["parts"][-1]["text"], response.continuation])
        if response.message["parts"][-1]["text"] == "more":
            await self.save_messages([*self.messages, user("own", "more?")])

    @callable()
    async def told_so_far(self) -> list[Any]:
        return self.told

    @callable()
    async def save(self, *messages: dict[str, Any]) -> list[Any]:
        result = await self.save_messages([*messages])
        return [result.status, result.error]

    @callable()
    async def save_badly(self) -> None:
        def bad(messages: list[Any]) -> Any:
            raise ValueError("bad function")

        await self.save_messages(bad)

    @callable()
    async def save_with(self, text: str) -> str:
        return (await self.save_messages(lambda known: [*known, user(f"n{len(known)}", text)])).status

    @callable()
    async def persist(self, *messages: dict[str, Any]) -> None:
        await self.persist_messages([*messages])

    @callable()
    async def persist_and_undo(self, *messages: dict[str, Any]) -> None:
        async def write(_: object) -> None:
            await self.persist_messages([*messages])
            raise ValueError("undo")

        with suppress(ValueError):
            await self.ctx.storage.transaction(write)

    @callable()
    async def go_on(self) -> str:
        return (await self.continue_last_turn()).status

    @callable()
    async def ids(self) -> list[str]:
        return [message["id"] for message in self.messages]

    @callable()
    async def rows(self) -> list[Any]:
        return self.sql("select id, seq, parent_id, content_chunks from cf_agents_session_messages order by seq")

    @callable()
    async def changes(self) -> int:
        return self.sql("select total_changes() as n")[0]["n"]


class Short(Bot):
    max_persisted_messages = 3


class Small(Bot):
    hydration_byte_budget = 300


class Discreet(Bot):
    def sanitize_message_for_persistence(self, message: dict[str, Any]) -> dict[str, Any]:
        parts = [{**part, "text": "..."} if part["type"] == "text" else part for part in message["parts"]]
        return {**message, "parts": parts}


class Clumsy(Bot):
    def sanitize_message_for_persistence(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["role"] == "assistant":
            raise ValueError("oops")
        return message


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Bot, Short, Small, Discreet, Clumsy, clock=ManualClock()) as running:
        yield running


async def say_all(runtime: Runtime, *texts: str, path: str = "/agents/bot/x") -> Any:
    """Have a turn for each text, as a client that sends the whole conversation each time."""
    a = await tab(runtime, "A", path)
    for number, text in enumerate(texts, 1):
        known = await history(runtime, path)
        ask(a, f"r{number}", *known, user(f"u{number}", text))
        await hear_turn(a, f"r{number}")
    return a


async def test_clear_forgets_all_and_tells_the_others(runtime: Runtime) -> None:
    a = await say_all(runtime, "one")
    b = await tab(runtime, "B")
    say(a, type="cf_agent_chat_clear")
    assert await heard(a) == []
    assert await heard(b) == [{"type": "cf_agent_chat_clear"}]
    assert await history(runtime) == []
    assert (await call(runtime, "ids"))["result"] == []


async def test_messages_that_a_client_sets_are_added_and_told(runtime: Runtime) -> None:
    a = await say_all(runtime, "one")
    b = await tab(runtime, "B")
    say(a, type=MESSAGES, messages=[user("u9", "new"), user("u1", "changed")])
    assert await heard(a) == []
    assert await heard(b) == [{"messages": [user("u9", "new"), user("u1", "changed")], "type": MESSAGES}]
    texts = [message["parts"][0]["text"] for message in await history(runtime)]
    assert texts == ["changed", "one", "new"]


async def test_an_answer_that_is_asked_for_again_replaces_the_old_one(runtime: Runtime) -> None:
    a = await say_all(runtime, "one", "two")
    known = await history(runtime)
    ask(a, "again", *known[:3], trigger="regenerate-message")
    await hear_turn(a, "again")
    now = await history(runtime)
    assert [m["id"] for m in now[:3]] == [m["id"] for m in known[:3]]
    assert len(now) == 4
    assert now[3]["id"] != known[3]["id"]
    assert [row["parent_id"] for row in (await call(runtime, "rows"))["result"]] == [None, *(m["id"] for m in now[:3])]


async def test_a_request_that_lists_only_what_is_new_keeps_the_rest(runtime: Runtime) -> None:
    a = await say_all(runtime, "one")
    ask(a, "r2", user("u2", "two"))
    await hear_turn(a, "r2")
    assert [m["parts"][0]["text"] for m in await history(runtime)] == ["one", "one", "two", "two"]


async def test_the_agent_can_ask_itself(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    assert (await call(runtime, "save", user("s1", "hello")))["result"] == ["completed", None]
    frames = await heard(a)
    assert types(frames[:1]) == ["chat_messages"]
    assert text_of(frames) == "hello"
    assert types(frames[-2:]) == ["chat_messages", "use_chat_response"]
    assert "messageIds" not in frames[-1]


async def test_a_function_is_given_the_conversation_when_its_time_has_come(runtime: Runtime) -> None:
    await say_all(runtime, "one")
    assert (await call(runtime, "save_with", "two"))["result"] == "completed"
    assert [m["id"] for m in (await history(runtime))][2] == "n2"


async def test_the_agent_learns_that_its_own_turn_failed(runtime: Runtime) -> None:
    assert (await call(runtime, "save", user("s1", "fail")))["result"] == ["error", "no"]


async def test_what_the_function_raises_reaches_who_asked(runtime: Runtime) -> None:
    frame = await call(runtime, "save_badly")
    assert (frame["success"], frame["error"]) == (False, "bad function")
    assert (await call(runtime, "save", user("s1", "hello")))["result"] == ["completed", None]


async def test_the_last_message_is_gone_on_with(runtime: Runtime) -> None:
    assert (await call(runtime, "go_on"))["result"] == "skipped"
    await say_all(runtime, "one")
    b = await tab(runtime, "B")
    assert (await call(runtime, "go_on"))["result"] == "completed"
    assert all(frame["continuation"] for frame in await heard(b) if frame["type"] == RESPONSE)
    messages = await history(runtime)
    assert [part["text"] for part in messages[1]["parts"]] == ["one", " and on"]


async def test_kept_messages_are_told_and_not_answered(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    await call(runtime, "persist", user("p1", "note"))
    assert await heard(a) == [{"messages": [user("p1", "note")], "type": MESSAGES}]


async def test_messages_that_are_rolled_back_are_not_remembered(runtime: Runtime) -> None:
    await call(runtime, "persist_and_undo", user("p1", "note"))
    assert await history(runtime) == []
    await call(runtime, "persist", user("p2", "another"))
    await call(runtime, "persist_and_undo", user("p3", "a third"))
    assert await history(runtime) == [user("p2", "another")]


async def test_the_handler_of_responses_may_ask_for_another_turn(runtime: Runtime) -> None:
    await say_all(runtime, "one", "more")
    await settle(100)
    told = (await call(runtime, "told_so_far"))["result"]
    assert told == [["completed", "one", False], ["completed", "more", False], ["completed", "more?", False]]


async def test_what_a_class_takes_out_is_not_kept(runtime: Runtime) -> None:
    await say_all(runtime, "secret", path="/agents/discreet/x")
    texts = [m["parts"][0]["text"] for m in await history(runtime, "/agents/discreet/x")]
    assert texts == ["...", "..."]


async def test_an_answer_that_cannot_be_kept_is_an_error(runtime: Runtime) -> None:
    a = await tab(runtime, "A", "/agents/clumsy/x")
    ask(a, "r1", user("u1", "one"))
    end = (await hear_turn(a, "r1"))[-1]
    assert (end["body"], end["error"], end["outcome"]) == ("Failed to save the response.", True, "error")


async def test_only_so_many_messages_are_kept(runtime: Runtime) -> None:
    a = await say_all(runtime, "one", "two", path="/agents/short/x")
    assert [m["parts"][0]["text"] for m in await history(runtime, "/agents/short/x")] == ["one", "two", "two"]
    old = [user("u1", "one"), *(await history(runtime, "/agents/short/x"))]
    ask(a, "r9", *old, user("u9", "three"))
    await hear_turn(a, "r9")
    assert [m["parts"][0]["text"] for m in await history(runtime, "/agents/short/x")] == ["two", "three", "three"]


async def test_what_does_not_change_is_not_written(runtime: Runtime) -> None:
    a = await say_all(runtime, "one", "two")
    before = (await call(runtime, "changes"))["result"]
    say(a, type=MESSAGES, messages=await history(runtime))
    await heard(a)
    assert (await call(runtime, "changes"))["result"] == before


async def test_a_large_message_comes_back_whole(tmp_path: Path) -> None:
    large = "äh" * 1_200_000
    async with agent_runtime(Bot, storage=tmp_path) as first:
        await say_all(first, large)
        assert [row["content_chunks"] > 0 for row in (await call(first, "rows"))["result"]] == [True, True]
    async with agent_runtime(Bot, storage=tmp_path) as second:
        assert [m["parts"][0]["text"] == large for m in await history(second)] == [True, True]
        a = await tab(second, "A")
        say(a, type=MESSAGES, messages=[user("u1", "small")])
        await settle()
    async with agent_runtime(Bot, storage=tmp_path) as third:
        assert (await history(third))[0] == user("u1", "small")


async def test_the_conversation_is_there_after_hibernation(tmp_path: Path) -> None:
    clock = ManualClock()
    async with agent_runtime(Bot, storage=tmp_path, clock=clock) as runtime:
        a = await say_all(runtime, "one")
        await clock.advance(60)
        ask(a, "r2", user("u2", "two"))
        assert text_of(await hear_turn(a, "r2")) == "two"
        assert [m["parts"][0]["text"] for m in await history(runtime)] == ["one", "one", "two", "two"]


async def test_only_the_newest_messages_are_loaded_and_all_are_given(tmp_path: Path) -> None:
    async with agent_runtime(Small, storage=tmp_path) as first:
        await say_all(first, *"abcd", path="/agents/small/x")
    async with agent_runtime(Small, storage=tmp_path) as second:
        assert len((await call(second, "ids", path="/agents/small/x"))["result"]) == 3
        assert len(await history(second, "/agents/small/x")) == 8


async def test_messages_that_are_not_in_memory_stay_in_their_places(tmp_path: Path) -> None:
    path = "/agents/small/x"
    async with agent_runtime(Small, storage=tmp_path) as first:
        await say_all(first, *"abcd", path=path)
        before = await history(first, path)
    async with agent_runtime(Small, storage=tmp_path) as second:
        a = await tab(second, "A", path)
        changed = user("u1", "changed")
        ask(a, "r5", changed, *before[1:], user("u5", "e"))
        await hear_turn(a, "r5")
        assert (await history(second, path))[:8] == [changed, *before[1:]]


def databases(folder: Path) -> list[Path]:
    """Return the databases of objects in a state folder."""
    return [*folder.rglob("objects/**/*.sqlite")]


async def test_looking_at_an_empty_conversation_stores_nothing(tmp_path: Path) -> None:
    async with agent_runtime(Bot, storage=tmp_path) as runtime:
        assert await history(runtime) == []
        await connect(runtime, "/agents/bot/x")
        await settle()
    assert databases(tmp_path) == []


async def test_stable_means_that_nothing_runs() -> None:
    clock = ManualClock()
    async with agent_runtime(Waiting, clock=clock) as runtime:
        a = await tab(runtime, "A", "/agents/waiting/x")
        ask(a, "r1", user("u1"))
        await settle()
        say(a, type="rpc", id="1", method="stable", args=[1])
        say(a, type="rpc", id="2", method="stable", args=[100])
        await clock.advance(2)
        Waiting.gate.set_result(None)
        await clock.advance(1)
        results = {frame["id"]: frame["result"] for frame in await heard(a) if frame["type"] == "rpc"}
        assert results == {"1": False, "2": True}


class Waiting(Bot):
    gate: asyncio.Future[None]

    async def on_chat_message(self) -> str:
        type(self).gate = asyncio.get_running_loop().create_future()
        await self.gate
        return "done"

    @callable()
    async def stable(self, seconds: float) -> bool:
        return await self.wait_until_stable(seconds)


async def test_a_destroyed_agent_leaves_nothing_of_its_conversation(tmp_path: Path) -> None:
    async with agent_runtime(Mortal, storage=tmp_path) as runtime:
        a = await tab(runtime, "A", "/agents/mortal/x")
        ask(a, "r1", user("u1"))
        await settle()
        say(a, type="rpc", id="1", method="die", args=[])
        await settle(200)
        assert a.closed is not None
        assert await history(runtime, "/agents/mortal/x") == []
        assert (await call(runtime, "tables", path="/agents/mortal/x"))["result"] == []


class Mortal(Waiting):
    @callable()
    async def tables(self) -> list[str]:
        rows = self.sql("select name from sqlite_master where name like 'cf_%'")
        return [row["name"] for row in rows]

    @callable()
    async def die(self) -> None:
        await self.destroy()
