"""What a worker does with the global scope itself: its listeners, its flags, ports, and posts that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from textwrap import dedent

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: all names of the global scope, `reportError`, `MessageChannel`, `navigator`", "same"
)

HEAD = """
import json
import js
from pyodide.ffi import JsException
from workers import Response, WorkerEntrypoint
"""


def worker(work: str) -> str:
    return HEAD + dedent(work)


async def test_what_is_reported_is_heard_and_logged_unless_prevented(
    run: RunWorker, caplog: pytest.LogCaptureFixture
) -> None:
    source = """
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                heard = []

                def listen(event):
                    heard.append([event.message, event.error.message])
                    if event.error.message == "quiet":
                        event.preventDefault()

                js.addEventListener("error", listen)
                js.reportError(js.Error.new("loud"))
                js.reportError(js.Error.new("quiet"))
                js.removeEventListener("error", listen)
                js.reportError(js.Error.new("unheard"))
                return Response(json.dumps(heard))
    """
    with caplog.at_level(logging.ERROR, "edgeagents.worker"):
        answer = await (await run(worker(source))).text()
    assert answer == '[["Uncaught Error: loud", "loud"], ["Uncaught Error: quiet", "quiet"]]'
    assert [record.message for record in caplog.records] == ["Uncaught Error: loud", "Uncaught Error: unheard"]


async def test_ports_tell_each_other_copies(run: RunWorker) -> None:
    source = """
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                channel, heard = js.MessageChannel.new(), []
                sent = js.Object.fromEntries([["n", 1]])
                channel.port1.postMessage(sent)
                sent.n = 2
                channel.port2.onmessage = lambda event: heard.append(event.data.n)
                channel.port1.postMessage(sent)
                await js.scheduler.wait(0)
                channel.port2.close()
                channel.port1.postMessage(sent)
                await js.scheduler.wait(0)
                return Response(json.dumps(heard))
    """
    assert await (await run(worker(source))).text() == "[1, 2]"


async def test_a_beacon_is_posted_and_not_waited_for(run: RunWorker) -> None:
    posted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    may_answer = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        posted.set_result(await reader.readuntil(b"seen"))
        await may_answer.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        source = f"""
            class Default(WorkerEntrypoint):
                async def fetch(self, request):
                    return Response(json.dumps(js.navigator.sendBeacon("http://{host}:{port}/log", "seen")))
        """
        assert await (await run(worker(source))).text() == "true"
        assert (await posted).startswith(b"POST /log HTTP/1.1")
        may_answer.set()


async def test_the_flags_of_the_worker_are_told(run: RunWorker) -> None:
    source = """
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                flags = js.Cloudflare.compatibilityFlags
                return Response(json.dumps([flags.python_workers, flags.no_such_flag]))
    """
    assert await (await run(worker(source))).text() == "[true, false]"


async def test_what_only_the_web_of_browsers_has_cannot_be_imported(run: RunWorker) -> None:
    source = """
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                try:
                    from js import document
                except ImportError as error:
                    return Response(str(error))
    """
    assert "cannot import name 'document' from 'js'" in await (await run(worker(source))).text()
