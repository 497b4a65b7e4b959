"""Sub-agents: children of an agent with a state, storage and connections of their own, reached through it."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edgeagents.agents import (
    Agent,
    AgentPathStep,
    Capability,
    CapabilityHost,
    Connection,
    callable,
    get_agent_by_name,
    get_current_agent,
    get_sub_agent_by_name,
    route_sub_agent_request,
)
from edgeagents.agents.jobs import Job
from edgeagents.errors import (
    AgentError,
    ConfigError,
    HttpError,
    ObjectReset,
    RemoteError,
    StorageError,
    WebSocketClosed,
)
from edgeagents.http import Request, Response
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect, settle
from tests.agents.frames import answer, heard, parsed, say

pytestmark = [
    pytest.mark.cloudflare(
        "Sub-agents", "`dynamicAgents`, `subAgent`, `parentAgent`, registry, `onBeforeSubAgent`, close codes", "same"
    ),
    pytest.mark.cloudflare("Sub-agents", "`routeSubAgentRequest`, `getSubAgentByName`", "same"),
    pytest.mark.cloudflare(
        "Sub-agents",
        "which classes there are",
        "different: the runtime's, and those in the parent's `sub_agents`; Python has no exports to look in",
    ),
    pytest.mark.cloudflare(
        "Sub-agents",
        "what a sub-agent does later",
        "different: its jobs are in its own database, where the SDK keeps them in the root's; they run alike",
    ),
]

log: list[Any] = []
broken: set[str] = set()
verdicts: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    for each in (log, broken, verdicts):
        each.clear()


class Reminders(Capability):
    """Puts a word into the log when it is due."""

    name = "reminders"

    def __init__(self, host: CapabilityHost) -> None:
        super().__init__(host)
        host.jobs.on("reminders", "say", self.say)

    async def say(self, job: Job) -> None:
        log.append((self.host.class_name, self.host.name, job.payload))


class Chat(Agent):
    initial_state = {"n": 0}
    capability_types = (Reminders,)

    async def on_start(self, props: Mapping[str, Any] | None = None) -> None:
        log.append(f"{self.name} starts with {props}")
        if self.name in broken:
            raise RuntimeError(f"{self.name} is broken")

    async def on_request(self, request: Request) -> dict[str, Any]:
        body = await request.text()
        headers = {name: value for name, value in request.headers if name.lower().startswith("x-")}
        return {"me": self.name, "path": request.path, "query": request.query_string, "body": body, "headers": headers}

    async def on_connect(self, connection: Connection) -> None:
        log.append(f"{self.name} connected to {connection.id} at {connection.uri}")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        self.broadcast(f"{self.name} heard {message!r}")

    async def on_close(self, connection: Connection, code: int, reason: str, was_clean: bool) -> None:
        log.append(f"{self.name} closed {code}")

    @callable()
    async def add(self, by: int = 1) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def count(self) -> int:
        return self.state["n"]

    async def paths(self) -> tuple[Any, Any]:
        return [tuple(step) for step in self.parent_path], [tuple(step) for step in self.self_path]

    async def ask_parent(self, kind: str = "Inbox") -> str:
        parent = await self.parent_agent({"Inbox": Inbox, "Chat": Chat}[kind])
        return await parent.who()

    async def who(self) -> str:
        return f"chat {self.name}"

    async def wait(self) -> None:
        await asyncio.Event().wait()

    async def end(self) -> str:
        self.set_state({"n": -1})
        await self.destroy()
        return "goodbye"

    async def remind(self, seconds: float, word: str) -> None:
        due = self.ctx.clock.now() + timedelta(seconds=seconds)
        self.capability(Reminders).host.jobs.push("reminders", "say", word, due=due)

    async def alarm_at(self) -> None:
        await self.ctx.storage.set_alarm(1)

    async def below(self, name: str, method: str, *args: Any) -> Any:
        child = await self.sub_agent(Chat, name)
        return await getattr(child, method)(*args)


Chat.sub_agents = [Chat]


class Sub(Agent):
    pass


class Stranger(Agent):
    pass


class Inbox(Agent):
    initial_state = {"mails": 0}
    sub_agents = [Chat, Sub]

    async def on_request(self, request: Request) -> str:
        return f"the inbox itself at {request.path}"

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        self.broadcast("to the inbox alone")

    async def who(self) -> str:
        return f"inbox {self.name}"

    async def call(self, name: str, method: str, *args: Any, props: Mapping[str, Any] | None = None) -> Any:
        child = await self.dynamic_agents.get(Chat, name, props=props)
        return await getattr(child, method)(*args)

    async def strange(self) -> None:
        await self.sub_agent(Stranger, "x")

    async def reserved(self) -> None:
        await self.sub_agent(Sub, "x")

    async def known(self) -> list[tuple[str, str, float]]:
        infos = self.list_sub_agents()
        assert [info for info in infos if info.class_name == "Chat"] == self.dynamic_agents.list(Chat)
        return [(info.class_name, info.name, info.created_at.timestamp()) for info in infos]

    async def has(self, name: str) -> tuple[bool, bool]:
        return self.has_sub_agent(Chat, name), self.dynamic_agents.has("Chat", name)

    async def rows(self) -> list[dict[str, Any]]:
        return self.sql("select * from cf_agents_sub_agents")

    async def delete(self, name: str) -> None:
        await self.delete_sub_agent(Chat, name)

    async def delete_and_undo(self, name: str) -> None:
        async def delete(_: object) -> None:
            await self.delete_sub_agent(Chat, name)
            raise ValueError("undo")

        with suppress(ValueError):
            await self.ctx.storage.transaction(delete)

    async def abort_while_it_waits(self, name: str, reason: str) -> None:
        child = await self.sub_agent(Chat, name)
        call = asyncio.ensure_future(child.wait())
        await settle()
        self.abort_sub_agent(Chat, name, reason)
        await call

    async def abort(self, name: str) -> None:
        self.abort_sub_agent(Chat, name)

    async def connected(self) -> int:
        return len(list(self.get_connections()))

    async def has_database(self) -> bool:
        return self.ctx.storage.database.exists


class Guarded(Inbox):
    async def on_before_sub_agent(self, request: Request, child: Any) -> Any:
        current = get_current_agent()
        assert current.agent is self
        log.append((child.class_name, child.name, request.path))
        verdict = verdicts.pop(0) if verdicts else None
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Inbox, Guarded, clock=clock) as runtime:
        yield runtime


@pytest.fixture
async def inbox(runtime: Runtime) -> Any:
    return await get_agent_by_name(Inbox, "alice")


def root(runtime: Runtime, name: str = "alice", kind: str = "Inbox") -> Any:
    return runtime.namespaces[kind].get_by_name(name)


async def ask(runtime: Runtime, path: str, **init: Any) -> Response:
    response = await runtime.route(Request(path, **init))
    assert response is not None
    return response


async def end_of(socket: TestSocket) -> tuple[list[Any], int, str]:
    frames: list[Any] = []
    try:
        while True:
            frames.append(parsed(await socket.receive()))
    except WebSocketClosed as closed:
        return frames, closed.code, closed.reason


# Calls


async def test_sub_agents_have_a_state_of_their_own(inbox: Any) -> None:
    assert [await inbox.call("a", "add", 2), await inbox.call("a", "add", 3), await inbox.call("b", "add")] == [2, 5, 1]


async def test_a_sub_agent_starts_once_and_gets_the_props(inbox: Any) -> None:
    await inbox.call("a", "count", props={"model": "x"})
    await inbox.call("a", "count", props={"model": "y"})
    assert log == ["a starts with {'model': 'x'}"]


async def test_sub_agents_know_where_they_stand(inbox: Any) -> None:
    assert await inbox.call("a", "paths") == ([("Inbox", "alice")], [("Inbox", "alice"), ("Chat", "a")])
    assert await inbox.call("a", "below", "b", "paths") == (
        [("Inbox", "alice"), ("Chat", "a")],
        [("Inbox", "alice"), ("Chat", "a"), ("Chat", "b")],
    )


async def test_the_same_name_below_another_parent_is_another_agent(inbox: Any) -> None:
    await inbox.call("a", "add", 1)
    await inbox.call("a", "below", "a", "add", 10)
    assert [await inbox.call("a", "count"), await inbox.call("a", "below", "a", "count")] == [1, 10]


async def test_a_sub_agent_reaches_its_parent(inbox: Any) -> None:
    assert await inbox.call("a", "ask_parent") == "inbox alice"
    assert await inbox.call("a", "below", "b", "ask_parent", "Chat") == "chat a"


async def test_a_parent_of_another_class_is_refused(inbox: Any) -> None:
    with pytest.raises(AgentError, match=r"the parent of Chat 'a' is a Inbox"):
        await inbox.call("a", "ask_parent", "Chat")


async def test_an_agent_that_is_no_sub_agent_has_no_parent() -> None:
    class Orphan(Agent):
        async def ask(self) -> tuple[AgentPathStep, ...]:
            with pytest.raises(AgentError, match="Orphan 'x' is no sub-agent"):
                await self.parent_agent(Orphan)
            return self.parent_path

    async with agent_runtime(Orphan) as runtime:
        assert await root(runtime, "x", "Orphan").ask() == ()


async def test_a_class_that_would_not_be_found_after_a_restart_is_refused(inbox: Any) -> None:
    with pytest.raises(ConfigError, match=r"sub_agents = \[Stranger\]"):
        await inbox.strange()


@pytest.mark.parametrize("name", ["a\0b", "n" * 3000])
async def test_names_that_no_sub_agent_can_have_are_refused(inbox: Any, name: str) -> None:
    with pytest.raises(AgentError):
        await inbox.call(name, "count")
    assert await inbox.known() == []


async def test_a_class_that_is_called_like_the_segment_is_refused(inbox: Any) -> None:
    with pytest.raises(AgentError, match="reserved"):
        await inbox.reserved()


async def test_a_sub_agent_cannot_set_the_alarm(inbox: Any) -> None:
    with pytest.raises(StorageError, match="A facet has no alarm of its own"):
        await inbox.call("a", "alarm_at")


# The registry


async def test_the_registry_lists_sub_agents_oldest_first(inbox: Any, clock: ManualClock) -> None:
    await inbox.call("b", "count")
    await clock.advance(1)
    await inbox.call("a", "count")
    began = clock.now().timestamp()
    assert await inbox.known() == [("Chat", "b", began - 1), ("Chat", "a", began)]
    assert await inbox.has("a") == (True, True)
    assert await inbox.has("c") == (False, False)


async def test_the_registry_has_the_sdks_table_and_identities(inbox: Any) -> None:
    await inbox.call("a b", "count")
    (row,) = await inbox.rows()
    # What the SDK makes of the JSON of [{className: "Inbox", name: "alice"}, {className: "Chat", name: "a b"}].
    digest = "d95fdb26a43f46f70011c9838fa086657db8d70f5006244d58184f792f32b329"
    assert row["identity_name"] == f"cf-agents:v2:a%20b:{digest}"
    assert (row["class"], row["name"], row["identity_version"]) == ("Chat", "a b", "path-v2")


async def test_a_sub_agent_whose_first_start_fails_is_not_kept(inbox: Any) -> None:
    broken.add("a")
    with pytest.raises(RuntimeError, match="a is broken"):
        await inbox.call("a", "count")
    assert await inbox.has("a") == (False, False)
    broken.clear()
    assert await inbox.call("a", "count") == 0


async def test_a_sub_agent_whose_later_start_fails_is_kept(inbox: Any) -> None:
    await inbox.call("a", "add")
    await inbox.abort("a")
    broken.add("a")
    with pytest.raises(RuntimeError, match="a is broken"):
        await inbox.call("a", "count")
    broken.clear()
    assert await inbox.call("a", "count") == 1


async def test_looking_for_sub_agents_makes_no_database(runtime: Runtime, inbox: Any) -> None:
    await inbox.known()
    await inbox.has("a")
    await inbox.delete("a")
    assert not await inbox.has_database()


async def test_an_aborted_sub_agent_tells_why_and_keeps_its_state(runtime: Runtime) -> None:
    await root(runtime).call("a", "add", 4)
    with pytest.raises(ObjectReset, match="took too long"):
        await root(runtime).abort_while_it_waits("a", "took too long")
    assert await root(runtime).call("a", "count") == 4
    assert log.count("a starts with None") == 2


async def test_a_deleted_sub_agent_is_gone_with_all_below_it(inbox: Any) -> None:
    await inbox.call("a", "add", 1)
    await inbox.call("a", "below", "b", "add", 1)
    await inbox.delete("a")
    assert await inbox.known() == []
    assert [await inbox.call("a", "count"), await inbox.call("a", "below", "b", "count")] == [0, 0]


async def test_a_sub_agent_whose_deletion_is_rolled_back_has_what_it_had(inbox: Any) -> None:
    await inbox.call("a", "add", 1)
    await inbox.delete_and_undo("a")
    assert await inbox.has("a") == (True, True)
    assert await inbox.call("a", "count") == 1


async def test_a_sub_agent_can_end_itself(inbox: Any) -> None:
    assert await inbox.call("a", "end") == "goodbye"
    await settle()
    assert await inbox.known() == []
    assert await inbox.call("a", "count") == 0


async def test_sub_agents_end_with_their_parent(runtime: Runtime) -> None:
    await root(runtime).call("a", "add", 3)
    await root(runtime).destroy()
    await settle()
    assert await root(runtime).known() == []
    assert await root(runtime).call("a", "count") == 0


# Requests


async def test_a_request_reaches_a_sub_agent_with_the_rest_of_its_path(runtime: Runtime) -> None:
    response = await ask(
        runtime, "/agents/inbox/alice/sub/chat/a%20b/c/d?q=1", method="POST", body="hello", headers={"x-mine": "1"}
    )
    assert await response.json() == {
        "me": "a b",
        "path": "/c/d",
        "query": "q=1",
        "body": "hello",
        "headers": {"x-mine": "1"},
    }


async def test_a_path_without_a_rest_is_a_slash(runtime: Runtime) -> None:
    assert (await (await ask(runtime, "/agents/inbox/alice/sub/chat/a")).json())["path"] == "/"


async def test_a_request_goes_down_step_by_step(runtime: Runtime) -> None:
    answer = await (await ask(runtime, "/agents/inbox/alice/sub/chat/a/sub/chat/b/get-messages")).json()
    assert (answer["me"], answer["path"]) == ("b", "/get-messages")
    assert await root(runtime).call("a", "below", "b", "paths") == (
        [("Inbox", "alice"), ("Chat", "a")],
        [("Inbox", "alice"), ("Chat", "a"), ("Chat", "b")],
    )


@pytest.mark.parametrize("tail", ["sub/other/a", "sub/chat", "sub/Chat/a", "sub/chat/%ff", "subject/chat/a"])
async def test_a_path_that_names_no_sub_agent_is_the_parents(runtime: Runtime, tail: str) -> None:
    response = await ask(runtime, f"/agents/inbox/alice/{tail}")
    assert await response.text() == f"the inbox itself at /agents/inbox/alice/{tail}"


async def test_every_agent_class_of_the_runtime_may_be_a_sub_agent(runtime: Runtime) -> None:
    assert (await ask(runtime, "/agents/inbox/alice/sub/guarded/g")).status == 200


@pytest.mark.parametrize("tail", ["sub/chat/a%00b", "sub/sub/a", f"sub/chat/{'n' * 3000}"])
async def test_names_that_cannot_be_are_a_bad_request(runtime: Runtime, tail: str) -> None:
    response = await ask(runtime, f"/agents/inbox/alice/{tail}")
    assert (response.status, await response.text()) == (400, "Bad Request")


async def test_a_sub_agent_that_cannot_start_is_not_found(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    broken.add("a")
    response = await ask(runtime, "/agents/inbox/alice/sub/chat/a")
    assert (response.status, await response.text()) == (404, "Not Found")
    assert "The sub-agent Chat 'a' of 'alice' could not be reached" in caplog.text


async def test_internal_headers_do_not_reach_a_sub_agent(runtime: Runtime) -> None:
    response = await ask(
        runtime, "/agents/inbox/alice/sub/chat/a", headers={"x-cf-agents-subagent-url": "/forged", "x-fine": "1"}
    )
    assert (await response.json())["headers"] == {"x-fine": "1"}


# on_before_sub_agent


async def test_the_hook_sees_the_request_and_the_child(runtime: Runtime) -> None:
    await ask(runtime, "/agents/guarded/g/sub/chat/a%20b/c")
    assert log[0] == ("Chat", "a b", "/agents/guarded/g/sub/chat/a%20b/c")


async def test_a_response_of_the_hook_is_the_answer_and_no_child_is_made(runtime: Runtime) -> None:
    verdicts.append(Response("no", status=403))
    response = await ask(runtime, "/agents/guarded/g/sub/chat/a")
    assert (response.status, await response.text()) == (403, "no")
    assert await root(runtime, "g", "Guarded").known() == []


async def test_a_request_of_the_hook_takes_the_place_of_the_clients_except_for_the_path(runtime: Runtime) -> None:
    verdicts.append(Request("/elsewhere?user=1", headers={"x-user": "1"}, method="PUT", body="new"))
    answer = await (await ask(runtime, "/agents/guarded/g/sub/chat/a/tail?old=1")).json()
    assert answer == {"me": "a", "path": "/tail", "query": "user=1", "body": "new", "headers": {"x-user": "1"}}


async def test_a_hook_that_returns_something_else_is_told_so(runtime: Runtime) -> None:
    verdicts.append("yes")
    with pytest.raises(RemoteError, match="on_before_sub_agent"):
        await ask(runtime, "/agents/guarded/g/sub/chat/a")


async def test_a_request_to_the_parent_itself_does_not_ask_the_hook(runtime: Runtime) -> None:
    await ask(runtime, "/agents/guarded/g/anything")
    assert log == []


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (404, 4404), (500, 1011), (302, 1011)])
async def test_a_refused_websocket_is_closed_with_a_code_that_tells_the_client(
    runtime: Runtime, status: int, code: int
) -> None:
    verdicts.append(Response("no", status=status))
    socket = await connect(runtime, "/agents/guarded/g/sub/chat/a")
    assert await end_of(socket) == ([], code, f"Sub-agent connection rejected ({status})")


async def test_a_refusal_may_be_raised(runtime: Runtime) -> None:
    verdicts[:] = [HttpError("no", 401), HttpError("no", 401)]
    assert (await ask(runtime, "/agents/guarded/g/sub/chat/a")).status == 401
    socket = await connect(runtime, "/agents/guarded/g/sub/chat/a")
    assert (await end_of(socket))[1] == 4401


async def test_the_hook_may_be_sync() -> None:
    class Strict(Agent):
        sub_agents = [Chat]

        def on_before_sub_agent(self, request: Request) -> Response | None:
            return None if "token" in request.query else Response(status=403)

    async with agent_runtime(Strict) as runtime:
        answers = [await ask(runtime, f"/agents/strict/s/sub/chat/a{query}") for query in ("", "?token=1")]
    assert [answer.status for answer in answers] == [403, 200]


async def test_a_step_further_down_may_refuse_too(runtime: Runtime) -> None:
    verdicts.append(Response("no", status=403))
    socket = await connect(runtime, "/agents/inbox/alice/sub/guarded/g/sub/chat/a")
    assert await end_of(socket) == ([], 4403, "Sub-agent connection rejected (403)")
    assert log == [("Chat", "a", "/sub/chat/a")]


# WebSockets


async def test_a_client_of_a_sub_agent_gets_its_identity_and_its_state(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a%20b?_pk=me")
    servers, identity, state, mcp = await heard(socket)
    assert (identity["type"], identity["name"], identity["agent"]) == ("cf_agent_identity", "a b", "chat")
    assert (state["type"], state["state"]) == ("cf_agent_state", {"n": 0})
    assert mcp["type"] == "cf_agent_mcp_servers"
    assert servers == mcp
    assert log[-1] == "a b connected to me at http://localhost/?_pk=me"


async def test_only_a_client_who_wakes_a_sub_agent_hears_of_its_mcp_servers_first(runtime: Runtime) -> None:
    path = "/agents/inbox/alice/sub/chat/a"
    greeting = ["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers"]
    woke = await connect(runtime, path)
    later = await connect(runtime, path)
    deeper = await connect(runtime, f"{path}/sub/chat/b")
    deeper_later = await connect(runtime, f"{path}/sub/chat/b")
    heard_types = [[frame["type"] for frame in await heard(each)] for each in (woke, later, deeper, deeper_later)]
    assert heard_types == [["cf_agent_mcp_servers", *greeting], greeting] * 2


async def test_calls_and_state_are_the_sub_agents(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a")
    other = await connect(runtime, "/agents/inbox/alice/sub/chat/a")
    parent = await connect(runtime, "/agents/inbox/alice")
    for each in (socket, other, parent):
        await heard(each)
    assert (await answer(socket, "add", 5))["result"] == 5
    assert [frame["state"] for frame in await heard(other)] == [{"n": 5}]
    say(other, type="cf_agent_state", state={"n": 7})
    assert [frame["state"] for frame in await heard(socket)] == [{"n": 7}]
    assert await heard(parent) == []


async def test_each_agent_broadcasts_to_its_own_clients(runtime: Runtime) -> None:
    paths = ("", "/sub/chat/a", "/sub/chat/a/sub/chat/b")
    sockets = [await connect(runtime, f"/agents/inbox/alice{path}") for path in paths]
    for each in sockets:
        await heard(each)
    for each in sockets:
        each.send("hello")
    assert [await heard(each) for each in sockets] == [
        ["to the inbox alone"],
        ["a heard 'hello'"],
        ["b heard 'hello'"],
    ]
    assert await root(runtime).connected() == 1


async def test_clients_of_a_sub_agent_stay_connected_while_all_are_out_of_memory(
    runtime: Runtime, clock: ManualClock
) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a/sub/chat/b")
    assert (await answer(socket, "add", 2))["result"] == 2
    await clock.advance(120)
    assert all(slot.activation is None for slot in runtime._running.objects.directories["Inbox"].slots())
    log.clear()
    assert (await answer(socket, "add", 2))["result"] == 4
    assert log == ["a starts with None", "b starts with None"]


async def test_deleting_a_sub_agent_closes_its_clients_and_those_below(runtime: Runtime, inbox: Any) -> None:
    sockets = [await connect(runtime, f"/agents/inbox/alice/sub/chat/{path}") for path in ("a", "a/sub/chat/b", "c")]
    await inbox.delete("a")
    assert [(await end_of(each))[1:] for each in sockets[:2]] == [(1001, "Sub-agent deleted")] * 2
    assert sockets[2].closed is None
    sockets[0].send("late")
    await settle()
    assert await inbox.has("a") == (False, False)


async def test_destroying_the_root_closes_the_clients_of_its_sub_agents(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a")
    await root(runtime).destroy()
    assert (await end_of(socket))[1:] == (1001, "Durable Object destroyed")


async def test_an_abort_leaves_the_clients_connected(runtime: Runtime, inbox: Any) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a")
    await inbox.abort("a")
    assert (await answer(socket, "add"))["result"] == 1


async def test_a_sub_agent_hears_that_a_client_has_gone(runtime: Runtime) -> None:
    socket = await connect(runtime, "/agents/inbox/alice/sub/chat/a")
    socket.close(1000)
    await settle()
    assert log[-1] == "a closed 1000"


@pytest.mark.parametrize(("name", "says"), [("a", "a is broken"), ("a%00b", "null character")])
async def test_a_websocket_to_a_sub_agent_that_cannot_be_is_told_why(runtime: Runtime, name: str, says: str) -> None:
    broken.add("a")
    socket = await connect(runtime, f"/agents/inbox/alice/sub/chat/{name}")
    frames, code, reason = await end_of(socket)
    assert says in frames[0]["error"]
    assert (code, reason) == (1011, "Uncaught exception during session setup")


# Jobs


async def test_a_sub_agents_job_wakes_it_when_all_are_out_of_memory(
    runtime: Runtime, inbox: Any, clock: ManualClock
) -> None:
    await inbox.call("a", "remind", 300, "tea")
    await inbox.call("a", "below", "b", "remind", 200, "milk")
    await clock.advance(120)
    assert runtime._running.objects.directories["Inbox"].slots() == []
    log.clear()
    await clock.advance(200)
    assert [entry for entry in log if isinstance(entry, tuple)] == [("Chat", "b", "milk"), ("Chat", "a", "tea")]


async def test_a_sub_agents_job_runs_after_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    async with agent_runtime(Inbox, clock=clock, storage=tmp_path) as runtime:
        await root(runtime).call("a", "below", "b/../c", "remind", 100, "later")
    async with agent_runtime(Inbox, clock=clock, storage=tmp_path):
        await clock.advance(101)
    assert log[-1] == ("Chat", "b/../c", "later")


@pytest.mark.parametrize("end", ["delete", "destroy"])
async def test_jobs_of_a_sub_agent_end_with_it(runtime: Runtime, clock: ManualClock, end: str) -> None:
    await root(runtime).call("a", "below", "b", "remind", 100, "never")
    await (root(runtime).delete("a") if end == "delete" else root(runtime).destroy())
    await settle()
    assert runtime.alarms.index.earliest(10) == []
    log.clear()
    await clock.advance(200)
    assert log == []


async def test_an_alarm_for_a_class_that_is_gone_waits_for_it(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_runtime(Inbox, clock=clock, storage=tmp_path) as runtime:
        await root(runtime).call("a", "remind", 100, "later")
    Inbox.sub_agents = []
    try:
        async with agent_runtime(Inbox, clock=clock, storage=tmp_path):
            await clock.advance(101)
    finally:
        Inbox.sub_agents = [Chat, Sub]
    assert "Chat is not known as a class of sub-agents of Inbox" in caplog.text
    async with agent_runtime(Inbox, clock=clock, storage=tmp_path):
        await clock.advance(1)
    assert log[-1] == ("Chat", "a", "later")


# From outside


async def test_a_program_with_paths_of_its_own_routes_to_sub_agents(runtime: Runtime) -> None:
    response = await route_sub_agent_request(
        Request("/mail/42?token=1", headers={"x-cf-agents-subagent-url": "x"}),
        root(runtime),
        from_path="sub/chat/a/tail",
    )
    answer = await response.json()
    assert (answer["me"], answer["path"], answer["query"], answer["headers"]) == ("a", "/tail", "token=1", {})


async def test_a_query_in_the_path_to_look_at_wins(runtime: Runtime) -> None:
    response = await route_sub_agent_request(Request("/x?a=1"), root(runtime), from_path="/sub/chat/a?b=2")
    assert (await response.json())["query"] == "b=2"


async def test_a_path_without_sub_agent_is_no_route_to_one(runtime: Runtime) -> None:
    response = await route_sub_agent_request(Request("/mail/42"), root(runtime))
    assert (response.status, await response.text()) == (400, "Sub-agent path not found in request URL")


async def test_a_sub_agent_is_called_from_outside_through_its_parent(runtime: Runtime) -> None:
    chat = await get_sub_agent_by_name(root(runtime), Chat, "a")
    assert [await chat.add(2), await chat.add(by=3)] == [2, 5]
    assert await root(runtime).has("a") == (True, True)


async def test_a_stub_from_outside_is_copied_and_not_pickled(runtime: Runtime) -> None:
    chat = await get_sub_agent_by_name(root(runtime), Chat, "a")
    for other in (copy.copy(chat), copy.deepcopy({"chat": chat})["chat"]):
        await other.add(1)
    assert await chat.add(1) == 3
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(chat)


async def test_a_stub_from_outside_is_for_calls_only(runtime: Runtime) -> None:
    chat: Any = await get_sub_agent_by_name(root(runtime), Chat, "a")
    with pytest.raises(AgentError, match="calls only"):
        await chat.fetch("/")
    with pytest.raises(AttributeError, match="no method 'fly'"):
        await chat.fly()
    with pytest.raises(AgentError, match="null character"):
        await get_sub_agent_by_name(root(runtime), Chat, "a\0b")
