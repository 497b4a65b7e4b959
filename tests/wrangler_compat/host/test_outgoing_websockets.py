"""An object that listens to a server elsewhere: the shape of Cloudflare's stream consumer, against a server of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import websockets

from edgeagents.testing import ManualClock, settle

from .conftest import RunningWorker, RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: WebSockets to elsewhere, kept by an object", "same")

CONSUMER = """
    import json
    import js
    from pyodide.ffi import create_proxy
    from workers import DurableObject, Response, WorkerEntrypoint

    class Consumer(DurableObject):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.heard = []

        async def listen(self):
            last = self.ctx.storage.kv.get("last") or 0
            ws = js.WebSocket.new(f"{self.env.URL}/?after={last}")
            ws.binaryType = "arraybuffer"
            ws.addEventListener("open", create_proxy(lambda event: self.heard.append("open")))
            ws.addEventListener("message", create_proxy(self.on_message))
            ws.addEventListener("close", create_proxy(self.on_close))
            ws.addEventListener("error", create_proxy(lambda event: self.heard.append("error")))
            self.socket = ws

        def on_message(self, event):
            if not isinstance(event.data, str):
                self.heard.append(event.data.to_bytes().decode())
                return
            if event.data == "stumble":
                raise ValueError("this message is not understood")
            self.heard.append(event.data)
            self.ctx.storage.kv.put("last", len(self.heard))

        async def on_close(self, event):
            self.heard.append([event.code, event.reason, event.wasClean])
            if event.reason == "abort":
                self.ctx.abort("closed")

        async def say(self):
            self.socket.send("hello")

        async def told(self):
            return [self.heard, getattr(getattr(self, "socket", None), "readyState", None)]

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            stub = self.env.CONSUMER.getByName("a")
            return Response(json.dumps(await getattr(stub, request.url.rpartition("/")[2])()))
"""


class Server:
    """A server that tells what it hears, and says what it is told to."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.heard: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.connections: asyncio.Queue[websockets.ServerConnection] = asyncio.Queue()
        self.url = ""

    async def serve(self, connection: websockets.ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        self.connections.put_nowait(connection)
        async for message in connection:
            self.heard.put_nowait(message)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    async with websockets.serve(made.serve, "127.0.0.1", 0) as running:
        made.url = f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        yield made


async def consumer(run: RunWorker, url: str, **runtime: object) -> RunningWorker:
    return await run(CONSUMER, objects=["Consumer"], vars={"URL": url}, runtime=runtime)


async def until(worker: RunningWorker, said: object) -> None:
    while json.loads(await worker.text("/told"))[0] != said:
        await asyncio.sleep(0)


async def test_listeners_hear_what_comes(run: RunWorker, server: Server) -> None:
    worker = await consumer(run, server.url)
    await worker.text("/listen")
    there = await server.connections.get()
    for message in ("one", b"two", "stumble", "three"):
        await there.send(message)
    await until(worker, ["open", "one", "two", "three"])
    await worker.text("/say")
    assert await server.heard.get() == "hello"
    await there.close(1000, "enough")
    await until(worker, ["open", "one", "two", "three", [1000, "enough", True]])
    await worker.runtime.stop()


async def test_an_object_that_aborts_itself_goes_on_where_it_was(run: RunWorker, server: Server) -> None:
    worker = await consumer(run, server.url)
    await worker.text("/listen")
    there = await server.connections.get()
    await there.send("one")
    await until(worker, ["open", "one"])
    await there.close(1000, "abort")
    while json.loads(await worker.text("/told"))[0]:
        await asyncio.sleep(0)
    await worker.text("/listen")
    await server.connections.get()
    assert server.paths == ["/?after=0", "/?after=2"]
    await worker.runtime.stop()


async def test_an_object_stays_in_memory_while_it_listens(run: RunWorker, server: Server) -> None:
    clock = ManualClock()
    worker = await consumer(run, server.url, clock=clock)
    await worker.text("/listen")
    there = await server.connections.get()
    await until(worker, ["open"])
    await clock.advance(60)
    await settle()
    assert await worker.text("/told") == '[["open"], 1]'
    await worker.runtime.stop()
    await there.wait_closed()


async def test_a_connection_that_fails_is_an_event(run: RunWorker, unused_tcp_port: int) -> None:
    worker = await consumer(run, f"ws://127.0.0.1:{unused_tcp_port}")
    await worker.text("/listen")
    await until(worker, ["error", [1006, "", False]])
