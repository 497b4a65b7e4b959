"""Transactions that do not come to their end: nobody else has to wait for them for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from edgeagents.errors import ObjectReset, StorageError
from edgeagents.objects import DurableObject, Limits
from edgeagents.testing import ManualClock, agent_runtime


class Ledger(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.db = ctx.storage.database.connection
        self.db.execute("create table if not exists t (x)")

    def put(self, value):
        self.db.execute("insert into t values (?)", (value,))

    async def values(self):
        return [value for (value,) in self.db.execute("select x from t order by x")]

    async def begin_and_fail(self):
        self.put("before")
        self.db.execute("BEGIN")
        self.put("within")
        raise ValueError("before COMMIT")

    async def begin(self):
        self.put("before")
        self.db.execute("BEGIN")
        self.put("within")

    def begin_in_the_thread(self):
        self.db.execute("SAVEPOINT a")
        self.put("within")

    async def begin_in_a_task(self):
        self.ctx.spawn(self.begin(), name="a task")

    async def begin_afterwards(self):
        async def begin():
            await self.may_begin.wait()
            self.db.execute("BEGIN")

        self.may_begin, self.task = asyncio.Event(), asyncio.create_task(begin())

    async def let_it_begin(self):
        self.may_begin.set()
        await self.task

    async def run_script(self):
        try:
            self.db.executescript("BEGIN; insert into t values ('within'); create table t (x); COMMIT;")
        except StorageError:
            self.put("after")

    async def run_script_within(self):
        self.db.execute("BEGIN")
        self.put("within")
        try:
            self.db.executescript("SAVEPOINT a; insert into t values ('script'); create table t (x); RELEASE a;")
        except StorageError:
            self.db.execute("COMMIT")

    async def sync_within(self):
        async def write(_):
            self.put("within")
            await self.ctx.storage.sync()
            raise ValueError("after sync")

        self.put("before")
        await self.ctx.storage.transaction(write)

    async def sync_within_begin(self):
        self.db.execute("BEGIN")
        self.put("within")
        await self.ctx.storage.sync()
        self.db.execute("COMMIT")

    async def wait_within(self):
        async def write(_):
            self.put("within")
            await self.ctx.clock.sleep(timedelta(seconds=31).total_seconds())

        await self.ctx.storage.transaction(write)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def ledgers(clock, tmp_path):
    async with agent_runtime(Ledger, clock=clock, storage=tmp_path, durability="full") as runtime:
        yield runtime.namespaces["Ledger"]


@pytest.fixture
def ledger(ledgers):
    return ledgers.get_by_name("a")


async def test_an_error_before_commit_undoes_the_transaction_and_no_more(ledger):
    with pytest.raises(Exception, match="before COMMIT"):
        await ledger.begin_and_fail()
    assert await ledger.values() == ["before"]


async def test_a_transaction_that_nobody_ends_is_undone_and_told_of(ledger):
    with pytest.raises(StorageError, match="begun and not ended"):
        await ledger.begin()
    assert await ledger.values() == ["before"]


async def test_one_that_is_left_open_in_the_objects_thread_is_too(ledger):
    with pytest.raises(StorageError, match="begun and not ended"):
        await ledger.begin_in_the_thread()
    assert await ledger.values() == []


async def test_one_that_is_left_open_by_a_task_of_the_object_is_too(ledger, caplog):
    await ledger.begin_in_a_task()
    assert await ledger.values() == ["before"]
    assert "begun and not ended" in caplog.text


async def test_none_is_begun_when_its_event_has_ended(ledger):
    await ledger.begin_afterwards()
    with pytest.raises(StorageError, match="The event that this belongs to has ended"):
        await ledger.let_it_begin()


async def test_a_script_that_fails_undoes_what_it_began(ledger):
    await ledger.run_script()
    assert await ledger.values() == ["after"]


async def test_a_script_that_fails_within_a_transaction_undoes_no_more_than_itself(ledger):
    await ledger.run_script_within()
    assert await ledger.values() == ["within"]


async def test_a_sync_in_a_transaction_waits_for_what_was_written_before_it(ledger):
    with pytest.raises(Exception, match="after sync"):
        await ledger.sync_within()
    assert await ledger.values() == ["before"]


async def test_a_sync_does_not_wait_for_the_end_of_the_callers_own_transaction(ledger):
    await ledger.sync_within_begin()
    assert await ledger.values() == ["within"]


async def test_a_transaction_may_take_as_long_as_a_critical_section(ledger, ledgers, clock):
    call = asyncio.create_task(ledger.wait_within())
    await clock.advance(Limits().critical_section_seconds)
    with pytest.raises(ObjectReset, match="waited for too long"):
        await call
    assert await ledgers.get_by_name("a").values() == []
