from __future__ import annotations

import enum
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from edgeagents.agents import Agent, Connection, ConnectionContext, callable, get_agent_by_name
from edgeagents.errors import ConfigError
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from tests.agents.frames import answer, heard, parsed, say

pytestmark = pytest.mark.cloudflare("Agents", "state: order of a change, validation, readonly connections", "same")


class Board(Agent):
    """Lets a test do anything to its state."""

    initial_state = {"items": []}

    @callable()
    async def put(self, state: Any) -> None:
        self.set_state(state)

    @callable()
    def put_from_thread(self, state: Any) -> str:
        self.set_state(state)
        return threading.current_thread().name

    @callable()
    async def show(self) -> Any:
        return self.state

    @callable()
    async def rows(self) -> Any:
        return self.sql("select id, state from cf_agents_state")

    @callable()
    async def spoil(self, text: str) -> None:
        self.sql("update cf_agents_state set state = ?", text)

    @callable()
    async def wipe(self) -> None:
        await self.ctx.storage.delete_all()


class Plain(Agent):
    @callable()
    async def put(self, state: Any) -> None:
        self.set_state(state)

    @callable()
    async def show(self) -> Any:
        return self.state


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with agent_runtime(Board, Plain) as runtime:
        yield runtime


STATE = {"type": "cf_agent_state"}


@pytest.mark.parametrize("state", [0, False, "", None, [], {}, "x", {"deep": [1, {"a": None}]}])
async def test_any_json_value_is_a_state(runtime: Runtime, state: Any) -> None:
    socket = await connect(runtime, "/agents/plain/x")
    assert (await answer(socket, "put", state))["success"]
    later = await connect(runtime, "/agents/plain/x")
    frames = await heard(later)
    assert frames[0]["stateFollows"] is True
    assert frames[1] == {**STATE, "state": state}


