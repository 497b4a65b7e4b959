"""A request to an object or another entrypoint is given up with its signal, and so is what it still answers."""

from __future__ import annotations

import json

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: `AbortSignal` ends a `fetch`, its body and its upload, to the network and to objects", "same"
)

WORKER = """
    import asyncio
    import json
    import js
    from pyodide.ffi import JsException
    from workers import DurableObject, Response, WorkerEntrypoint

    log = []

    class Box(DurableObject):
        async def fetch(self, request):
            if request.url.endswith("/never"):
                await asyncio.Event().wait()
            pair = js.TransformStream.new()
            self.writing = asyncio.ensure_future(self.write(pair.writable.getWriter()))
            return Response(pair.readable)

        async def write(self, writer):
            try:
                while True:
                    await writer.write(js.Uint8Array.of(1))
            except JsException as error:
                log.append("the writer is told")

        async def told(self):
            await self.writing
            return log

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            box = self.env.BOX.getByName("a")
            raw = box._binding
            controller = js.AbortController.new()
            answer = await raw.fetch("http://x/", signal=controller.signal)
            reader = answer.body.getReader()
            await reader.read()
            controller.abort()
            said = []
            for work in (
                lambda: reader.read(),
                lambda: raw.fetch("http://x/", signal=controller.signal),
                lambda: raw.fetch("http://x/never", signal=self.soon()),
            ):
                try:
                    await work()
                except JsException as error:
                    said.append(str(error))
            return Response(json.dumps([*said, *await box.told()]))

        def soon(self):
            controller = js.AbortController.new()
            js.setTimeout(controller.abort, 0)
            return controller.signal
"""


async def test_an_object_that_answers_is_given_up(run: RunWorker) -> None:
    running = await run(WORKER, objects=["Box"])
    given_up = ["AbortError: The operation was aborted"] * 3
    assert json.loads(await running.text()) == [*given_up, "the writer is told"]
