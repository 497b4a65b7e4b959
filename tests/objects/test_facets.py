"""Facets as their parent sees them: a child's own memory, storage and gates, and one life with the parent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from edgeagents.errors import ObjectReset, StorageError, WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.objects import DurableObject, Limits, web_socket_pair
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, settle

pytestmark = pytest.mark.cloudflare(
    "Durable Objects",
    "`ctx.facets`: `get`, `abort`, `delete`; facets of facets",
    "same; `delete_all` too, and sockets of a facet may hibernate",
)

log: list[str] = []
gates: dict[str, asyncio.Event] = {}


@pytest.fixture(autouse=True)
def fresh():
    log.clear()
    gates.clear()


class Child(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.calls = 0

    async def _edgeagents_activate(self, props):
        log.append(f"child {self.ctx.id.name} starts {dict(props) if props else None}")

    async def add(self, by=1):
        self.calls += 1
        n = (self.ctx.storage.kv.get("n") or 0) + by
        self.ctx.storage.kv.put("n", n)
        return n

    async def count(self):
        return self.ctx.storage.kv.get("n") or 0

    async def memory(self):
        return self.calls

    async def who(self):
        return self.ctx.id.name, [(cls.__name__, id.name) for cls, id in self.ctx.parents]

    async def alarm_in(self, seconds):
        await self.ctx.storage.set_alarm(seconds)

    async def fail(self):
        raise ValueError("no such thing")

    async def leave(self):
        self.ctx.abort("enough")

    async def wait(self, name):
        await gates.setdefault(name, asyncio.Event()).wait()
        return "done"

    async def ask_parent(self):
        return await self.ctx.parent.name_of_parent()

    async def below(self, name, method, *args):
        return await getattr(self.ctx.facets.get(name, Child), method)(*args)

    async def fetch(self, request):
        client, server = web_socket_pair()
        if request.path == "/plain":
            server.accept()
        else:
            self.ctx.accept_web_socket(server)
        return Response(status=101, websocket=client)

    async def web_socket_message(self, ws, message):
        log.append(f"child hears {message}")
        ws.send(json.dumps([message, await self.add()]))

    async def web_socket_close(self, ws, code, reason, was_clean):
        log.append(f"child hears the end {code}")


class Parent(DurableObject):
    start_waits_for: asyncio.Event | None = None
    start_calls: str | None = None

    async def _edgeagents_activate(self, props):
        log.append("parent starts")
        if Parent.start_waits_for is not None:
            await Parent.start_waits_for.wait()
        if Parent.start_calls is not None:
            await self.ctx.facets.get(Parent.start_calls, Child).add()
        log.append("parent has started")

    async def name_of_parent(self):
        return self.ctx.id.name

    async def call(self, name, method, *args):
        return await getattr(self.ctx.facets.get(name, Child), method)(*args)

    async def call_twice(self, name, between):
        stub = self.ctx.facets.get(name, Child)
        await stub.add()
        getattr(self.ctx.facets, between)(name)
        return await stub.add()

    async def call_and_abort(self, name, reason):
        call = asyncio.ensure_future(self.ctx.facets.get(name, Child).wait("never"))
        await settle()
        self.ctx.facets.abort(name, reason)
        await call

    async def abort_child(self, name):
        self.ctx.facets.abort(name)

    def delete_in_thread(self, name):
        assert not self.ctx.is_on_loop
        self.ctx.facets.delete(name)

    async def delete(self, name):
        self.ctx.facets.delete(name)

    async def note(self, text):
        await self.ctx.storage.put("note", text)

    async def delete_all(self):
        self.ctx.facets.delete_all()

    async def delete_in_transaction(self, name, *, is_kept):
        told = []

        async def delete(_):
            if name is None:
                self.ctx.facets.delete_all()
            else:
                self.ctx.facets.delete(name)
            try:
                await self.ctx.facets.get(name or "a", Child).count()
            except StorageError as error:
                told.append(str(error))
            if not is_kept:
                raise ValueError("undo")

        try:
            await self.ctx.storage.transaction(delete)
        except ValueError:
            told.append("undone")
        return told

    async def as_told(self, name, told):
        async def startup():
            log.append("startup")
            return {"class": Child, "id": self.ctx.facets.id_from_name(told)}

        return await self.ctx.facets.get(name, startup).who()

    async def wrongly(self):
        return await self.ctx.facets.get("a", lambda: {"klass": Child}).who()

    async def with_props(self):
        return await self.ctx.facets.get("a", Child, props={"n": 1}).count()

    async def no_method(self):
        return await self.ctx.facets.get("a", Child).fly()

    async def reset(self):
        self.ctx.abort("the parent is reset")

    async def fetch(self, request):
        name = request.path.strip("/")
        return await self.ctx.facets.get(name, Child).fetch(request)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def runtime(clock):
    async with agent_runtime(Parent, clock=clock) as runtime:
        yield runtime


@pytest.fixture
def parent(runtime):
    return runtime.namespaces["Parent"].get_by_name("p")


def again(runtime):
    return runtime.namespaces["Parent"].get_by_name("p")


def place(runtime):
    return runtime._running.objects.directories["Parent"].slot(again(runtime).id)


async def open_socket(parent, name="a"):
    response = await parent.fetch(Request(f"/{name}", headers={"upgrade": "websocket"}))
    return TestSocket(response)


# Each its own


async def test_facets_have_memory_and_storage_of_their_own(parent):
    assert [await parent.call("a", "add", 2), await parent.call("a", "add", 2)] == [2, 4]
    assert await parent.call("b", "add") == 1
    assert await parent.call("a", "memory") == 2


async def test_a_facet_has_its_parents_id_unless_it_is_given_one(parent):
    assert await parent.call("a", "who") == ("p", [("Parent", "p")])
    assert await parent.as_told("b", "other") == ("other", [("Parent", "p")])


async def test_what_starts_a_facet_is_asked_only_when_it_starts(parent):
    await parent.as_told("a", "x")
    await parent.as_told("a", "y")
    assert log.count("startup") == 1


async def test_startup_that_returns_no_class_is_told_so(parent):
    with pytest.raises(TypeError, match="klass"):
        await parent.wrongly()


async def test_props_reach_a_facet_that_the_call_wakes(parent):
    await parent.with_props()
    assert "child p starts {'n': 1}" in log


async def test_a_method_that_the_class_lacks_is_no_call(parent):
    with pytest.raises(AttributeError, match="Child has no method 'fly'"):
        await parent.no_method()


async def test_errors_of_a_facet_reach_the_parents_caller(parent):
    with pytest.raises(ValueError, match="no such thing"):
        await parent.call("a", "fail")


async def test_facets_have_facets(parent):
    assert await parent.call("a", "below", "b", "add", 5) == 5
    assert await parent.call("a", "count") == 0
    assert await parent.call("a", "below", "b", "who") == ("p", [("Parent", "p"), ("Child", "p")])


async def test_a_facet_reaches_its_parent(parent):
    assert await parent.call("a", "ask_parent") == "p"


async def test_a_facet_has_no_alarm_of_its_own(parent):
    with pytest.raises(StorageError, match="A facet has no alarm of its own"):
        await parent.call("a", "alarm_in", 5)


async def test_facets_do_not_nest_without_end(clock):
    async with agent_runtime(Parent, clock=clock, limits=Limits(facet_depth=2)) as runtime:
        assert await again(runtime).call("a", "below", "b", "add") == 1
        with pytest.raises(ValueError, match="'c' would stand below 2 others"):
            await again(runtime).call("a", "below", "b", "below", "c", "add")


# Files


@pytest.fixture
def folder(tmp_path: Path, clock):
    return tmp_path / "state"


async def test_a_facets_file_lies_beside_its_parents_and_is_not_named_by_its_name(folder, clock):
    async with agent_runtime(Parent, storage=folder, clock=clock) as runtime:
        await again(runtime).call("../../etc", "add")
        await again(runtime).call("../../etc", "below", "x", "add")
        digits = str(again(runtime).id)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.sqlite") if "facets" in str(path))
    assert len(files) == 2
    assert all(file.startswith(f"objects/Parent/{digits}.facets/") for file in files)
    assert not any("etc" in file for file in files)


async def test_a_facets_data_outlive_the_process(folder, clock):
    async with agent_runtime(Parent, storage=folder, clock=clock) as runtime:
        await again(runtime).call("a", "add", 3)
    async with agent_runtime(Parent, storage=folder, clock=clock) as runtime:
        assert await again(runtime).call("a", "add") == 4


async def test_deleting_a_facet_deletes_its_files_and_those_below_it(folder, clock):
    async with agent_runtime(Parent, storage=folder, clock=clock) as runtime:
        await again(runtime).call("a", "below", "b", "add")
        await again(runtime).call("a", "add")
        await again(runtime).call("c", "add")
        await again(runtime).delete("a")
        assert await again(runtime).call("a", "count") == 0
        assert await again(runtime).call("a", "below", "b", "count") == 0
        assert await again(runtime).call("c", "count") == 1


async def test_a_folder_that_was_deleted_is_no_fault_of_the_next_sync(folder, clock):
    async with agent_runtime(Parent, storage=folder, clock=clock, durability="full") as runtime:
        parent = again(runtime)
        await parent.call("a", "below", "b", "add")
        await parent.delete("a")
        await parent.delete_all()
        await parent.note("kept")
        assert await parent.call("a", "count") == 0


# One life


async def test_a_busy_facet_keeps_its_parent_awake(runtime, parent, clock):
    call = asyncio.ensure_future(parent.call("a", "wait", "later"))
    await clock.advance(3600)
    assert place(runtime).activation is not None
    gates["later"].set()
    assert await call == "done"


async def test_parent_and_facet_leave_memory_when_both_are_idle(runtime, parent, clock):
    await parent.call("a", "add")
    await clock.advance(60)
    assert place(runtime).activation is None
    assert await parent.call("a", "memory") == 0
    assert await parent.call("a", "count") == 1


async def test_a_reset_of_the_parent_resets_its_facets(parent, runtime):
    await parent.call("a", "add")
    waiting = asyncio.ensure_future(again(runtime).call("a", "wait", "never"))
    await settle()
    with pytest.raises(ObjectReset, match="the parent is reset"):
        await parent.reset()
    with pytest.raises(ObjectReset, match="the parent is reset"):
        await waiting
    assert await again(runtime).call("a", "memory") == 0


async def test_a_facet_that_resets_itself_leaves_its_parent_alone(parent):
    await parent.call("a", "add")
    with pytest.raises(ObjectReset, match="enough"):
        await parent.call("a", "leave")
    assert log.count("parent starts") == 1


async def test_an_aborted_facet_tells_the_reason_and_keeps_what_it_stored(runtime, parent):
    await parent.call("a", "add", 7)
    with pytest.raises(ObjectReset, match="too slow"):
        await parent.call_and_abort("a", "too slow")
    assert await again(runtime).call("a", "count") == 7
    assert await again(runtime).call("a", "memory") == 0


@pytest.mark.parametrize("end", ["abort", "delete"])
async def test_a_stub_from_before_the_end_of_a_facet_fails(parent, end):
    with pytest.raises(ObjectReset, match="Get it again"):
        await parent.call_twice("a", end)


async def test_a_facet_can_be_deleted_from_a_thread(parent):
    await parent.call("a", "add")
    await parent.delete_in_thread("a")
    assert await parent.call("a", "count") == 0


async def test_all_facets_are_deleted_at_once(runtime, parent):
    await parent.call("a", "add")
    await parent.call("b", "add")
    await parent.delete_all()
    assert [await parent.call(name, "count") for name in "ab"] == [0, 0]


@pytest.mark.cloudflare(
    "Durable Objects",
    "`ctx.facets.delete` in a transaction",
    "different: done when the transaction has ended, and not when it is rolled back; there it is done at once",
)
@pytest.mark.parametrize("name", ["a", None])
async def test_what_a_transaction_deletes_is_there_again_when_that_is_rolled_back(parent, name):
    await parent.call("a", "add")
    told = await parent.delete_in_transaction(name, is_kept=False)
    assert told == ["A transaction deletes the facet 'a': the name is free when that has ended.", "undone"]
    assert [await parent.call("a", "count"), await parent.call("a", "memory")] == [1, 0]


@pytest.mark.parametrize("name", ["a", None])
async def test_what_a_transaction_deletes_is_gone_when_that_has_ended(parent, name):
    await parent.call("a", "add")
    assert len(await parent.delete_in_transaction(name, is_kept=True)) == 1
    assert await parent.call("a", "count") == 0


async def test_what_was_never_there_can_be_deleted_and_aborted(parent):
    await parent.delete("nobody")
    await parent.abort_child("nobody")


# Sockets


async def test_sockets_of_a_facet_stay_open_while_all_are_out_of_memory(runtime, parent, clock):
    socket = await open_socket(parent)
    await clock.advance(60)
    assert place(runtime).activation is None
    log.clear()
    socket.send("hello")
    assert json.loads(await socket.receive()) == ["hello", 1]
    assert log == ["parent starts", "parent has started", "child p starts None", "child hears hello"]


async def test_messages_keep_their_order_while_the_parent_wakes(runtime, parent, clock):
    socket = await open_socket(parent)
    await clock.advance(60)
    Parent.start_waits_for = asyncio.Event()
    try:
        socket.send("1")
        await settle()
        socket.send("2")
        Parent.start_waits_for.set()
        await asyncio.sleep(0)
        socket.send("3")
        await settle()
    finally:
        Parent.start_waits_for = None
    assert [json.loads(message)[0] for message in socket.pending()] == ["1", "2", "3"]


async def test_a_parent_whose_start_calls_the_facet_is_woken_by_the_facets_socket(runtime, parent, clock):
    socket = await open_socket(parent)
    await clock.advance(60)
    Parent.start_calls = "a"
    try:
        socket.send("hello")
        assert json.loads(await socket.receive()) == ["hello", 2]
    finally:
        Parent.start_calls = None


async def test_an_abort_of_the_facet_leaves_its_sockets_open(runtime, parent):
    socket = await open_socket(parent)
    await parent.abort_child("a")
    socket.send("still there?")
    assert json.loads(await socket.receive()) == ["still there?", 1]


async def test_a_reset_of_the_parent_closes_the_facets_sockets(parent):
    socket = await open_socket(parent)
    with pytest.raises(ObjectReset):
        await parent.reset()
    with pytest.raises(WebSocketClosed) as closed:
        await socket.receive()
    assert closed.value.code == 1012


async def test_deleting_a_facet_closes_its_sockets_and_nothing_they_say_brings_it_back(runtime, parent):
    socket = await open_socket(parent)
    log.clear()
    await parent.delete("a")
    socket.send("too late")
    await settle()
    assert (socket.closed.code, socket.closed.reason) == (1001, "Facet deleted")
    assert log == []


async def test_an_ordinary_socket_that_the_parent_passes_on_keeps_the_facet_awake(runtime, parent, clock):
    socket = await open_socket(parent, "plain")
    await clock.advance(60)
    assert place(runtime).facets["plain"].activation is not None
    socket.close()
    await clock.advance(60)
    assert runtime._running.objects.directories["Parent"].slots() == []


async def test_the_end_of_the_runtime_closes_the_facets_sockets(clock):
    async with agent_runtime(Parent, clock=clock) as runtime:
        socket = await open_socket(again(runtime))
    assert socket.closed.code == 1012


async def test_nothing_stays_of_a_facet_whose_last_socket_has_gone(runtime, parent, clock):
    socket = await open_socket(parent)
    socket.close()
    await settle()
    await clock.advance(60)
    assert "child hears the end 1000" in log
    assert runtime._running.objects.directories["Parent"].slots() == []
