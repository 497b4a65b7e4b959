"""Event loops within a worker, as Pyodide has them: one loop, ``run_sync`` anywhere, jobs of executors on the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
from textwrap import indent

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "Python: `run_sync`, `asyncio.run`, `run_until_complete`, executors within an event",
    "same",
)

BEGINNING = """
import asyncio
import threading
from pyodide.ffi import run_sync
from workers import Response, WorkerEntrypoint

async def later(value):
    await asyncio.sleep(0)
    return value

def wait(value):
    return run_sync(later(value))

async def waits(value):
    return wait(value)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response.json(await self.told())
"""


async def told(run: RunWorker, body: str) -> str:
    source = BEGINNING + "\n    async def told(self):\n" + indent(body.strip("\n"), "        ")
    return await (await run(source)).text()


@pytest.mark.parametrize(
    "waiting",
    [
        "asyncio.run(waits(7))",
        "asyncio.new_event_loop().run_until_complete(waits(7))",
        "asyncio.get_event_loop().run_until_complete(waits(7))",
        "(lambda: [runner := asyncio.Runner(), runner.run(waits(7)), runner.close()][1])()",
        "await asyncio.create_task(waits(7))",
        "(await asyncio.gather(waits(7), waits(8)))[0]",
        "await asyncio.to_thread(wait, 7)",
        "await asyncio.get_running_loop().run_in_executor(None, wait, 7)",
        "(await asyncio.gather(*[asyncio.to_thread(wait, n) for n in (7, 8)]))[0]",
        "__import__('contextvars').copy_context().run(wait, 7)",
    ],
)
async def test_code_waits_wherever_it_is_called(run: RunWorker, waiting: str) -> None:
    assert await told(run, f"return {waiting}") == "7"


async def test_other_tasks_go_on_while_it_waits(run: RunWorker) -> None:
    body = """
order = []
async def other():
    order.append("other")
task = asyncio.create_task(other())
asyncio.run(later(1))
order.append("first")
return order
"""
    assert await told(run, body) == '["other", "first"]'


async def test_a_loop_that_is_made_is_the_one_that_runs_and_cannot_be_closed(run: RunWorker) -> None:
    body = """
loop = asyncio.new_event_loop()
loop.close()
loop.stop()
return [loop.is_running(), loop.is_closed(), await loop.create_task(waits(1))]
"""
    assert await told(run, body) == "[true, false, 1]"


async def test_what_an_executor_is_given_runs_on_the_loop(run: RunWorker) -> None:
    assert await told(run, "return await asyncio.to_thread(threading.get_ident) == threading.get_ident()") == "true"


async def test_an_error_of_a_job_reaches_who_waits(run: RunWorker) -> None:
    body = """
try:
    await asyncio.to_thread(int, "no number")
except ValueError as error:
    return str(error)
"""
    assert "invalid literal" in await told(run, body)


async def test_outside_of_a_worker_asyncio_is_as_it_always_is(run: RunWorker) -> None:
    await asyncio.create_task(told(run, "return 1"))
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        asyncio.run(coroutine)
    coroutine.close()
    assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()


async def test_fetch_of_a_binding_follows_redirects_of_its_own_requests(run: RunWorker) -> None:
    source = """
    from workers import Request, Response, WorkerEntrypoint

    class Inner(WorkerEntrypoint):
        async def fetch(self, request):
            path = request.url.partition("//x")[2]
            if path == "/new":
                return Response(f"{request.method} {await request.text()}")
            return Response("moved", status=int(path[1:]), headers={"location": "/new"})

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            inner, told = self.ctx.exports.Inner, []
            for status in (303, 307):
                answer = await inner.fetch(Request(f"http://x/{status}", method="POST", body="hi"))
                told.append([answer.status, await answer.text(), answer.redirected])
            unfollowed = await inner.fetch(Request("http://x/307", redirect="manual"))
            return Response.json([told, unfollowed.status])
    """
    worker = await run(source)
    assert await worker.text() == '[[[200, "GET ", true], [200, "POST hi", true]], 307]'


async def test_a_task_that_is_cancelled_before_its_first_step_leaves_nothing_behind(run: RunWorker) -> None:
    body = """
        task = asyncio.create_task(later(7))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            cycle = [error]
            cycle.append(cycle)
        return [task.cancelled()]
    """
    # A coroutine that nobody has awaited would be a warning, which fails the test, whichever the collector finds first.
    assert await told(run, body) == "[true]"
    gc.collect()


async def test_a_task_goes_by_the_name_of_the_workers_code(run: RunWorker) -> None:
    body = """
        task = asyncio.create_task(later(7))
        told = "later()" in repr(task), task.get_stack()[0].f_code.co_name
        return [*told, await task]
    """
    assert await told(run, body) == '[true, "later", 7]'


async def test_tasks_are_promises_too(run: RunWorker) -> None:
    body = """
        from pyodide.webloop import PyodideFuture, PyodideTask
        async def fails():
            raise ValueError("no")
        task = asyncio.ensure_future(asyncio.sleep(0, 4))
        future = PyodideFuture()
        future.set_result(2)
        return [
            await task.then(lambda value: value + 1),
            await asyncio.create_task(later(7)).finally_(lambda: None),
            await asyncio.create_task(fails()).catch(lambda error: str(error)),
            await future.then(lambda value: value),
            isinstance(task, PyodideTask),
        ]
    """
    assert await told(run, body) == '[5, 7, "no", 2, true]'
