"""FastAPI in a Python Worker, through the SDK's ``asgi``, with a Durable Object behind it."""

from __future__ import annotations

import json

import pytest

from .conftest import RunWorker

pytest.importorskip("fastapi")

pytestmark = pytest.mark.cloudflare("Workers", "Python: FastAPI through the SDK's `asgi`", "same")

APP = """
    import asgi
    from fastapi import FastAPI, Request, WebSocket
    from fastapi.responses import StreamingResponse
    from pyodide.ffi import run_sync
    from workers import DurableObject, WorkerEntrypoint

    app = FastAPI()

    @app.get("/")
    async def root():
        return {"message": "hello"}

    @app.get("/env")
    async def env(request: Request):
        return {"word": request.scope["env"].WORD}

    @app.post("/count/{name}")
    async def count(name: str, body: dict, request: Request):
        return {"n": await request.scope["env"].COUNTER.getByName(name).add(body["by"])}

    @app.get("/sync/{name}")
    def from_a_plain_function(name: str, request: Request):
        return {"n": run_sync(request.scope["env"].COUNTER.getByName(name).add(1))}

    @app.get("/stream")
    async def stream():
        async def chunks():
            for word in ("one ", "two"):
                yield word
        return StreamingResponse(chunks(), media_type="text/plain")

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        while True:
            await socket.send_text("heard " + await socket.receive_text())

    class Counter(DurableObject):
        async def add(self, by):
            n = (await self.ctx.storage.get("n") or 0) + by
            await self.ctx.storage.put("n", n)
            return n

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            if request.headers.get("upgrade") == "websocket":
                return await asgi.websocket(app, request.js_object, self.env)
            return await asgi.fetch(app, request.js_object, self.env)
"""


async def test_routes_answer_with_json(run: RunWorker) -> None:
    worker = await run(APP, objects=["Counter"], vars={"WORD": "word"})
    answer = await worker.fetch("/")
    assert (answer.headers["content-type"], await answer.text()) == ("application/json", '{"message":"hello"}')
    assert await worker.text("/env") == '{"word":"word"}'
    assert (await worker.fetch("/nowhere")).status == 404


async def test_handlers_reach_objects(run: RunWorker) -> None:
    worker = await run(APP, objects=["Counter"])
    body = json.dumps({"by": 2}).encode()
    headers = {"content-type": "application/json"}
    said = [await worker.text("/count/a", method="POST", body=body, headers=headers) for _ in range(2)]
    assert said == ['{"n":2}', '{"n":4}']
    assert (await worker.fetch("/count/a", method="POST", body=b"[]", headers=headers)).status == 422


async def test_a_handler_that_is_a_plain_function_waits_for_an_object(run: RunWorker) -> None:
    worker = await run(APP, objects=["Counter"])
    assert [await worker.text("/sync/a"), await worker.text("/sync/a")] == ['{"n":1}', '{"n":2}']


async def test_a_response_is_streamed(run: RunWorker) -> None:
    worker = await run(APP, objects=["Counter"])
    assert await worker.text("/stream") == "one two"


async def test_a_web_socket_is_served(run: RunWorker) -> None:
    worker = await run(APP, objects=["Counter"])
    socket = await worker.connect("/ws")
    socket.send("hello")
    assert await socket.receive() == "heard hello"
    socket.close(1000)
