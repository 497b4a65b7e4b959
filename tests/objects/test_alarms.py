"""Alarms, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from edgeagents.errors import ObjectReset, StorageError
from edgeagents.objects import DurableObject, Limits
from edgeagents.objects.alarms import AlarmIndex, AlarmScheduler, retry_delay
from edgeagents.objects.ids import id_from_name
from edgeagents.objects.sqlite import Database
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "alarms: one per object, at least once, six retries from 2 s", "same"
)

fired: list[tuple[str, datetime, int]] = []
plan: dict[str, object] = {}


@pytest.fixture(autouse=True)
def fresh():
    fired.clear()
    plan.clear()


class Clockwork(DurableObject):
    async def alarm(self, info):
        now = self.ctx.clock.now()
        fired.append((self.ctx.id.name, now, info.retry_count))
        assert now >= info.scheduled_time
        plan.setdefault("seen", []).append(await self.ctx.storage.get_alarm())
        match plan.get("do"):
            case "raise":
                raise ValueError("alarm failed")
            case "set then raise":
                await self.ctx.storage.set_alarm(now + timedelta(seconds=100))
                raise ValueError("alarm failed")
            case "delete then raise":
                await self.ctx.storage.delete_alarm()
                raise ValueError("alarm failed")
            case "again":
                await self.ctx.storage.set_alarm(now + timedelta(seconds=5))
            case asyncio.Event() as event:
                await event.wait()

    async def wake_in(self, seconds):
        await self.ctx.storage.set_alarm(self.ctx.clock.now() + timedelta(seconds=seconds))

    async def wake_at_ms(self, ms):
        await self.ctx.storage.set_alarm(ms)

    async def due(self):
        return await self.ctx.storage.get_alarm()

    async def cancel(self):
        await self.ctx.storage.delete_alarm()

    async def set_and_abort(self, seconds):
        await self.ctx.storage.set_alarm(self.ctx.clock.now() + timedelta(seconds=seconds))
        self.ctx.abort("changed my mind")

    def wake_from_thread(self):
        asyncio.run(self.ctx.storage.set_alarm(self.ctx.clock.now() + timedelta(seconds=5)))


class NoAlarm(DurableObject):
    async def wake(self):
        await self.ctx.storage.set_alarm(self.ctx.clock.now())


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def start(clock, tmp_path):
    def start(**options):
        return agent_runtime(Clockwork, NoAlarm, clock=clock, storage=tmp_path, **options)

    return start


@pytest.fixture
async def runtime(start):
    async with start() as runtime:
        yield runtime


@pytest.fixture
def clockwork(runtime):
    return runtime.namespaces["Clockwork"].get_by_name("a")


async def test_an_alarm_fires_once_and_never_early(clockwork, clock):
    await clockwork.wake_in(10)
    await clock.advance(9.999)
    assert fired == []
    await clock.advance(0.001)
    await clock.advance(3600)
    assert [(name, retry) for name, _, retry in fired] == [("a", 0)]
    assert await clockwork.due() is None


async def test_an_alarm_wakes_an_object_that_left_memory(clockwork, clock):
    await clockwork.wake_in(3600)
    await clock.advance(3600)
    assert len(fired) == 1


async def test_a_second_alarm_replaces_the_first(clockwork, clock):
    await clockwork.wake_in(10)
    await clockwork.wake_in(20)
    await clock.advance(15)
    assert fired == []
    await clockwork.wake_in(1)
    await clock.advance(1)
    assert len(fired) == 1


async def test_an_alarm_in_the_past_fires_at_once(clockwork, clock):
    await clockwork.wake_in(-5)
    await clock.advance(0)
    assert len(fired) == 1


async def test_a_deleted_alarm_does_not_fire(clockwork, clock):
    await clockwork.wake_in(10)
    await clockwork.cancel()
    await clock.advance(60)
    assert (fired, await clockwork.due()) == ([], None)


async def test_the_time_of_an_alarm_can_be_asked_for(clockwork, clock):
    await clockwork.wake_in(10)
    assert await clockwork.due() == clock.now() + timedelta(seconds=10)


async def test_milliseconds_are_a_time_too(clockwork, clock):
    due = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
    await clockwork.wake_at_ms(int(due.timestamp() * 1000))
    assert await clockwork.due() == due


@pytest.mark.parametrize("ms", [0, -1])
async def test_an_alarm_before_all_time_is_refused(clockwork, ms):
    with pytest.raises(TypeError, match=r"alarm time <= 0"):
        await clockwork.wake_at_ms(ms)


async def test_there_is_no_alarm_while_its_handler_runs(clockwork, clock):
    await clockwork.wake_in(1)
    await clock.advance(1)
    assert plan["seen"] == [None]


async def test_a_failing_handler_is_run_again_six_times(clockwork, clock, caplog):
    plan["do"] = "raise"
    await clockwork.wake_in(1)
    await clock.advance(3600)
    assert [retry for *_, retry in fired] == [0, 1, 2, 3, 4, 5, 6]
    waits = [(b[1] - a[1]).total_seconds() for a, b in pairwise(fired)]
    assert all(2**n <= wait <= 2**n * 1.25 + 0.001 for n, wait in enumerate(waits, 1))
    assert "alarm failed" in caplog.text
    assert "was dropped" in caplog.text
    assert await clockwork.due() is None


async def test_an_alarm_set_by_a_failing_handler_takes_the_place_of_the_retry(clockwork, clock):
    plan["do"] = "set then raise"
    await clockwork.wake_in(1)
    await clock.advance(60)
    assert len(fired) == 1
    plan["do"] = None
    await clock.advance(60)
    assert [retry for *_, retry in fired] == [0, 0]


async def test_a_failing_handler_that_deletes_the_alarm_is_not_run_again(clockwork, clock):
    plan["do"] = "delete then raise"
    await clockwork.wake_in(1)
    await clock.advance(3600)
    assert len(fired) == 1


async def test_a_handler_can_set_the_next_alarm(clockwork, clock):
    plan["do"] = "again"
    await clockwork.wake_in(5)
    await clock.advance(26)
    assert len(fired) == 5


async def test_an_alarm_survives_a_restart(start, clock):
    async with start() as runtime:
        await runtime.namespaces["Clockwork"].get_by_name("a").wake_in(10)
    async with start():
        await clock.advance(9)
        assert fired == []
        await clock.advance(1)
        assert [name for name, *_ in fired] == ["a"]


async def test_an_alarm_that_was_missed_fires_at_the_start(start, clock):
    async with start() as runtime:
        await runtime.namespaces["Clockwork"].get_by_name("a").wake_in(10)
    await clock.advance(3600)
    async with start():
        await clock.advance(0)
        assert len(fired) == 1


async def test_an_alarm_whose_handler_was_cut_off_fires_again(start, clock):
    plan["do"] = asyncio.Event()
    runtime = start()
    await runtime.start()
    await runtime.namespaces["Clockwork"].get_by_name("a").wake_in(1)
    await clock.advance(1)
    for slot in runtime._running.objects.directories["Clockwork"].slots():
        slot.activation.reset(ObjectReset("cut off"))
    await settle()
    plan["do"] = None
    await clock.advance(10)
    assert [retry for *_, retry in fired] == [0, 0]
    await runtime.stop()


async def test_an_alarm_that_was_never_committed_does_not_fire(runtime, clock):
    with pytest.raises(ObjectReset):
        await runtime.namespaces["Clockwork"].get_by_name("a").set_and_abort(5)
    await clock.advance(60)
    assert fired == []


async def test_an_earlier_alarm_stays_when_its_replacement_is_never_committed(runtime, clock):
    await runtime.namespaces["Clockwork"].get_by_name("a").wake_in(5)
    with pytest.raises(ObjectReset):
        await runtime.namespaces["Clockwork"].get_by_name("a").set_and_abort(50)
    await clock.advance(6)
    assert len(fired) == 1


async def test_a_clock_that_is_set_forward_makes_alarms_due(clockwork, clock):
    await clockwork.wake_in(3600)
    clock.set_now(clock.now() + timedelta(hours=2))
    await clock.advance(61)
    assert len(fired) == 1


async def test_a_clock_that_is_set_back_makes_no_alarm_early(clockwork, clock):
    await clockwork.wake_in(60)
    clock.set_now(clock.now() - timedelta(hours=1))
    await clock.advance(600)
    assert fired == []


async def test_many_alarms_at_once_are_run_a_few_at_a_time(start, clock):
    plan["do"] = gate = asyncio.Event()
    async with start(limits=Limits(alarms_at_once=3)) as runtime:
        for n in range(20):
            await runtime.namespaces["Clockwork"].get_by_name(str(n)).wake_in(1)
        await clock.advance(1)
        assert len(fired) == 3
        gate.set()
        await clock.advance(1)
        assert sorted(int(name) for name, *_ in fired) == list(range(20))


async def test_a_class_without_a_handler_cannot_set_an_alarm(runtime):
    with pytest.raises(StorageError, match=r"must have an alarm\(\) handler"):
        await runtime.namespaces["NoAlarm"].get_by_name("a").wake()


async def test_an_alarm_can_be_set_from_a_sync_handler(clockwork, clock):
    await clockwork.wake_from_thread()
    await clock.advance(5)
    assert len(fired) == 1


def test_retries_double_from_two_seconds_and_end():
    rng = random.Random(1)
    delays = [retry_delay(n, rng) for n in range(1, 8)]
    assert delays[-1] is None
    assert all(2**n <= delay.total_seconds() <= 2**n * 1.25 for n, delay in enumerate(delays[:-1], 1))


async def test_an_index_that_cannot_be_read_just_now_is_read_again(clockwork, clock, runtime, monkeypatch):
    await clockwork.wake_in(10)

    def fail(*_):
        raise StorageError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(runtime.alarms.index, "earliest", fail)
        await clock.advance(11)
        assert fired == []
    await clock.advance(2)
    assert [name for name, _, _ in fired] == ["a"]


async def test_a_name_with_a_line_end_makes_no_line_of_its_own_in_the_log(clock, caplog):
    async def wake(*_):
        raise StorageError("disk I/O error")

    index = AlarmIndex.open(None)
    index.set("Clockwork", id_from_name("Clockwork", "bob\nERROR root: password is x"), clock.now())
    scheduler = AlarmScheduler(clock, random.Random(1), index, wake)
    await scheduler.start()
    await settle()
    await scheduler.stop()
    (told,) = caplog.messages
    assert "bob" in told
    assert "\n" not in told


@contextmanager
def index_of_another_process(folder):
    """Keep the index of alarms from being changed, as a process does that stands still in the middle of it."""
    with closing(Database.open(folder / "alarms.sqlite", is_shared=True)) as index:
        index.fetch("UPDATE _cf_ALARMS SET due = due")
        yield index
        index.commit()


async def test_an_alarm_that_is_set_while_the_index_is_busy_waits_for_it_alone(start, clock, tmp_path):
    async with start(durability="full") as runtime:
        a, b = (runtime.namespaces["Clockwork"].get_by_name(name) for name in "ab")
        await b.wake_in(5)
        with index_of_another_process(tmp_path):
            call = asyncio.ensure_future(a.wake_in(10))
            assert await b.due() == clock.now() + timedelta(seconds=5)
            assert not call.done()
        await call
        await clock.advance(10)
        assert [name for name, _, _ in fired] == ["b", "a"]


async def test_an_alarm_can_be_deleted_while_the_index_is_busy(start, clock, tmp_path, caplog):
    async with start(durability="full") as runtime:
        clockwork = runtime.namespaces["Clockwork"].get_by_name("a")
        await clockwork.wake_in(10)
        with index_of_another_process(tmp_path) as index:
            await clockwork.cancel()
            assert index.fetch("SELECT count(*) FROM _cf_ALARMS") == [(1,)]
        assert "stays too early" in caplog.text
        # It is woken once for nothing, which puts the index right.
        await clock.advance(10)
        await runtime.namespaces["Clockwork"].get_by_name("a").due()
        await clock.advance(60)
        assert fired == []
        assert runtime.alarms.index.earliest(1) == []


async def test_an_entry_that_is_missing_is_put_right_when_the_index_is_free_again(start, clock, tmp_path):
    async with start() as runtime:
        await runtime.namespaces["Clockwork"].get_by_name("a").wake_in(100)
    with index_of_another_process(tmp_path) as index:
        index.fetch("DELETE FROM _cf_ALARMS")
    async with start() as runtime:
        with index_of_another_process(tmp_path):
            assert await runtime.namespaces["Clockwork"].get_by_name("a").due() is not None
        await clock.advance(100)
        assert [name for name, _, _ in fired] == ["a"]
