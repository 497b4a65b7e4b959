"""Messages that are sent while another turn runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgeagents import AIChatAgent, callable
from edgeagents.agents import Debounce
from edgeagents.agents.chat import chat
from edgeagents.agents.chat.concurrency import merge_user_messages, read_concurrency
from edgeagents.errors import ConfigError
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, settle
from tests.agents.chat.talk import MESSAGES, RESPONSE, ask, call, history, tab, user
from tests.agents.frames import heard, say

pytestmark = [
    pytest.mark.cloudflare("Chat", "`messageConcurrency`", "same"),
    pytest.mark.cloudflare(
        "Chat",
        "a client's stop for a turn that waits or has no reply yet",
        "different: it never runs, or is cancelled; the SDK lets it run",
    ),
]


class Bot(AIChatAgent):
    """Answers each turn when it is let, with what it was asked."""

    gates: list[asyncio.Future[None]] = []

    async def on_chat_message(self) -> str:
        asked = "|".join(
            part["text"] for message in self.messages if message["role"] == "user" for part in message["parts"]
        )
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return asked

    @callable()
    async def jobs(self) -> int:
        return self.sql("select count(*) as n from cf_agents_jobs")[0]["n"]

    @callable()
    async def turns(self) -> int:
        return self.sql("select count(*) as n from cf_ai_chat_turns")[0]["n"]


class Latest(Bot):
    message_concurrency = "latest"


class Merge(Bot):
    message_concurrency = "merge"


class Drop(Bot):
    message_concurrency = "drop"


class Patient(Bot):
    message_concurrency = Debounce(debounce_ms=200)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    Bot.gates = []
    async with agent_runtime(Bot, Latest, Merge, Drop, Patient, clock=clock) as running:
        yield running


async def send_three(runtime: Runtime, kind: str) -> TestSocket:
    """Ask three times while the first turn runs."""
    a = await tab(runtime, "A", f"/agents/{kind}/x")
    for number in range(1, 4):
        ask(a, f"r{number}", *(user(f"u{n}", f"q{n}") for n in range(1, number + 1)))
        await settle()
    return a


async def let_all_run(a: TestSocket) -> dict[str, str]:
    """Let turns run until none is left; return how each request ended."""
    frames: list[Any] = []
    for _ in range(5):
        for gate in Bot.gates:
            if not gate.done():
                gate.set_result(None)
        frames += await heard(a)
    return {f["id"]: f.get("outcome", "completed") for f in frames if f["type"] == RESPONSE and f["done"]}


async def answers(runtime: Runtime, kind: str) -> list[str]:
    messages = await history(runtime, f"/agents/{kind}/x")
    return [message["parts"][0]["text"] for message in messages if message["role"] == "assistant"]


async def test_by_default_all_are_answered_in_order(runtime: Runtime) -> None:
    a = await send_three(runtime, "bot")
    assert await let_all_run(a) == {"r1": "completed", "r2": "completed", "r3": "completed"}
    assert await answers(runtime, "bot") == ["q1", "q1|q2|q3", "q1|q2|q3"]


async def test_latest_answers_the_newest_only(runtime: Runtime) -> None:
    a = await send_three(runtime, "latest")
    assert await let_all_run(a) == {"r1": "completed", "r2": "skipped", "r3": "completed"}
    users = [m["id"] for m in await history(runtime, "/agents/latest/x") if m["role"] == "user"]
    assert users == ["u1", "u2", "u3"]


async def test_a_skipped_request_is_told_to_who_asked_only(runtime: Runtime) -> None:
    a = await send_three(runtime, "latest")
    b = await tab(runtime, "B", "/agents/latest/x")
    await let_all_run(a)
    assert "r2" not in [frame.get("id") for frame in await heard(b)]


async def test_merge_makes_one_message_of_those_that_wait(runtime: Runtime) -> None:
    a = await send_three(runtime, "merge")
    assert await let_all_run(a) == {"r1": "completed", "r2": "skipped", "r3": "completed"}
    messages = await history(runtime, "/agents/merge/x")
    assert [m["parts"][0]["text"] for m in messages if m["role"] == "user"] == ["q1", "q2\n\nq3"]
    assert (await answers(runtime, "merge"))[-1] == "q1|q2\n\nq3"


async def test_drop_refuses_and_shows_what_the_server_has(runtime: Runtime) -> None:
    a = await tab(runtime, "A", "/agents/drop/x")
    ask(a, "r1", user("u1", "q1"))
    await heard(a)
    ask(a, "r2", user("u1", "q1"), user("u2", "q2"))
    assert await heard(a) == [
        {"messages": [user("u1", "q1")], "type": MESSAGES},
        {"body": "", "done": True, "id": "r2", "type": RESPONSE, "outcome": "skipped", "messageIds": ["u1", "u2"]},
    ]
    assert await let_all_run(a) == {"r1": "completed"}


async def test_debounce_waits_until_nothing_was_sent_for_a_while(runtime: Runtime, clock: ManualClock) -> None:
    a = await send_three(runtime, "patient")
    assert await let_all_run(a) == {"r1": "completed", "r2": "skipped"}
    assert len(Bot.gates) == 1
    await clock.advance(0.2)
    assert await let_all_run(a) == {"r3": "completed"}


async def test_a_turn_that_is_asked_for_again_is_never_dropped(runtime: Runtime) -> None:
    a = await tab(runtime, "A", "/agents/drop/x")
    ask(a, "r1", user("u1", "q1"))
    await heard(a)
    ask(a, "r2", user("u1", "q1"), trigger="regenerate-message")
    assert await let_all_run(a) == {"r1": "completed", "r2": "completed"}


async def test_a_request_under_the_id_of_a_turn_that_runs_is_ignored(runtime: Runtime) -> None:
    a, b = await tab(runtime, "A"), await tab(runtime, "B")
    ask(a, "r1", user("u1"))
    await heard(a)
    ask(b, "r1", user("mine"))
    assert await heard(a) == []
    assert (await call(runtime, "turns"))["result"] == 1
    assert await let_all_run(a) == {"r1": "completed"}
    assert [message["id"] for message in await history(runtime)][:1] == ["u1"]
    assert len(Bot.gates) == 1


def test_odd_texts_are_merged_as_none() -> None:
    odd = [{"type": "text"}, {"type": "text", "text": {"not": "text"}}, {"type": "text", "text": "words"}]
    messages = [user("u1"), {"id": "u2", "role": "user", "parts": odd}]
    assert merge_user_messages(messages)["parts"] == [{"type": "text", "text": "hi\n\nwords"}]


@pytest.mark.parametrize("trigger", ["submit-message", "regenerate-message"])
async def test_only_so_many_turns_wait_whatever_they_are_asked_for(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, trigger: str
) -> None:
    monkeypatch.setattr(chat, "MOST_TURNS", 2)
    a = await tab(runtime, "A")
    for number in range(4):
        ask(a, f"r{number}", user("u1"), trigger=trigger)
    ends = [frame for frame in await heard(a) if frame["type"] == RESPONSE]
    assert [(frame["id"], frame["outcome"]) for frame in ends] == [("r2", "skipped"), ("r3", "skipped")]


async def test_a_turn_that_waits_is_stopped_before_it_begins(runtime: Runtime) -> None:
    a = await send_three(runtime, "bot")
    say(a, type="cf_agent_chat_request_cancel", id="r2")
    assert await let_all_run(a) == {"r1": "completed", "r2": "aborted", "r3": "completed"}
    assert len(Bot.gates) == 2


@pytest.mark.parametrize("kind", ["bot", "latest", "merge"])
async def test_when_no_turn_is_left_the_agent_need_not_wake(runtime: Runtime, kind: str) -> None:
    a = await send_three(runtime, kind)
    path = f"/agents/{kind}/x"
    assert (await call(runtime, "jobs", path=path))["result"] == 1
    await let_all_run(a)
    assert (await call(runtime, "jobs", path=path))["result"] == 0
    assert (await call(runtime, "turns", path=path))["result"] == 0


async def test_after_a_clear_the_agent_need_not_wake(runtime: Runtime) -> None:
    a = await send_three(runtime, "bot")
    say(a, type="cf_agent_chat_clear")
    await heard(a)
    assert (await call(runtime, "jobs"))["result"] == 0


async def test_clear_gives_up_the_turns_that_wait(runtime: Runtime) -> None:
    a = await send_three(runtime, "bot")
    say(a, type="cf_agent_chat_clear")
    frames = await heard(a)
    ends = {f["id"]: f["outcome"] for f in frames if f["type"] == RESPONSE}
    assert ends == {"r1": "aborted", "r2": "skipped", "r3": "skipped"}
    assert await history(runtime) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("latest", "latest"),
        ("debounce", Debounce(750)),
        ({"strategy": "debounce", "debounceMs": 5}, Debounce(5)),
        ({"strategy": "debounce", "debounce_ms": 6}, Debounce(6)),
    ],
)
def test_the_attribute_is_read_in_each_form(value: Any, expected: Any) -> None:
    assert read_concurrency(value) == expected


@pytest.mark.parametrize("value", ["newest", {"strategy": "queue"}, 3, {"strategy": "debounce", "debounce_ms": -1}])
def test_an_unknown_strategy_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"message_concurrency is .*It is 'queue', 'latest'"):
        read_concurrency(value)


def test_merged_messages_keep_their_files() -> None:
    file = {"type": "file", "url": "data:,", "mediaType": "text/plain"}
    merged = merge_user_messages([user("a", "one"), {**user("b"), "parts": [file]}, user("c", "two")])
    assert merged["id"] == "c"
    assert [part.get("text", part["type"]) for part in merged["parts"]] == ["one\n\n", "file", "\n\ntwo"]