async def test_no_state_is_none_and_is_not_sent(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/plain/x")
    assert (await answer(socket, "show"))["result"] is None
    assert "cf_agent_state" not in [frame["type"] for frame in await heard(socket)]


async def test_initial_state_is_kept_when_it_is_first_looked_at(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/board/x")
    assert (await answer(socket, "rows"))["result"] == [{"id": "cf_state_row_id", "state": '{"items":[]}'}]


async def test_agents_do_not_share_the_initial_state(runtime: Runtime) -> None:
    class Careless(Agent):
        initial_state: dict[str, Any] = {"items": []}

        @callable()
        async def append(self) -> None:
            self.state["items"].append(1)

    async with agent_runtime(Careless) as runtime:
        socket = await connect(runtime, "/agents/careless/a")
        await answer(socket, "append")
        other = await connect(runtime, "/agents/careless/b")
        assert {**STATE, "state": {"items": []}} in await heard(other)
    assert Careless.initial_state == {"items": []}


async def test_initial_state_may_be_set_while_the_agent_is_made() -> None:
    class Named(Agent):
        def __init__(self, ctx: Any, env: Any) -> None:
            super().__init__(ctx, env)
            self.initial_state = {"for": self.name}

    async with agent_runtime(Named) as runtime:
        socket = await connect(runtime, "/agents/named/x")
        assert {**STATE, "state": {"for": "x"}} in await heard(socket)


async def test_state_outlives_memory() -> None:
    clock = ManualClock()
    async with agent_runtime(Plain, clock=clock) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Plain"], "x")
        await agent.put({"n": 1})
        await clock.advance(60)
        assert await agent.show() == {"n": 1}


def files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.sqlite")]


async def test_state_outlives_the_process(tmp_path: Path) -> None:
    for expected in (None, {"n": 1}):
        async with agent_runtime(Plain, storage=tmp_path, durability="full") as runtime:
            agent = await get_agent_by_name(runtime.namespaces["Plain"], "../x")
            assert await agent.show() == expected
            await agent.put({"n": 1})
    [path] = files(tmp_path)
    assert re.fullmatch(r"objects/Plain/[0-9a-f]{64}\.sqlite", path)


async def test_agent_that_keeps_nothing_has_no_file(tmp_path: Path) -> None:
    async with agent_runtime(Plain, storage=tmp_path) as runtime:
        socket = await connect(runtime, "/agents/plain/x")
        assert (await answer(socket, "show"))["result"] is None
    assert files(tmp_path) == []


async def test_unreadable_row_falls_back_to_the_initial_state() -> None:
    clock = ManualClock()
    async with agent_runtime(Board, clock=clock) as runtime:
        agent = await get_agent_by_name(runtime.namespaces["Board"], "x")
        await agent.put({"items": [1]})
        await agent.spoil("{")
        await clock.advance(60)
        assert await agent.show() == {"items": []}
        assert await agent.rows() == [{"id": "cf_state_row_id", "state": '{"items":[]}'}]


async def test_state_can_be_set_after_all_storage_was_deleted(runtime: Runtime) -> None:
    agent = await get_agent_by_name(runtime.namespaces["Board"], "x")
    await agent.put({"items": [1]})
    await agent.wipe()
    await agent.put({"items": [2]})
    assert await agent.rows() == [{"id": "cf_state_row_id", "state": '{"items":[2]}'}]


async def test_clients_have_the_state_before_the_answer_to_the_call_that_set_it(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/plain/x")
    await heard(socket)
    say(socket, type="rpc", id="1", method="put", args=[1])
    assert [frame["type"] for frame in await heard(socket)] == ["cf_agent_state", "rpc"]


async def test_sync_handler_sets_the_state_from_its_thread(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/board/x")
    await heard(socket)
    say(socket, type="rpc", id="1", method="put_from_thread", args=[1])
    first = json.loads(await socket.receive())
    second = json.loads(await socket.receive())
    assert first == {**STATE, "state": 1}
    assert second["result"].startswith("Board-")


async def test_everybody_sees_changes_in_one_order(runtime: Runtime) -> None:
    sockets = [await connect(runtime, "/agents/plain/x") for _ in range(3)]
    for socket in sockets:
        await heard(socket)
    agent = await get_agent_by_name(runtime.namespaces["Plain"], "x")
    for n in range(20):
        await agent.put(n)
    for socket in sockets:
        assert [frame["state"] for frame in await heard(socket)] == list(range(20))


async def test_socket_with_the_senders_id_still_hears_of_the_change(runtime: Runtime) -> None:
    old = await connect(runtime, "/agents/plain/x?_pk=same")
    new = await connect(runtime, "/agents/plain/x?_pk=same")
    await heard(old), await heard(new)
    say(new, type="cf_agent_state", state=1)
    assert await heard(new) == []
    assert await heard(old) == [{**STATE, "state": 1}]


async def test_what_json_writes_in_another_form_is_the_state_in_that_form() -> None:
    class Colour(enum.Enum):
        RED = "red"

    @dataclass
    class Order:
        at: date
        colour: Colour

    seen: list[Any] = []

    class Shop(Agent):
        def validate_state_change(self, next_state: Any, source: Any) -> None:
            seen.append(next_state)

        async def put(self) -> Any:
            self.set_state({"orders": [Order(date(2026, 1, 2), Colour.RED)], "id": UUID(int=1)})
            return self.state

        async def show(self) -> Any:
            return self.state

    clock = ManualClock()
    async with agent_runtime(Shop, clock=clock) as runtime:
        shop: Any = await get_agent_by_name(runtime.namespaces["Shop"], "x")
        state = await shop.put()
        await clock.advance(60)

        assert state["orders"] == [{"at": "2026-01-02", "colour": "red"}]
        assert seen == [state]
        assert await shop.show() == state


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (timedelta(1), r"A value of type timedelta has no form in JSON\. Use its total_seconds\(\)\."),
        (Decimal("1.5"), r"A value of type Decimal .* Use str\(\) or float\(\) of it\."),
        ({1}, r"A value of type set .* Make a list of it\."),
        (float("inf"), "The number inf has no form in JSON"),
        ({("a", "b"): 1}, r"A key of type tuple has no form in JSON: \('a', 'b'\)"),
    ],
    ids=["timedelta", "Decimal", "set", "inf", "key"],
)
async def test_states_and_results_are_refused_with_the_place_of_the_fault(value: Any, words: str) -> None:
    told: list[str] = []
    whole = {"orders": [1, {"at": [value]}], "to": "x"}

    class Shop(Agent):
        options = {"send_identity_on_connect": False}

        @callable()
        async def put(self) -> None:
            try:
                self.set_state(whole)
            except (TypeError, ValueError) as error:
                told.append(str(error))

        @callable()
        async def show(self) -> Any:
            return whole

    async with agent_runtime(Shop) as runtime:
        socket = await connect(runtime, "/agents/shop/x")
        await heard(socket)
        await answer(socket, "put")
        told.append((await answer(socket, "show"))["error"])

    assert told[0] == told[1]
    assert re.fullmatch(rf"{words}.* It stands at \$\.orders\[1\]\.at\[0\]\.", told[0])


@pytest.mark.parametrize("state", [{1, 2}, object(), float("nan")])
async def test_state_that_is_no_json_changes_nothing(state: Any) -> None:
    caught: list[Exception] = []

    class Strict(Agent):
        initial_state = "old"

        @callable()
        async def put(self) -> Any:
            try:
                self.set_state(state)
            except (TypeError, ValueError) as error:
                caught.append(error)
            return self.state

    async with agent_runtime(Strict) as runtime:
        socket = await connect(runtime, "/agents/strict/x")
        await heard(socket)
        assert (await answer(socket, "put"))["result"] == "old"
    assert len(caught) == 1


# Validation


class Guarded(Agent):
    initial_state = 0
    sources: list[Any]

    async def on_start(self) -> None:
        self.sources = []

    def validate_state_change(self, next_state: Any, source: Any) -> None:
        if hasattr(self, "sources"):
            self.sources.append(source if source == "server" else source.id)
        if next_state == "secret reason":
            raise PermissionError("the secret reason")
        if isinstance(next_state, int) and next_state < self.state:
            raise ValueError(f"{next_state} is less than {self.state}")

    @callable()
    async def put(self, state: Any) -> None:
        self.set_state(state)

    @callable()
    async def seen(self) -> Any:
        return self.sources


async def test_refused_change_is_neither_kept_nor_sent(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Guarded) as runtime:
        socket = await connect(runtime, "/agents/guarded/x?_pk=me")
        other = await connect(runtime, "/agents/guarded/x")
        await heard(socket), await heard(other)
        say(socket, type="cf_agent_state", state="secret reason")
        assert await heard(socket) == [{"type": "cf_agent_state_error", "error": "State update rejected"}]
        assert await heard(other) == []
        assert (await answer(socket, "put", -1))["error"] == "-1 is less than 0"
        assert await heard(other) == []
        say(socket, type="cf_agent_state", state=1)
        assert (await answer(socket, "seen"))["result"] == ["server", "me", "server", "me"]
    assert "the secret reason" in caplog.text


def test_async_validator_is_refused_with_the_class() -> None:
    with pytest.raises(ConfigError, match="cannot be async"):

        class Wrong(Agent):  # pyright: ignore[reportUnusedClass]
            async def validate_state_change(self, next_state: Any, source: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
                pass


# on_state_changed


def changes(kind: str) -> tuple[type[Agent], list[Any]]:
    told: list[Any] = []

    class Async(Agent):
        async def on_state_changed(self, state: Any, source: Connection | str) -> None:
            told.append((state, source if isinstance(source, str) else source.id))

        @callable()
        async def put(self, state: Any) -> None:
            self.set_state(state)

    class Sync(Agent):
        def on_state_changed(self, state: Any, source: Connection | str) -> None:
            told.append((state, source if isinstance(source, str) else source.id))

        @callable()
        def put(self, state: Any) -> None:
            self.set_state(state)

    return {"async": Async, "sync": Sync}[kind], told


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_agent_is_told_of_changes_and_of_who_made_them(kind: str) -> None:
    cls, told = changes(kind)
    async with agent_runtime(cls) as runtime:
        socket = await connect(runtime, f"/agents/{kind}/x?_pk=me")
        say(socket, type="cf_agent_state", state=1)
        await answer(socket, "put", 2)
        await answer(socket, "put", 3)
        await until(lambda: len(told) == 3)
    assert told == [(1, "me"), (2, "server"), (3, "server")]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await settle()


async def test_error_in_on_state_changed_goes_to_on_error_and_undoes_nothing() -> None:
    errors: list[str] = []

    class Failing(Agent):
        async def on_state_changed(self, state: Any) -> None:
            raise RuntimeError("too late")

        async def on_error(self, error: Exception) -> None:
            errors.append(str(error))

        @callable()
        async def put(self, state: Any) -> Any:
            self.set_state(state)
            return self.state

    async with agent_runtime(Failing) as runtime:
        socket = await connect(runtime, "/agents/failing/x")
        assert (await answer(socket, "put", 1))["result"] == 1
        await until(lambda: bool(errors))
    assert errors == ["too late"]


def test_old_name_of_the_hook_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"on_state_changed\(\)"):

        class Old(Agent):  # pyright: ignore[reportUnusedClass]
            def on_state_update(self, state: Any, source: Any) -> None:
                pass


# Readonly connections


class Shared(Agent):
    initial_state = 0

    def should_connection_be_readonly(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return "viewer" in ctx.request.query

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "promote":
            self.set_connection_readonly(connection, False)
        elif message == "put":
            self.set_state("by message")
        else:
            connection.send(f"heard {message}")

    @callable()
    async def put(self, state: Any) -> None:
        self.set_state(state)

    @callable()
    def put_from_thread(self, state: Any) -> None:
        self.set_state(state)

    @callable()
    async def flags(self) -> Mapping[str, bool]:
        return {connection.id: self.is_connection_readonly(connection) for connection in self.get_connections()}


async def test_readonly_client_may_do_all_but_change_the_state(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_runtime(Shared) as runtime:
        viewer = await connect(runtime, "/agents/shared/x?viewer&_pk=v")
        editor = await connect(runtime, "/agents/shared/x?_pk=e")
        await heard(viewer), await heard(editor)

        say(viewer, type="cf_agent_state", state=9)
        assert await heard(viewer) == [{"type": "cf_agent_state_error", "error": "Connection is readonly"}]
        assert (await answer(viewer, "put", 9))["error"] == "Connection is readonly"
        assert (await answer(viewer, "put_from_thread", 9))["error"] == "Connection is readonly"
        viewer.send("put")
        viewer.send("hi")
        assert await heard(viewer) == ["heard hi"]
        assert (await answer(viewer, "flags"))["result"] == {"v": True, "e": False}

        await answer(editor, "put", 1)
        assert await heard(viewer) == [{**STATE, "state": 1}]

        viewer.send("promote")
        assert (await answer(viewer, "put", 2))["success"]
    assert "Connection is readonly" in caplog.text


async def test_call_between_agents_is_not_the_clients() -> None:
    class Front(Agent):
        @callable()
        async def forward(self) -> Any:
            back = await get_agent_by_name(Back, "b")
            await back.put(5)
            return True

        def should_connection_be_readonly(self) -> bool:
            return True

    class Back(Agent):
        async def put(self, state: Any) -> None:
            self.set_state(state)

    async with agent_runtime(Front, Back) as runtime:
        socket = await connect(runtime, "/agents/front/x")
        assert (await answer(socket, "forward"))["result"] is True


async def test_seeding_tells_those_who_are_connected_already(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    class Late(Agent):
        def should_send_protocol_messages(self, connection: Connection, ctx: ConnectionContext) -> bool:
            return True

        @callable()
        async def begin(self) -> Any:
            self.initial_state = "begun"
            return self.state

    async with agent_runtime(Late) as runtime:
        socket = await connect(runtime, "/agents/late/x")
        await heard(socket)
        say(socket, type="rpc", id="1", method="begin", args=[])
        assert [frame.get("state", frame.get("result")) for frame in await heard(socket)] == ["begun", "begun"]
    assert not caplog.records


class Ordered(Agent):
    initial_state = {"n": 0}

    @callable()
    async def put_and_fail(self, n: int) -> Any:
        async def place(_: object) -> None:
            self.set_state({"n": n})
            raise ValueError("undo")

        try:
            await self.ctx.storage.transaction(place)
        except ValueError:
            return self.state

    @callable()
    def put_and_fail_in_the_thread(self, n: int) -> Any:
        def place() -> None:
            self.set_state({"n": n})
            raise ValueError("undo")

        try:
            self.ctx.storage.transaction_sync(place)
        except ValueError:
            return self.state

    @callable()
    async def put_within(self, n: int) -> Any:
        async def fail(_: object) -> None:
            self.set_state({"n": -n})
            raise ValueError("undo")

        async def place(_: object) -> None:
            self.set_state({"n": n})
            try:
                await self.ctx.storage.transaction(fail)
            except ValueError:
                self.seen = self.state

        await self.ctx.storage.transaction(place)
        return self.seen


@pytest.mark.cloudflare(
    "Agents",
    "state that is set in a transaction which is rolled back",
    "different: it is what it was before, and clients hear of it when the transaction has ended; there it stays",
)
@pytest.mark.parametrize("method", ["put_and_fail", "put_and_fail_in_the_thread"])
async def test_a_state_that_is_rolled_back_is_neither_remembered_nor_told(method: str) -> None:
    async with agent_runtime(Ordered) as runtime:
        socket = await connect(runtime, "/agents/ordered/a")
        await heard(socket)
        say(socket, type="rpc", id="1", method=method, args=[1])
        assert parsed(await socket.receive())["result"] == {"n": 0}
        assert await heard(socket) == []


async def test_a_transaction_tells_of_the_states_that_it_keeps() -> None:
    async with agent_runtime(Ordered) as runtime:
        socket = await connect(runtime, "/agents/ordered/a")
        await heard(socket)
        say(socket, type="rpc", id="1", method="put_within", args=[5])
        state, result = await heard(socket)
        assert state["state"] == result["result"] == {"n": 5}
