"""Objects as their callers see them: one life per id, turns, errors, resets, eviction."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import pickle
import threading

import pytest

from edgeagents.errors import (
    DataCloneError,
    ObjectError,
    ObjectOverloaded,
    ObjectReset,
    RemoteError,
    SqlError,
    StorageUnavailable,
)
from edgeagents.http import Request, Response
from edgeagents.objects import DurableObject, Limits, current_namespaces, wake, web_socket_pair
from edgeagents.objects.rpc import crossing_error
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = [
    pytest.mark.cloudflare(
        "Durable Objects", "one instance per id, one constructor, input gate, `blockConcurrencyWhile`, `abort`", "same"
    ),
    pytest.mark.cloudflare("Durable Objects", "sync handlers", "different: they run in the object's own thread, alone"),
    pytest.mark.cloudflare(
        "Durable Objects",
        "RPC arguments and results",
        "different: data, requests, responses and async generators cross; functions and stubs do not yet",
    ),
    pytest.mark.cloudflare(
        "Durable Objects",
        "errors over RPC",
        "different: `RemoteError`, which is also an instance of the builtin that was raised",
    ),
]

log: list[str] = []
lines: list = []
release: asyncio.Event


@pytest.fixture(autouse=True)
def fresh_log():
    global release
    log.clear()
    release = asyncio.Event()


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        log.append("init")
        self.calls = 0

    async def _edgeagents_activate(self, props):
        log.append(f"start {dict(props) if props else None}")
        await asyncio.sleep(0)

    async def fetch(self, request):
        return Response(f"{request.method} {request.url}")

    async def bump(self, by=1):
        self.calls += by
        n = (await self.ctx.storage.get("n") or 0) + by
        await self.ctx.storage.put("n", n)
        return n

    def bump_in_thread(self):
        assert not self.ctx.is_on_loop
        log.append(threading.current_thread().name)
        n = (self.ctx.storage.kv.get("n") or 0) + 1
        self.ctx.storage.kv.put("n", n)
        return n

    async def memory(self):
        return self.calls

    async def echo(self, value):
        return value

    async def keep(self, value):
        self.kept = value

    async def kept_value(self):
        return self.kept

    async def wait(self, name):
        log.append(f"{name} begins")
        await release.wait()
        log.append(f"{name} ends")

    async def wait_and_fail(self):
        await release.wait()
        raise ValueError("it broke")

    async def note(self, name):
        log.append(name)

    async def fail(self, kind):
        await self.ctx.storage.put("written before the error", True)
        raise {"value": ValueError, "key": KeyError, "own": OwnError, "os": OSError}[kind]("it broke")

    async def has(self, key):
        return await self.ctx.storage.get(key)

    async def reset(self):
        await self.ctx.storage.put("unconfirmed", 1)
        self.ctx.abort("enough")

    async def fail_and_be_reset(self):
        await self.ctx.storage.put("unconfirmed", 1)
        asyncio.get_running_loop().call_soon(self._be_reset)
        raise ValueError("it broke")

    def _be_reset(self):
        with contextlib.suppress(BaseException):
            self.ctx.abort("enough")

    async def section(self):
        async def alone():
            log.append("section begins")
            await release.wait()
            log.append("section ends")
            return "result"

        return await self.ctx.block_concurrency_while(alone)

    async def failing_section(self):
        async def alone():
            raise ValueError("no start")

        await self.ctx.block_concurrency_while(alone)

    async def stream(self, n):
        for i in range(n):
            yield {"i": i}

    async def later(self):
        async def work():
            await release.wait()
            log.append("later")

        self.ctx.wait_until(work())

    async def later_failing(self):
        async def work():
            raise ValueError("in the background")

        self.ctx.wait_until(work())

    async def peer(self, name):
        return await current_namespaces.get()[Counter].get_by_name(name).bump()

    async def descend(self, name, depth):
        if depth:
            other = "even" if name == "odd" else "odd"
            return 1 + await current_namespaces.get()[Counter].get_by_name(other).descend(other, depth - 1)
        return 0

    async def listen(self):
        line, own = web_socket_pair()
        self.ctx.accept_web_socket(own)
        line.accept()
        lines.append(line)

    async def web_socket_message(self, ws, message):
        log.append(message)

    async def say_from(self, name, depth):
        if depth:
            other = "even" if name == "odd" else "odd"
            await current_namespaces.get()[Counter].get_by_name(other).say_from(other, depth - 1)
        lines[-1].send(f"{depth}")

    async def _private(self):
        return "secret"


class OwnError(Exception):
    pass


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def runtime(clock):
    async with agent_runtime(Counter, Unstartable, Early, Silent, clock=clock) as runtime:
        yield runtime


@pytest.fixture
def counters(runtime):
    return runtime.namespaces["Counter"]


@pytest.fixture
def counter(counters):
    return counters.get_by_name("a")


class Unstartable(DurableObject):
    attempts = 0

    async def _edgeagents_activate(self, props):
        type(self).attempts += 1
        await asyncio.sleep(0)
        if type(self).attempts == 1:
            raise ValueError("first start fails")

    async def hello(self):
        return "hello"


class Early(DurableObject):
    """Loads in its constructor, without awaiting."""

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.block_concurrency_while(self._load)

    async def _load(self):
        await release.wait()
        self.loaded = True

    async def value(self):
        return self.loaded


class Silent(DurableObject):
    pass


# Life


async def test_an_object_is_made_once_however_many_call(counters):
    results = await asyncio.gather(*(counters.get_by_name("a").bump() for _ in range(20)))
    assert results == list(range(1, 21))
    assert log == ["init", "start None"]


async def test_each_name_is_an_object_of_its_own(counters):
    assert await counters.get_by_name("a").bump() == 1
    assert await counters.get_by_name("b").bump() == 1
    assert await counters.get_by_name("").bump() == 1


async def test_props_reach_the_start(counters):
    await wake(counters.get_by_name("a", props={"plan": "pro"}))
    assert log == ["init", "start {'plan': 'pro'}"]


async def test_a_failed_start_reaches_all_who_wait_and_the_next_call_tries_anew(runtime):
    Unstartable.attempts = 0
    stubs = [runtime.namespaces["Unstartable"].get_by_name("x") for _ in range(3)]
    results = await asyncio.gather(*(stub.hello() for stub in stubs), return_exceptions=True)
    assert [str(error) for error in results] == ["first start fails"] * 3
    assert await runtime.namespaces["Unstartable"].get_by_name("x").hello() == "hello"


async def test_a_section_begun_in_the_constructor_delays_the_first_event(runtime):
    call = asyncio.ensure_future(runtime.namespaces["Early"].get_by_name("x").value())
    await settle()
    assert not call.done()
    release.set()
    assert await call is True


async def test_an_idle_object_leaves_memory_and_keeps_its_storage(counter, clock):
    await counter.bump()
    await clock.advance(11)
    assert (await counter.memory(), await counter.bump()) == (0, 2)
    assert log.count("init") == 2


async def test_an_object_stays_while_something_runs(counter, clock):
    await counter.later()
    await clock.advance(60)
    release.set()
    await settle()
    assert log[-1] == "later"
    assert log.count("init") == 1


async def test_an_evicted_object_leaves_nothing_behind(runtime, counter, clock):
    await counter.bump()
    await clock.advance(11)
    assert runtime._running.objects.directories["Counter"].slots() == []


async def test_a_background_error_is_logged(counter, caplog):
    await counter.later_failing()
    await settle()
    assert "in the background" in caplog.text


# Calls


async def test_fetch_reaches_the_object(counter):
    response = await counter.fetch("http://x/y?z=1", method="PUT")
    assert await response.text() == "PUT http://x/y?z=1"


async def test_fetch_of_an_object_without_one_says_so(runtime):
    with pytest.raises(TypeError, match=r"Silent does not define a fetch\(\) method"):
        await runtime.namespaces["Silent"].get_by_name("x").fetch(Request("http://x/"))


async def test_values_cross_as_copies(counter):
    sent = {"list": [1, 2]}
    await counter.keep(sent)
    sent["list"].append(3)
    received = await counter.kept_value()
    received["list"].append(4)
    assert await counter.kept_value() == {"list": [1, 2]}


@pytest.mark.parametrize("value", [None, True, 2**80, 1.5, "ü", b"\x00", [1, [2]], {"a": {1, 2}}], ids=repr)
async def test_data_crosses_unchanged(counter, value):
    assert await counter.echo(value) == value


async def test_code_does_not_cross(counter):
    with pytest.raises(DataCloneError, match="Only data crosses"):
        await counter.echo(lambda: None)


async def test_an_async_generator_is_called_as_a_stream(counter):
    assert [item async for item in await counter.stream(3)] == [{"i": 0}, {"i": 1}, {"i": 2}]


@pytest.mark.parametrize("name", ["_private", "nothing", "ctx", "__init__"])
def test_only_public_methods_can_be_called(counter, name):
    with pytest.raises(AttributeError, match=f"Counter has no method {name!r}"):
        counter.__getattr__(name)


def test_a_stub_lists_the_methods(counter):
    assert {"bump", "echo", "fetch"} <= set(dir(counter))
    assert "_private" not in dir(counter)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("addTo", r"Did you mean 'add_to'\?"),
        ("adto", r"Did you mean 'add_to'\?"),
        ("limit", "Attributes stay with the object: write a method that returns it"),
        ("something_else", r"through a stub\.$"),
    ],
)
async def test_a_method_that_is_not_there_is_named_with_the_one_that_is_near(name, advice):
    class Adder(DurableObject):
        limit = 3

        def add_to(self, n):
            return n

    async with agent_runtime(Adder) as runtime:
        with pytest.raises(AttributeError, match=rf"Adder has no method '{name}' .*{advice}"):
            getattr(runtime.env.Adder.get_by_name("a"), name)


def test_a_namespace_tells_the_name_that_was_meant(counters):
    with pytest.raises(AttributeError, match=r"has no 'idFromName'\. Did you mean 'id_from_name'\?"):
        counters.idFromName("a")


@pytest.mark.parametrize("name", [1, None, b"a"])
def test_a_name_is_a_str(counters, name):
    with pytest.raises(TypeError, match=rf"The name of an object is a str, not {type(name).__name__}"):
        counters.get_by_name(name)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
async def test_a_copy_of_a_stub_reaches_the_same_object(counter, make):
    await counter.bump(2)

    assert await make(counter).bump() == 3


def test_a_stub_is_not_pickled(counter):
    with pytest.raises(TypeError, match=r"<Stub Counter \w+> cannot be pickled: .* Keep the name of the object"):
        pickle.dumps(counter)


async def test_a_sync_method_runs_in_the_objects_own_thread(counter):
    assert [await counter.bump_in_thread() for _ in range(3)] == [1, 2, 3]
    names = set(log) - {"init", "start None"}
    assert len(names) == 1
    assert names.pop().startswith("Counter-")


async def test_sync_and_async_methods_do_not_overlap(counter):
    await asyncio.gather(*(call() for _ in range(20) for call in (counter.bump, counter.bump_in_thread)))
    assert await counter.bump() == 41


async def test_an_object_can_call_another(counter):
    assert await counter.peer("b") == 1


async def test_objects_that_call_each_other_do_not_fill_the_stack(counters):
    assert await counters.get_by_name("even").descend("even", 500) == 500


@pytest.mark.parametrize("depth", [6, 7, 8, 9, 20])
async def test_messages_keep_their_order_however_deep_they_come_from(counters, depth):
    await counters.get_by_name("listener").listen()
    for _ in range(2):  # The first time they wake.
        log.clear()
        await counters.get_by_name("even").say_from("even", depth)
        await settle()

    assert log == [str(n) for n in range(depth + 1)]


async def test_who_calls_again_and_again_lets_others_run(counter):
    await counter.memory()
    turns = 0
    ended = False

    async def take_turns():
        nonlocal turns
        while not ended:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(take_turns())
    for _ in range(2000):
        await counter.memory()
    ended = True
    await others

    assert turns >= 5


async def test_too_many_events_overload_an_object():
    async with agent_runtime(Counter, limits=Limits(events_per_object=2)) as runtime:
        stub = runtime.namespaces["Counter"].get_by_name("a")
        waiting = [asyncio.ensure_future(stub.wait("x")) for _ in range(2)]
        await settle()
        with pytest.raises(ObjectOverloaded, match="2 events wait for the Counter a") as caught:
            await stub.bump()
        assert caught.value.overloaded
        release.set()
        await asyncio.gather(*waiting)


async def test_a_caller_that_is_cancelled_does_not_stop_the_object(counter):
    call = asyncio.ensure_future(counter.wait("call"))
    await settle()
    call.cancel()
    await settle()
    release.set()
    await settle()
    assert log[-1] == "call ends"


async def test_what_fails_after_its_caller_has_gone_is_logged(counter, caplog):
    call = asyncio.ensure_future(counter.wait_and_fail())
    await settle()
    call.cancel()
    await settle()
    release.set()
    await settle()
    (record,) = caplog.records
    assert record.getMessage() == "Counter 'a': what its caller did not wait for failed"
    assert "it broke" in caplog.text


# Errors


@pytest.mark.parametrize(
    ("kind", "builtin"), [("value", ValueError), ("key", KeyError), ("os", OSError), ("own", RemoteError)]
)
async def test_errors_cross_as_values(counter, kind, builtin):
    with pytest.raises(builtin) as caught:
        await counter.fail(kind)
    assert isinstance(caught.value, RemoteError)
    assert isinstance(caught.value, ObjectError)
    assert str(caught.value) == "it broke"
    assert (caught.value.remote, caught.value.retryable) == (True, False)
    assert caught.value.type_name == (builtin if kind != "own" else OwnError).__name__


async def test_an_error_does_not_undo_what_was_written_before_it(counter):
    with pytest.raises(ValueError):
        await counter.fail("value")
    assert await counter.has("written before the error") is True


async def test_who_waits_with_an_error_for_the_disk_learns_of_the_reset(clock):
    async with agent_runtime(Counter, clock=clock, durability="full") as runtime:
        with pytest.raises(ObjectReset, match="enough"):
            await runtime.namespaces["Counter"].get_by_name("a").fail_and_be_reset()


async def test_abort_resets_the_object_and_breaks_the_stub(counters):
    old, other = counters.get_by_name("a"), counters.get_by_name("a")
    assert await old.bump() == 1
    waiting = asyncio.ensure_future(other.wait("x"))
    await settle()
    with pytest.raises(ObjectReset, match="enough"):
        await old.reset()
    with pytest.raises(ObjectReset, match="enough"):
        await waiting
    with pytest.raises(ObjectReset, match="enough"):
        await old.bump()
    fresh = counters.get_by_name("a")
    assert (await fresh.memory(), await fresh.has("n"), await fresh.has("unconfirmed")) == (0, 1, None)


# Turns


async def test_events_interleave_at_awaits(counter):
    first = asyncio.ensure_future(counter.wait("first"))
    await settle()
    await counter.note("second")
    release.set()
    await first
    assert log[2:] == ["first begins", "second", "first ends"]


async def test_nothing_else_runs_in_a_critical_section(counter):
    section = asyncio.ensure_future(counter.section())
    await settle()
    others = [asyncio.ensure_future(counter.note(name)) for name in "ab"]
    await settle()
    assert log[2:] == ["section begins"]
    release.set()
    assert await section == "result"
    await asyncio.gather(*others)
    assert log[2:] == ["section begins", "section ends", "a", "b"]


async def test_a_failing_section_resets_the_object(counters):
    stub = counters.get_by_name("a")
    with pytest.raises(ValueError, match="no start"):
        await stub.failing_section()
    assert await counters.get_by_name("a").memory() == 0
    assert log.count("init") == 2


async def test_a_section_that_takes_too_long_resets_the_object(counters, clock):
    section = asyncio.ensure_future(counters.get_by_name("a").section())
    await clock.advance(31)
    with pytest.raises(ObjectReset, match="waited for too long"):
        await section


async def test_stop_keeps_what_was_written_and_ends_what_runs(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        stub = runtime.namespaces["Counter"].get_by_name("a")
        await stub.bump()
        await stub.later()
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        assert await runtime.namespaces["Counter"].get_by_name("a").bump() == 2
    assert caplog.text == ""


async def test_files_are_named_by_ids_and_never_by_names(tmp_path):
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        for name in ("../../evil", "a/b", "\0", "x" * 300, "ü", "..%2f"):
            await runtime.namespaces["Counter"].get_by_name(name).bump()
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.sqlite") if path.name != "alarms.sqlite"]
    assert len(files) == 6
    assert all(len(path.stem) == 64 and path.parts[:2] == ("objects", "Counter") for path in files)


async def test_an_object_that_stored_nothing_has_no_file(tmp_path):
    async with agent_runtime(Counter, storage=tmp_path) as runtime:
        assert await runtime.namespaces["Counter"].get_by_name("a").memory() == 0
        assert await runtime.namespaces["Counter"].get_by_name("a").has("n") is None
    assert list((tmp_path / "objects").rglob("*")) == [] if (tmp_path / "objects").exists() else True


def test_an_error_that_is_made_of_more_than_a_text_crosses_as_its_base():
    error = crossing_error(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"))
    assert isinstance(error, RemoteError)
    assert isinstance(error, ValueError)
    assert error.type_name == "UnicodeEncodeError"


class Orders(DurableObject):
    """Looks at the end of an event whether the customers of its orders are there."""

    asked = 0

    async def keep(self, customer: int) -> int:
        self.asked += 1
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS customers (id INTEGER PRIMARY KEY)")
        sql.exec(
            "CREATE TABLE IF NOT EXISTS orders "
            "(customer INTEGER REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED)"
        )
        sql.exec("INSERT INTO orders VALUES (?)", customer)
        if customer == 1:
            sql.exec("INSERT OR IGNORE INTO customers VALUES (1)")
        return len(list(sql.exec("SELECT * FROM orders")))

    async def times(self) -> int:
        return self.asked


@pytest.mark.parametrize("durability", ["normal", "full"])
async def test_a_deferred_constraint_that_fails_at_the_end_is_the_codes_own_fault(tmp_path, durability):
    async with agent_runtime(Orders, storage=tmp_path, durability=durability) as runtime:
        orders = runtime.namespaces["Orders"].get_by_name("a")
        assert await orders.keep(1) == 1
        for customer in (2, 3):
            with pytest.raises(SqlError, match="FOREIGN KEY constraint failed: SQLITE_CONSTRAINT") as failed:
                await orders.keep(customer)
            assert not isinstance(failed.value, StorageUnavailable)
            assert await orders.times() == 0, "the object was reset"
        assert await orders.keep(1) == 2, "nothing of what failed was kept"
