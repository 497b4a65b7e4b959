"""Cloudflare's own examples for Python Workers, unedited.

They are read where they are at hand and never kept here: EDGEAGENTS_PYTHON_WORKERS_EXAMPLES names a checkout of
``cloudflare/python-workers-examples``, or its git directory. What they fetch from the internet is answered here.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from edgeagents.services import Service
from edgeagents.testing import settle
from tests.wrangler_compat.upstream.tools import copy_of

from .conftest import RunWorker

PLACE = os.environ.get("EDGEAGENTS_PYTHON_WORKERS_EXAMPLES", "")

pytestmark = [
    pytest.mark.cloudflare("Workers", "Python: Cloudflare's own examples, unedited", "same"),
    pytest.mark.skipif(
        not PLACE, reason="EDGEAGENTS_PYTHON_WORKERS_EXAMPLES does not say where Cloudflare's examples are"
    ),
]

Example = Callable[[str], Path]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    """Return a copy of an example's folder."""
    return partial(copy_of, PLACE, into=tmp_path)


def needs(*modules: str) -> Any:
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


async def test_01_hello(start: RunWorker, example: Example) -> None:
    worker = await start(example("01-hello"))
    answer = await worker.fetch()
    assert (await answer.text(), answer.headers["content-type"]) == ("Hello world!", "text/plain;charset=UTF-8")


@needs("edgeagents_kv")
async def test_02_binding(start: RunWorker, example: Example, tmp_path: Path) -> None:
    worker = await start(example("02-binding"), storage=str(tmp_path / "state"))
    assert await worker.text() == "baz"


@needs("fastapi", "jinja2")
async def test_03_fastapi(start: RunWorker, example: Example) -> None:
    worker = await start(example("03-fastapi"))
    answer = await worker.fetch()
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(await answer.text())["message"].startswith("This is an example of FastAPI")
    assert await worker.text("/hi/Dominik") == '{"message":"Hello, Dominik!"}'
    assert "variable: My env var" in await worker.text("/env")


async def test_07_durable_objects(start: RunWorker, example: Example) -> None:
    worker = await start(example("07-durable-objects"))
    said = [await worker.text(path) for path in ("/1/show", "/1/add/hi", "/1/add/you", "/1/show", "/2/show")]
    assert said == ["No messages", "Message sent", "Message sent", "hi\nyou", "No messages"]
    assert (await worker.fetch("/")).status == 400


async def test_08_cron(start: RunWorker, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    worker = await start(example("08-cron"))
    assert "Hello from Cron Worker" in await worker.text()
    assert await worker.text("/cdn-cgi/handler/scheduled") == "ok"
    assert capsys.readouterr().out == "Scheduled task has been executed.\n"


async def test_11_opengraph(start: RunWorker, example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(transport: object, request: httpx2.Request) -> httpx2.Response:
        page = f'<head><meta property="og:title" content="old"><title>{request.url}</title></head>'
        return httpx2.Response(200, headers={"content-type": "text/html"}, content=page.encode())

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", answer)
    worker = await start(example("11-opengraph"))
    page = await worker.text("/blog/a-post")
    assert '<meta property="og:title" content="Blog Post: A Post" />' in page
    assert "<title>https://example.com/blog/a-post</title>" in page
    assert "old" not in page


@needs("PIL")
@pytest.mark.parametrize("path", ["/gradient", "/badge?text=hi", "/placeholder?width=20&height=10", "/chart"])
async def test_12_image_gen(start: RunWorker, example: Example, path: str) -> None:
    worker = await start(example("12-image-gen"))
    answer = await worker.fetch(path)
    assert (answer.headers["content-type"], (await answer.bytes())[:4]) == ("image/png", b"\x89PNG")
    assert "<html" in (await worker.text()).lower()


@needs("pygments")
async def test_13_js_api_pygments(start: RunWorker, example: Example) -> None:
    worker = await start(example("13-js-api-pygments") / "py")
    assert "Python RPC server is running" in await worker.text()
    service = Service(worker.runtime)
    made = await service.highlight_code("const x: number = 1", "typescript")
    assert (made["language"], "highlight" in made["html"]) == ("TypeScript", True)
    assert (await service.highlight_code("x", "no such language"))["language"] == "unknown"


async def test_14_websocket_stream_consumer(
    start: RunWorker, example: Example, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    closed = asyncio.Event()

    async def firehose(connection: websockets.ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        record = {"collection": "app.bsky.feed.post", "record": {"text": "a post"}}
        await connection.send(json.dumps({"time_us": 7, "kind": "commit", "commit": record}))
        if len(asked) == 1:
            await closed.wait()
            await connection.close(1000, "enough")
        await connection.wait_closed()

    async with websockets.serve(firehose, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connect = websockets.connect

        def connect_here(url: str, **options: Any) -> Any:
            return connect(url.replace("wss://jetstream2.us-east.bsky.network", f"ws://127.0.0.1:{port}"), **options)

        monkeypatch.setattr(websockets, "connect", connect_here)
        worker = await start(example("14-websocket-stream-consumer"))
        assert await worker.text("/status") == "Firehose status: disconnected"
        out = ""
        while "a post" not in out:
            await asyncio.sleep(0)
            out += capsys.readouterr().out
        assert await worker.text("/status") == "Firehose status: connected"
        closed.set()
        while "WebSocket closed: code=1000, reason=enough" not in out:
            await asyncio.sleep(0)
            out += capsys.readouterr().out
        # It aborts itself, and its next life goes on where it was.
        await settle()
        await worker.text("/status")
        while len(asked) < 2:
            await asyncio.sleep(0)
        assert asked[1].endswith("&cursor=7")
        await worker.runtime.stop()


async def test_15_chatroom(start: RunWorker, example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    worker = await start(example("15-chatroom"))
    assert "<html" in (await worker.text()).lower()
    assert (await worker.fetch("/room/one")).status == 400
    one, other = await worker.connect("/room/one"), await worker.connect("/room/one")
    elsewhere = await worker.connect("/room/two")
    for socket in (one, other, elsewhere):
        assert json.loads(str(await socket.receive()))["text"] == "Connected to chatroom"
    one.send(json.dumps({"username": "Ann", "text": "hello"}))
    for socket in (one, other):
        heard = json.loads(str(await socket.receive()))
        assert (heard["type"], heard["username"], heard["text"]) == ("message", "Ann", "hello")
    assert elsewhere.pending() == []
    late = await worker.connect("/room/one")
    assert json.loads(str(await late.receive()))["messages"][0]["text"] == "hello"
    other.close(1000, "bye")
    out = ""
    while "Client disconnected" not in out:
        await asyncio.sleep(0)
        out += capsys.readouterr().out
    assert "Active sessions: 2" in out
