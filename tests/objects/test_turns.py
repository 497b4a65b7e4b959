"""One turn at a time, to the end: handlers in the thread, what is cancelled, and what leaves only when it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from edgeagents.errors import ObjectReset, RemoteError
from edgeagents.http import Response
from edgeagents.objects import DurableObject, current_namespaces, web_socket_pair
from edgeagents.testing import ManualClock, agent_runtime, settle
from tests.slow_disk import disk as disk

log: list[str] = []
instances: list[Worker] = []
began, go_on = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def fresh():
    log.clear()
    instances.clear()
    began.clear()
    go_on.clear()


class Worker(DurableObject):
    task: asyncio.Task[object]

    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        instances.append(self)

    async def begin(self):
        self.task = self.ctx.spawn(self._work(), name="work")

    async def _work(self):
        await self.ctx.invoke(self.write_two)

    def write_two(self):
        self.ctx.storage.kv.put("first", 1)
        began.set()
        go_on.wait()
        self.ctx.storage.kv.put("second", 2)
        log.append("thread ends")

    def count_for_long(self):
        began.set()
        self.ctx.storage.sql.exec(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT sum(i) FROM n"
        )

    async def reset(self):
        self.ctx.abort("enough")

    async def note(self, name):
        log.append(name)

    async def kept(self):
        return [await self.ctx.storage.get(key) for key in ("first", "second")]

    async def await_what_is_cancelled(self):
        never = asyncio.ensure_future(asyncio.Event().wait())
        never.cancel()
        await never

    async def alarm(self):
        log.append("alarm")
        await self.await_what_is_cancelled()

    async def arm(self):
        await self.ctx.storage.set_alarm(1)

    async def write_and_call(self):
        await self.ctx.storage.put("first", 1)
        await current_namespaces.get()[Worker].get_by_name("b").note("called")

    async def write_and_call_in_a_transaction(self):
        async def write(txn):
            await txn.put("first", 1)
            await current_namespaces.get()[Worker].get_by_name("b").note("called")

        await self.ctx.storage.transaction(write)

    async def pass_on(self, name):
        await current_namespaces.get()[Worker].get_by_name(name).reset()

    async def fetch(self, request):
        client, server = web_socket_pair()
        server.accept()
        server.add_event_listener("message", self._hear)
        return Response(status=101, websocket=client)

    async def _hear(self, message):
        log.append(message)

    async def section(self):
        async def alone():
            await asyncio.to_thread(go_on.wait)
            log.append("section ends")

        await self.ctx.block_concurrency_while(alone)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def runtime(tmp_path, clock):
    async with agent_runtime(Worker, storage=tmp_path, clock=clock, durability="full") as runtime:
        yield runtime
        # A thread that a test has left waiting would be waited for.
        go_on.set()


@pytest.fixture
def workers(runtime):
    return runtime.namespaces["Worker"]


# Handlers in the object's thread


async def test_a_handler_in_the_thread_has_the_object_to_its_end_though_it_is_cancelled(workers):
    worker = workers.get_by_name("a")
    await worker.begin()
    await asyncio.to_thread(began.wait)
    instances[0].task.cancel()
    other = asyncio.ensure_future(worker.note("other turn"))
    await settle()
    assert log == []
    go_on.set()
    await other
    assert log == ["thread ends", "other turn"]
    assert await worker.kept() == [1, 2]


async def test_stop_waits_for_a_handler_in_the_thread(tmp_path, clock):
    async with agent_runtime(Worker, storage=tmp_path, clock=clock) as runtime:
        await runtime.namespaces["Worker"].get_by_name("a").begin()
        await asyncio.to_thread(began.wait)
        asyncio.get_running_loop().call_soon(go_on.set)
    assert log == ["thread ends"]
    async with agent_runtime(Worker, storage=tmp_path, clock=clock) as runtime:
        assert await runtime.namespaces["Worker"].get_by_name("a").kept() == [1, 2]


async def test_nothing_is_kept_of_a_handler_that_does_not_end_when_the_runtime_stops(tmp_path, clock):
    runtime = agent_runtime(Worker, storage=tmp_path, clock=clock)
    await runtime.start()
    await runtime.namespaces["Worker"].get_by_name("a").begin()
    await asyncio.to_thread(began.wait)
    stopping = asyncio.ensure_future(runtime.stop())
    await clock.advance(11)
    await stopping
    go_on.set()
    async with agent_runtime(Worker, storage=tmp_path, clock=clock) as again:
        assert await again.namespaces["Worker"].get_by_name("a").kept() == [None, None]


async def test_a_reset_ends_the_statement_that_the_thread_is_in(workers):
    counting = asyncio.ensure_future(workers.get_by_name("a").count_for_long())
    await asyncio.to_thread(began.wait)
    with contextlib.suppress(BaseException):
        instances[0].ctx.abort("enough")
    with pytest.raises(ObjectReset, match="enough"):
        await counting
    await workers.get_by_name("a").note("alive")
    assert log == ["alive"]


# What is cancelled


async def test_a_handler_that_awaits_what_is_cancelled_fails_and_does_not_cancel_its_caller(workers):
    with pytest.raises(RemoteError, match="awaited something that was cancelled") as caught:
        await workers.get_by_name("a").await_what_is_cancelled()
    assert caught.value.type_name == "CancelledError"


async def test_an_alarm_that_awaits_what_is_cancelled_is_a_failure_and_runs_again(clock, caplog):
    async with agent_runtime(Worker, clock=clock) as runtime:
        await runtime.namespaces["Worker"].get_by_name("a").arm()
        await clock.advance(1)
        await clock.advance(3)
    assert log == ["alarm", "alarm"]
    assert "alarm() failed (retry 1)" in caplog.text


# Other objects


async def test_a_call_leaves_when_the_writes_before_it_are_kept(workers, disk):
    await workers.get_by_name("b").note("awake")
    calling = asyncio.ensure_future(workers.get_by_name("a").write_and_call())
    await settle()
    assert log == ["awake"]
    disk.set()
    await calling
    assert log == ["awake", "called"]


async def test_a_call_within_a_transaction_does_not_wait_for_its_end(workers):
    await workers.get_by_name("a").write_and_call_in_a_transaction()
    assert log == ["called"]


async def test_a_stub_goes_on_after_another_object_was_reset(workers):
    stub = workers.get_by_name("a")
    with pytest.raises(ObjectReset, match="enough") as caught:
        await stub.pass_on("b")
    assert caught.value.remote
    await stub.note("goes on")
    assert log == ["goes on"]


# Listeners


async def test_a_listener_of_a_socket_waits_for_the_end_of_a_section(workers):
    worker = workers.get_by_name("a")
    socket = (await worker.fetch("http://a/")).websocket
    socket.accept()
    section = asyncio.ensure_future(worker.section())
    await settle()
    socket.send("heard")
    await settle()
    assert log == []
    go_on.set()
    await section
    await settle()
    assert log == ["section ends", "heard"]
