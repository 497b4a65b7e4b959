"""An agent that says what its state is gets nothing else, from clients, from its own code and from its database."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, TypedDict

import pydantic
import pytest

from edgeagents import Agent, callable, get_agent_by_name
from edgeagents.errors import AgentError
from edgeagents.testing import agent_runtime, connect, settle

pytestmark = pytest.mark.cloudflare(
    "Agents",
    "typed state",
    "different: it is checked when it comes in (dataclass, `TypedDict`, pydantic); TypeScript's types are gone by then",
)


@dataclass
class Score:
    points: int
    players: list[str] = field(default_factory=list)


class Place(TypedDict):
    x: int
    y: int


class Profile(pydantic.BaseModel):
    name: str
    age: int = 0


class OfDataclass(Agent[Any, Score]):
    initial_state = Score(0)

    @callable()
    async def win(self, points: int):
        self.set_state(Score(self.state.points + points, [*self.state.players, "ann"]))

    @callable()
    async def kind(self):
        return type(self.state).__name__

    @callable()
    async def set_anything(self, value):
        self.set_state(value)


class OfTypedDict(OfDataclass, Agent[Any, Place]):
    initial_state = {"x": 0, "y": 0}


class OfModel(Agent):
    initial_state = Profile(name="nobody")

    kind = OfDataclass.kind


class OfForwardReference(Agent[Any, "Later"]):
    initial_state = None


Later = int | None

GOOD = [
    (OfDataclass, {"points": 3, "players": ["bob"]}),
    (OfDataclass, {"points": 3}),
    (OfTypedDict, {"x": 1, "y": 2}),
    (OfModel, {"name": "ann", "age": 4}),
    (OfForwardReference, 7),
]
BAD = [
    (OfDataclass, {"points": "many"}),
    (OfDataclass, {"points": 1, "cheat": True}),
    (OfDataclass, None),
    (OfTypedDict, {"x": 1}),
    (OfModel, {"age": "old"}),
    (OfForwardReference, "seven"),
]


async def open_socket(runtime, cls):
    from edgeagents.agents import kebab_case

    return await connect(runtime, f"/agents/{kebab_case(cls.__name__)}/x")


def frames(socket):
    return [json.loads(message) for message in socket.pending()]


@pytest.mark.parametrize(("cls", "state"), GOOD)
async def test_a_client_may_set_what_the_type_allows(cls, state):
    async with agent_runtime(cls) as runtime:
        ann, bob = await open_socket(runtime, cls), await open_socket(runtime, cls)
        bob.pending()
        ann.send(json.dumps({"type": "cf_agent_state", "state": state}))
        await settle()
        (frame,) = frames(bob)
    assert frame["type"] == "cf_agent_state"
    assert state is None or not isinstance(state, dict) or state.items() <= frame["state"].items()


@pytest.mark.parametrize(("cls", "state"), BAD)
async def test_a_client_is_refused_what_the_type_does_not_allow(cls, state):
    async with agent_runtime(cls) as runtime:
        ann, bob = await open_socket(runtime, cls), await open_socket(runtime, cls)
        ann.pending()
        bob.pending()
        ann.send(json.dumps({"type": "cf_agent_state", "state": state}))
        await settle()
        assert frames(ann) == [{"type": "cf_agent_state_error", "error": "State update rejected"}]
        assert frames(bob) == []


@pytest.mark.parametrize(("cls", "kind"), [(OfDataclass, "Score"), (OfTypedDict, "dict"), (OfModel, "Profile")])
async def test_the_agent_sees_the_state_as_its_type(cls, kind):
    async with agent_runtime(cls) as runtime:
        assert await runtime.namespaces[cls.__name__].get_by_name("x").kind() == kind


async def test_clients_see_a_dataclass_as_an_object():
    async with agent_runtime(OfDataclass) as runtime:
        socket = await open_socket(runtime, OfDataclass)
        await runtime.namespaces["OfDataclass"].get_by_name("x").win(2)
        states = [frame["state"] for frame in frames(socket) if frame["type"] == "cf_agent_state"]
    assert states == [{"points": 0, "players": []}, {"points": 2, "players": ["ann"]}]


async def test_the_agents_own_code_is_held_to_the_type_too():
    async with agent_runtime(OfDataclass) as runtime:
        stub = runtime.namespaces["OfDataclass"].get_by_name("x")
        with pytest.raises(ValueError, match=r"state\.points must be a whole number, not 'many'"):
            await stub.set_anything({"points": "many"})
        await stub.set_anything({"points": 5})
        assert await stub.kind() == "Score"


async def test_a_typed_state_is_there_again_after_waking(tmp_path):
    async with agent_runtime(OfDataclass, storage=tmp_path) as runtime:
        await runtime.namespaces["OfDataclass"].get_by_name("x").win(2)
    async with agent_runtime(OfDataclass, storage=tmp_path) as runtime:
        stub = runtime.namespaces["OfDataclass"].get_by_name("x")
        await stub.win(3)
        socket = await open_socket(runtime, OfDataclass)
        states = [frame["state"] for frame in frames(socket) if frame["type"] == "cf_agent_state"]
    assert states == [{"points": 5, "players": ["ann", "ann"]}]


async def test_a_stored_state_of_another_form_is_an_error_and_is_not_lost(tmp_path):
    class Counter(Agent):
        initial_state = {"n": 1}

    class Typed(Agent[Any, Score]):
        initial_state = Score(0)

        @callable()
        async def kind(self):
            return type(self.state).__name__

    Typed.__name__ = "Counter"
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        await open_socket(runtime, Counter)
    async with agent_runtime(Typed, storage=tmp_path) as runtime:
        with pytest.raises(AgentError, match=r"The stored state of Counter 'x' is not what its type asks for"):
            await runtime.namespaces["Counter"].get_by_name("x").kind()
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        socket = await open_socket(runtime, Counter)
        assert {"type": "cf_agent_state", "state": {"n": 1}} in frames(socket)


async def test_a_state_that_lacks_a_new_field_is_written_anew_with_sql_in_on_start(tmp_path):
    def release(kind: Any, initial: Any, *statements: str) -> Any:
        class Counter(Agent[None, kind]):
            initial_state = initial

            async def on_start(self) -> None:
                for statement in statements:
                    self.sql(statement)

            async def look(self) -> Any:
                return self.state

        return Counter

    old, new = TypedDict("old", {"n": int}), TypedDict("new", {"n": int, "seen": bool})
    anew = "update cf_agents_state set state = json_set(state, '$.seen', json('false'))"
    for cls, state in ((release(old, {"n": 1}), {"n": 1}), (release(new, {}, anew), {"n": 1, "seen": False})):
        async with agent_runtime(cls, storage=tmp_path, durability="normal"):
            assert await (await get_agent_by_name(cls, "x")).look() == state

    newest = release(TypedDict("newest", {"n": int, "seen": bool, "at": str}), {})
    async with agent_runtime(newest, storage=tmp_path, durability="normal"):
        with pytest.raises(AgentError, match=r"NotRequired in a TypedDict; .* with SQL in on_start"):
            await (await get_agent_by_name(newest, "x")).look()
