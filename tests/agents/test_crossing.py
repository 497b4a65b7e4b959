"""What the agent's own methods return reaches another object as it is, and a client as the SDK shows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from edgeagents import Agent, AIChatAgent, callable
from edgeagents.agents import CallableMetadata, QueueItem, RetryOptions, Schedule
from edgeagents.agents.chat import SaveResult
from edgeagents.agents.sub_routing import AgentPathStep
from edgeagents.errors import StorageError
from edgeagents.objects import record
from edgeagents.objects.values import clone, decode, encode
from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime, connect
from tests.agents.frames import answer, heard

pytestmark = pytest.mark.cloudflare(
    "Agents",
    "what `schedule()`, `list_fibers()` and other methods of an agent return, through a stub",
    "different: an immutable object of Python with attributes in snake_case; in JSON as the SDK's",
)


class Child(Agent):
    async def path(self) -> Any:
        return self.self_path


class Planner(Agent):
    sub_agents = [Child]

    @callable("Add a reminder", streaming=False)
    async def remind(self, seconds: float) -> Schedule:
        return await self.schedule(seconds, "nothing", {"deep": [1, None]}, retry={"max_attempts": 2})

    @callable()
    async def repeat(self) -> list[Schedule]:
        await self.schedule("0 0 1 1 *", "nothing", "cron")
        await self.schedule_every(60, "nothing", "interval")
        return await self.list_schedules()

    @callable()
    async def enqueue(self, id: str) -> QueueItem | None:
        await self.queue("wait", {"n": 1}, id=id)
        return await self.get_queue(id)

    @callable()
    async def work(self, key: str) -> Any:
        async def run(fiber: Any) -> None:
            fiber.stash({"step": 1})

        return await self.start_fiber("work", run, idempotency_key=key, wait_for_completion=True)

    async def make(self, name: str) -> Any:
        return await (await self.sub_agent(Child, name)).path()

    @callable()
    async def children(self) -> Any:
        return self.list_sub_agents()

    async def nothing(self, payload: Any) -> None: ...

    async def wait(self, payload: Any) -> None: ...


class Talk(AIChatAgent):
    async def on_chat_message(self, on_finish: Any, options: Any) -> str:
        return "hello"


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Planner, Talk) as runtime:
        yield runtime


@pytest.fixture
def planner(runtime: Runtime) -> Any:
    return runtime.namespaces["Planner"].get_by_name("p")


async def test_a_schedule_reaches_who_asked_for_it_through_a_stub(planner: Any) -> None:
    made = await planner.schedule(60, "nothing", {"deep": [1, None]}, retry={"max_attempts": 2})

    assert isinstance(made, Schedule)
    assert (made.callback, made.payload, made.type) == ("nothing", {"deep": [1, None]}, "delayed")
    assert made.retry == RetryOptions(max_attempts=2)
    assert await planner.get_schedule_by_id(made.id) == made
    assert await planner.get_schedules() == [made]
    assert await planner.cancel_schedule(made.id)


async def test_the_copy_shares_nothing_with_the_agents_own(planner: Any) -> None:
    made = await planner.schedule(60, "nothing", {"list": []})
    made.payload["list"].append(1)
    assert (await planner.get_schedule_by_id(made.id)).payload == {"list": []}


async def test_fibers_reach_a_caller_through_a_stub(planner: Any) -> None:
    started = await planner.work("once")
    again = await planner.work("once")
    (listed,) = await planner.list_fibers()

    assert (started.status, started.snapshot, started.accepted) == ("completed", {"step": 1}, True)
    assert (again.fiber_id, again.accepted) == (started.fiber_id, False)
    assert (listed.fiber_id, listed.is_settled, listed.created_at) == (started.fiber_id, True, started.created_at)


async def test_so_do_queue_items_callables_and_sub_agents(planner: Any) -> None:
    item = await planner.enqueue("i1")
    methods = await planner.get_callable_methods()
    path = await planner.make("ann")
    (child,) = await planner.list_sub_agents()

    assert (item.id, item.payload) == ("i1", {"n": 1})
    assert methods["remind"] == CallableMetadata("Add a reminder", streaming=False)
    assert path == (AgentPathStep("Planner", "p"), AgentPathStep("Child", "ann"))
    assert path[-1].class_name == child.class_name == "Child"


async def test_so_does_the_result_of_a_turn_that_was_asked_for_through_a_stub(runtime: Runtime) -> None:
    talk: Any = runtime.namespaces["Talk"].get_by_name("t")
    result = await talk.save_messages([{"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}])
    assert isinstance(result, SaveResult)
    assert (result.status, result.error) == ("completed", None)


async def test_a_client_sees_them_as_the_typescript_sdk_shows_them(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/planner/p")
    await heard(socket)

    async def asked(method: str, *args: object) -> Any:
        return (await answer(socket, method, *args))["result"]

    made = await asked("remind", 60)
    assert made == {
        "callback": "nothing",
        "id": made["id"],
        "payload": {"deep": [1, None]},
        "retry": {"maxAttempts": 2},
        "delayInSeconds": 60,
        "time": made["time"],
        "type": "delayed",
    }
    _, interval, cron = sorted(await asked("repeat"), key=lambda schedule: schedule["time"])[:3]
    assert {*cron, *interval} - {"callback", "id", "payload", "time", "type"} <= {"cron", "intervalSeconds", "retry"}

    item = await asked("enqueue", "i1")
    assert item.keys() == {"id", "callback", "payload", "createdAt", "retry"}
    assert isinstance(item["createdAt"], int)

    fiber = await asked("work", "once")
    assert fiber.keys() == {
        "fiberId", "name", "status", "createdAt", "idempotencyKey", "snapshot", "startedAt", "settledAt", "accepted",
    }  # fmt: skip

    await runtime.namespaces["Planner"].get_by_name("p").make("ann")
    (child,) = await asked("children")
    assert (child.keys(), child["className"]) == ({"className", "name", "createdAt"}, "Child")


# As bytes: between processes, and in storage.


def test_a_record_is_the_same_when_it_was_bytes() -> None:
    made = Schedule("s", "run", {"a": [1]}, "cron", 7, RetryOptions(3), cron="@daily")
    for value in (made, [made, {"made": made}], (AgentPathStep("A", "b"),)):
        assert decode(encode(value)) == value
    assert type(decode(encode(AgentPathStep("A", "b")))) is AgentPathStep


def test_a_record_that_nothing_knows_is_refused() -> None:
    kept = encode(Schedule("s", "run", None, "cron", 7)).replace(b"schedule", b"scheduLe")
    with pytest.raises(StorageError, match="'scheduLe', which nothing here knows"):
        decode(kept)


def test_a_record_of_before_gets_defaults_and_loses_what_is_no_more() -> None:
    @dataclass(frozen=True)
    class Old:
        size: int
        colour: str

    class New(NamedTuple):
        size: int
        weight: int = 3

    record("test: grows")(Old)
    kept = encode(Old(1, "red"))
    Old.__qualname__ = New.__qualname__  # As if the class had been changed and the program started again.
    record("test: grows")(New)

    assert decode(kept) == New(1, 3)


def test_a_record_that_lacks_a_field_is_refused() -> None:
    kept = encode(RetryOptions(3)).replace(b"retry options", b"agent path step"[:13])
    with pytest.raises(StorageError):
        decode(kept)


def test_what_could_change_is_no_record() -> None:
    @dataclass
    class Loose:
        n: int

    with pytest.raises(TypeError, match="could change"):
        record("test: loose")(Loose)
    with pytest.raises(TypeError, match="frozen dataclass or a named tuple"):
        record("test: no class of values")(int)
    with pytest.raises(TypeError, match="Two classes are the record 'schedule'"):
        record("schedule")(AgentPathStep)


def test_a_clone_of_a_record_is_another_one() -> None:
    made = Schedule("s", "run", [1], "cron", 7)
    copy = clone(made)
    assert copy == made
    assert copy.payload is not made.payload
