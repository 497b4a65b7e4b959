"""Storage as the SDK's objects see it: keys and values, SQL, transactions, alarms."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from edgeagents.testing import ManualClock, settle

from .conftest import RunningWorker, RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: `ctx.storage` of the SDK's objects", "same")

OBJECT = """
import asyncio
import json
from datetime import datetime, timedelta
import js
from js import Date
from pyodide.ffi import JsException, JsProxy, jsnull, run_sync, to_js
from workers import DurableObject, Response, WorkerEntrypoint

class Box(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.raw = ctx._ctx if hasattr(ctx, "_ctx") else ctx
        self.alarms = []
        self.storage = self.ctx.storage

    async def alarm(self, info):
        self.alarms.append([info.retryCount, info.isRetry, await self.storage.getAlarm()])
        if len(self.alarms) == 1 and await self.storage.get("fails"):
            raise ValueError("the alarm failed")

    async def told(self):
        return self.alarms

    async def work(self):
{work}

    async def again(self):
{again}

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        stub = self.env.BOX.getByName("a")
        name = request.url.rpartition("/")[2]
        return Response(json.dumps(await getattr(stub, name)()))
"""


def box(work: str, again: str = "pass") -> str:
    def body(text: str) -> str:
        return indent(dedent(text), " " * 8)

    return OBJECT.replace("{work}", body(work)).replace("{again}", body(again))


async def made(run: RunWorker, work: str, again: str = "pass", **changes: object) -> RunningWorker:
    return await run(box(work, again), objects=["Box"], **changes)


async def result(run: RunWorker, work: str, **changes: object) -> str:
    return await (await made(run, work, **changes)).text("/work")


async def test_values_come_back_as_they_were(run: RunWorker) -> None:
    work = """
        value = {"text": "x", "n": [1, 2.5, True, None], "when": datetime(2026, 1, 2, 3, 4, 5), "bytes": b"ab"}
        await self.storage.put("k", value)
        value["n"].append("changed")
        got = await self.storage.get("k")
        got["n"].append("changed too")
        again = await self.storage.get("k")
        return [again["text"], again["n"], str(again.when), bytes(again["bytes"]).decode(),
                await self.storage.get("absent")]
    """
    assert await result(run, work) == '["x", [1, 2.5, true, null], "2026-01-02 03:04:05", "ab", null]'


async def test_null_is_kept_and_undefined_is_not(run: RunWorker) -> None:
    work = """
        await self.storage.put("k", None)
        raw = self.raw.storage
        try:
            await raw.put("u", None)
        except JsException as error:
            said = str(error)
        return [(await raw.get("k")) is jsnull, (await raw.get("absent")) is None, said]
    """
    assert await result(run, work) == '[true, true, "TypeError: put() called with undefined value."]'


async def test_what_is_no_data_cannot_be_kept(run: RunWorker) -> None:
    work = """
        try:
            await self.storage.put("k", {"object": object()})
        except JsException as error:
            return [error.name, await self.storage.get("k")]
    """
    assert await result(run, work) == '["DataCloneError", null]'


async def test_lists_are_in_order_and_within_bounds(run: RunWorker) -> None:
    work = """
        await self.storage.put({"a1": 1, "b1": 2, "a2": 3, "a3": 4})
        keys = [list(await self.storage.list(**options)) for options in (
            {}, {"prefix": "a"}, {"start": "a2"}, {"startAfter": "a2", "end": "b1"}, {"reverse": True, "limit": 2})]
        try:
            await self.storage.list(start="a", startAfter="b")
        except JsException as error:
            keys.append(str(error))
        return keys
    """
    assert await result(run, work) == (
        '[["a1", "a2", "a3", "b1"], ["a1", "a2", "a3"], ["a2", "a3", "b1"], ["a3"], ["b1", "a3"], '
        '"TypeError: list() cannot be called with both start and startAfter values."]'
    )


async def test_several_keys_are_read_and_deleted_at_once(run: RunWorker) -> None:
    work = """
        await self.storage.put({"a": 1, "b": 2})
        found = await self.storage.get(["b", "a", "c"])
        pairs = [[key, value] for key, value in found.items()]
        return [pairs, await self.storage.delete(["a", "c"]), await self.storage.delete("b")]
    """
    assert await result(run, work) == '[[["a", 1], ["b", 2]], 1, true]'


async def test_no_other_event_comes_between_reading_and_writing(run: RunWorker) -> None:
    source = """
        from workers import DurableObject, Response, WorkerEntrypoint
        import asyncio

        class Counter(DurableObject):
            async def increment(self):
                n = await self.ctx.storage.get("n") or 0
                await self.ctx.storage.put("n", n + 1)
                return n + 1

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                stub = self.env.COUNTER.getByName("a")
                return Response(str(sorted(await asyncio.gather(*(stub.increment() for _ in range(20))))[-1]))
    """
    worker = await run(source, objects=["Counter"])
    assert await worker.text() == "20"


async def test_a_transaction_that_fails_leaves_nothing(run: RunWorker) -> None:
    work = """
        async def fail(txn):
            await txn.put("k", 1)
            await asyncio.sleep(0)
            raise ValueError("undo it")

        async def roll_back(txn):
            await txn.put("k", 2)
            txn.rollback()
            try:
                await txn.get("k")
            except JsException as error:
                return str(error)

        kept = []
        async def keep(txn):
            kept.append(txn)
            await txn.put("k", 3)
            return await txn.get("k")

        said = []
        try:
            await self.storage.transaction(fail)
        except ValueError as error:
            said.append(str(error))
        said += [await self.storage.get("k"), await self.storage.transaction(roll_back), await self.storage.get("k")]
        said += [await self.storage.transaction(keep), await self.storage.get("k")]
        try:
            await kept[0].get("k")
        except JsException as error:
            said.append(str(error))
        return said
    """
    assert await result(run, work) == (
        '["undo it", null, "Error: Cannot get() on rolled back transaction", null, 3, 3, '
        '"Error: Cannot call get() on transaction that has already committed: did you move `txn` outside of the '
        'closure?"]'
    )


async def test_a_synchronous_transaction_returns_what_its_function_does(run: RunWorker) -> None:
    work = """
        def keep():
            self.storage.kv.put("a", 1)
            return "kept"

        def fail():
            self.storage.kv.put("a", 2)
            raise KeyError("no")

        said = [self.storage.transactionSync(keep)]
        try:
            self.storage.transactionSync(fail)
        except KeyError:
            said.append(self.storage.kv.get("a"))
        return said
    """
    assert await result(run, work) == '["kept", 1]'


async def test_keys_and_values_without_promises(run: RunWorker) -> None:
    work = """
        kv = self.storage.kv
        kv.put("b", {"x": 1})
        kv.put("a", [2])
        await self.storage.put("c", 3)
        said = [[key, value] for key, value in kv.list()] + [kv.get("absent"), kv.delete("b"), kv.delete("b")]
        iterator = iter(kv.list(prefix="a"))
        first = self.raw.storage.kv.list()
        self.raw.storage.kv.list()
        try:
            next(first)
        except JsException as error:
            said.append(str(error)[:43])
        return said
    """
    assert await result(run, work) == (
        '[["a", [2]], ["b", {"x": 1}], ["c", 3], null, true, false, "Error: kv.list() iterator was invalidated b"]'
    )


async def test_rows_are_objects_and_raw_rows_are_arrays(run: RunWorker) -> None:
    work = """
        sql = self.storage.sql
        sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data BLOB); INSERT INTO t VALUES (1, 'x', NULL)")
        written = sql.exec("INSERT INTO t VALUES (?, ?, ?), (3, 'z', NULL)", 2, None, b"ab").rowsWritten
        rows = sql.exec("SELECT * FROM t ORDER BY id").toArray()
        cursor = self.raw.storage.sql.exec("SELECT id, name, data FROM t ORDER BY id")
        raw = cursor.raw().toArray()
        return [written, [dict(row) | {"data": None} for row in rows], bytes(rows[1].data).decode(),
                isinstance(raw, JsProxy), raw[1][1] is jsnull, [row[0] for row in raw.to_py()], cursor.rowsRead,
                list(cursor.columnNames), sql.exec("SELECT count(*) AS n FROM t").one().n, sql.databaseSize > 0]
    """
    assert await result(run, work) == (
        '[2, [{"id": 1, "name": "x", "data": null}, {"id": 2, "name": null, "data": null}, '
        '{"id": 3, "name": "z", "data": null}], "ab", true, true, [1, 2, 3], 3, ["id", "name", "data"], 3, true]'
    )


async def test_numbers_are_floats_and_true_is_text_to_sql_as_in_workerd(run: RunWorker) -> None:
    work = """
        row = self.storage.sql.exec(
            "SELECT typeof(?1) AS kind, ?1 || '' AS text, ?1 / 2 AS half, ?1 AS same, ?2 AS yes, typeof(?3) AS no",
            5, True, False
        ).one()
        try:
            self.storage.sql.exec("SELECT ?", 2**60)
        except JsException as error:
            return [row.kind, row.text, row.half, row.same, row.yes, row.no, str(error)]
    """
    assert await result(run, work) == (
        '["real", "5.0", 2.5, 5, "true", "text", "TypeError: Cannot convert a BigInt value to a number"]'
    )


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('"SELECT * FROM nowhere"', "Error: no such table: nowhere: SQLITE_ERROR"),
        ('""', "Error: SQL code did not contain a statement."),
        ('"SELECT ?"', "Error: Wrong number of parameter bindings for SQL query."),
        ('"SELECT ?", {"a": 1}', "TypeError: A binding of a SQL statement is null, a number, a string, an ArrayBuffer"),
        ('"SELECT 1 WHERE 0").one(', "Error: Expected exactly one result from SQL query, but got no results."),
    ],
)
async def test_what_sql_refuses_is_an_error_of_javascript(run: RunWorker, statement: str, message: str) -> None:
    work = f"""
        try:
            self.storage.sql.exec({statement})
        except JsException as error:
            return str(error)
    """
    assert message in (await result(run, work)).replace('\\"', '"')


async def test_a_class_without_sql_says_so_and_has_smaller_limits(run: RunWorker) -> None:
    work = """
        said = []
        try:
            self.storage.sql
        except JsException as error:
            said.append(str(error)[:56])
        for key, value in (("x" * 3000, 1), ("k", "x" * 200_000)):
            try:
                await self.storage.put(key, value)
            except JsException as error:
                said.append(str(error)[:40])
        return said
    """
    changes = {"migrations": [{"tag": "v1", "new_classes": ["Box"]}]}
    assert await result(run, work, **changes) == (
        '["Error: SQL is not enabled for this Durable Object class.", '
        '"RangeError: Keys cannot be larger than 2", "RangeError: Values cannot be larger than"]'
    )


async def test_everything_is_deleted_with_the_alarm_or_without_it_as_the_date_says(run: RunWorker) -> None:
    work = """
        await self.storage.put("k", 1)
        self.storage.sql.exec("CREATE TABLE t (x)")
        await self.storage.setAlarm(Date.now() + 60_000)
        await self.storage.deleteAll()
        tables = self.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 't'").toArray()
        return [await self.storage.get("k"), tables, await self.storage.getAlarm() is not None]
    """
    assert await result(run, work) == "[null, [], false]"
    assert await result(run, work, compatibility_date="2026-01-01") == "[null, [], true]"


async def test_an_alarm_runs_when_it_is_due(run: RunWorker) -> None:
    clock = ManualClock()
    now = int(clock.now().timestamp() * 1000)
    work = f"""
        await self.storage.setAlarm({now} + 5000)
        return await self.storage.getAlarm()
    """
    worker = await made(run, work, runtime={"clock": clock})
    assert await worker.text("/work") == str(now + 5000)
    assert await worker.text("/told") == "[]"
    await clock.advance(5)
    await settle()
    assert await worker.text("/told") == "[[0, false, null]]"


async def test_an_alarm_that_fails_is_run_again(run: RunWorker) -> None:
    clock = ManualClock()
    work = f"""
        await self.storage.put("fails", True)
        await self.storage.setAlarm({int(clock.now().timestamp() * 1000)} + 1000)
    """
    worker = await made(run, work, runtime={"clock": clock})
    await worker.text("/work")
    await clock.advance(1)
    await settle()
    await clock.advance(4)
    await settle()
    assert await worker.text("/told") == "[[0, false, null], [1, true, null]]"


async def test_an_alarm_is_set_by_a_date_of_python_or_javascript(run: RunWorker) -> None:
    work = """
        when = datetime(2040, 1, 1)
        await self.storage.setAlarm(when)
        first = await self.storage.getAlarm()
        await self.raw.storage.setAlarm(Date.new(first + 1))
        second = await self.storage.getAlarm()
        await self.storage.deleteAlarm()
        try:
            await self.storage.setAlarm(0)
        except JsException as error:
            said = str(error)
        return [first == int(when.timestamp() * 1000), second - first, await self.storage.getAlarm(), said]
    """
    assert await result(run, work) == (
        '[true, 1, null, "TypeError: setAlarm() cannot be called with an alarm time <= 0"]'
    )


async def test_synchronous_code_waits_for_storage(run: RunWorker) -> None:
    work = """
        def keep():
            run_sync(self.raw.storage.put("k", 7))
            run_sync(asyncio.sleep(0))
            return run_sync(self.storage.get("k"))
        return keep()
    """
    assert await result(run, work) == "7"


async def test_what_was_written_is_there_after_a_restart(run: RunWorker, start: RunWorker, tmp_path: object) -> None:
    state = f"{tmp_path}/state"
    work, again = 'await self.storage.put("k", {"n": 1})', 'return await self.storage.get("k")'
    worker = await made(run, work, again, runtime={"storage": state})
    await worker.text("/work")
    await worker.runtime.stop()
    assert await (await start(worker.folder, storage=state)).text("/again") == '{"n": 1}'


async def test_the_past_of_an_object_can_be_restored(run: RunWorker, tmp_path: object) -> None:
    work = """
        await self.storage.put("k", "before")
        bookmark = await self.storage.getCurrentBookmark()
        await self.storage.put("k", "after")
        await self.storage.onNextSessionRestoreBookmark(bookmark)
        self.ctx.abort("restore")
    """
    worker = await made(run, work, 'return await self.storage.get("k")', runtime={"storage": f"{tmp_path}/state"})
    with pytest.raises(Exception, match="restore"):
        await worker.fetch("/work")
    assert await worker.text("/again") == '"before"'
