"""The code of ``docs/agents.md`` does what the page says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from edgeagents import Agent
from edgeagents.errors import CallFailed, DataCloneError
from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect
from tests.documents import Page
from tests.servers import Server

PAGE = Page("docs/agents.md")


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with PAGE.module() as module:
        yield module


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(page: Any, clock: ManualClock) -> AsyncIterator[Runtime]:
    classes = [page.Room, page.Preferences, page.Shelf, page.Sum, page.Lounge, page.Reminder, page.Assistant]
    async with agent_runtime(*classes, clock=clock) as runtime:
        yield runtime


@pytest.mark.server
def test_the_app_counts_notes_keeps_them_and_tells_a_script(tmp_path: Path) -> None:
    PAGE.write_to(tmp_path)
    script = tmp_path / "watch.py"
    server = Server("main:app", server="uvicorn", cwd=tmp_path, pythonpath=[tmp_path], ready="/docs")
    try:
        server.start()
        with httpx2.Client(base_url=server.url, trust_env=False) as client:
            assert client.post("/rooms/lobby/notes", params={"text": "hello"}).json() == {"id": 1}
        server.kill()
        server.start()
        with httpx2.Client(base_url=server.url, trust_env=False) as client:
            assert client.get("/rooms/lobby/notes").json() == [{"id": 1, "text": "hello"}]
            assert client.get("/agents/mine/page").status_code == 400
        script.write_text(script.read_text().replace("localhost:8000", f"127.0.0.1:{server.port}"))
        done = subprocess.run([sys.executable, str(script)], env=server.env, capture_output=True, text=True, timeout=60)
    finally:
        server.close()

    assert done.stdout.splitlines() == [
        "{'topic': '', 'notes': 1} server",
        "{'topic': '', 'notes': 2} server",
        "2",
    ], done.stderr


async def test_what_is_changed_in_place_is_not_kept_and_debug_says_so(
    clock: ManualClock, page: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(page.Room):
        def careless(self) -> int:
            self.state["notes"] += 1000
            return self.state["notes"]

        def count(self) -> int:
            return self.state["notes"]

    async with agent_runtime(Careless, clock=clock, debug=True) as runtime:
        room: Any = runtime.namespaces["Careless"].get_by_name("a")
        await room.add_note("one")
        assert await room.careless() == 1001
        assert "was changed in place" in caplog.text
        await clock.advance(60)
        assert await room.count() == 1


async def test_a_state_is_checked(runtime: Runtime) -> None:
    client = await connect(runtime, "/agents/preferences/ann")
    for state in ('{"theme": "dark", "size": "large"}', '{"theme": "dark", "size": 41}'):
        client.send(f'{{"type": "cf_agent_state", "state": {state}}}')
        assert "rejected" in (await client.frame("cf_agent_state_error"))["error"]


async def test_the_shelf_is_used_as_shown(page: Any, runtime: Runtime) -> None:
    assert await page.use_the_shelf() == [{"books": 1}, ["Emma", "Ulysses"], "no such shelf"]


async def test_a_stub_has_methods_alone_and_takes_data_alone(page: Any, runtime: Runtime) -> None:
    shelf = await page.get_agent_by_name(page.Shelf, "hall")
    with pytest.raises(AttributeError, match="state"):
        _ = shelf.state
    with pytest.raises(DataCloneError):
        await shelf.put(print)


async def test_arguments_of_clients_are_checked_by_pydantic(runtime: Runtime) -> None:
    client = await connect(runtime, "/agents/sum/a")
    assert await client.call("add", [2]) == 2
    with pytest.raises(CallFailed, match="valid integer"):
        await client.call("add", ["x"])


async def test_a_callable_that_is_a_generator_streams(runtime: Runtime) -> None:
    client = await connect(runtime, "/agents/sum/a")
    parts: list[int] = []
    await client.call("count_down", [3], on_chunk=parts.append)
    assert parts == [3, 2, 1]


async def test_arguments_are_not_checked_without_it_and_come_by_position(clock: ManualClock, page: Any) -> None:
    class Plain(page.Agent):
        @page.edgeagents.callable()
        async def add(self, by: int) -> int:
            return 1 + by

        @page.edgeagents.callable()
        async def named(self, *, by: int) -> int:
            return by

    async with agent_runtime(Plain, clock=clock) as runtime:
        client = await connect(runtime, "/agents/plain/a")
        with pytest.raises(CallFailed, match="unsupported operand"):
            await client.call("add", ["x"])
        with pytest.raises(CallFailed, match="positional"):
            await client.call("named", [1])


async def test_the_lounge_tells_who_comes_and_goes(runtime: Runtime) -> None:
    ann = await connect(runtime, "/agents/lounge/a?name=Ann")
    bob = await connect(runtime, "/agents/lounge/a?name=Bob")
    assert await ann.message() == "Bob came in"
    bob.send("hello")
    assert [await ann.message(), await bob.message()] == ["Bob: hello", "Bob: hello"]
    answer = await runtime.route(Request("/agents/lounge/a"))
    assert answer is not None
    assert await answer.json() == {"here": [{"name": "Ann"}, {"name": "Bob"}]}
    bob.close()
    assert await ann.message() == "Bob left"


async def test_reminders_come_unless_they_are_forgotten(runtime: Runtime, clock: ManualClock) -> None:
    client = await connect(runtime, "/agents/reminder/ann")
    await client.call("remind", ["stretch"])
    forgotten = await client.call("remind", ["sleep"])
    assert await client.call("forget", [forgotten]) is True
    await clock.advance(61)
    assert await client.message() == "stretch"
    await clock.advance(24 * 3600)
    assert own_messages(client) == ["good morning"]


def own_messages(client: TestSocket) -> list[str | bytes]:
    return [message for message in client.pending() if not str(message).startswith("{")]


async def test_the_assistant_answers(runtime: Runtime, clock: ManualClock) -> None:
    assistant: Any = runtime.namespaces["Assistant"].get_by_name("ann")
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    turn = asyncio.ensure_future(assistant.save_messages([message]))
    await clock.advance(60)  # The offline model pauses between words.
    await turn
    answer = await runtime.route(Request("/agents/assistant/ann/get-messages"))
    assert answer is not None
    assert [message["role"] for message in await answer.json()] == ["user", "assistant"]


async def test_a_def_schedules_with_asyncio_run(clock: ManualClock) -> None:
    class Bell(Agent):
        def plan(self) -> str:
            return asyncio.run(self.schedule(60, "ring", "noon")).id

        async def ring(self, text: str) -> None:
            self.broadcast(text)

    async with agent_runtime(Bell, clock=clock) as runtime:
        tab = await connect(runtime, "/agents/bell/a")
        await runtime.namespaces["Bell"].get_by_name("a").plan()
        await clock.advance(60)
        assert await tab.message() == "noon"


async def test_a_name_is_what_stands_in_the_url() -> None:
    class Card(Agent):
        async def on_request(self, request: Request) -> str:
            return self.name

    async with agent_runtime(Card) as runtime:
        answer = await runtime.route(Request("/agents/card/a%20b"))
        assert answer is not None
        assert await answer.text() == "a%20b"
        other: Any = runtime.namespaces["Card"].get_by_name("a b")
        assert await (await other.fetch(Request("/"))).text() == "a b"
