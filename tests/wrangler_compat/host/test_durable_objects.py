"""Durable Objects of Cloudflare's SDK: reached by method and by fetch, one instance an id."""

from __future__ import annotations

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: Durable Objects of the SDK, called by method and by fetch", "same"
)

COUNTER = """
    from urllib.parse import urlparse
    from workers import DurableObject, Response, WorkerEntrypoint

    class Counter(DurableObject):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.calls = 0

        async def fetch(self, request):
            self.calls += 1
            return Response(f"{request.method} {urlparse(request.url).path} {self.calls}", headers={"x-made-by": "it"})

        async def increment(self, by=1):
            n = (await self.ctx.storage.get("n") or 0) + by
            await self.ctx.storage.put("n", n)
            return n

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            path = urlparse(request.url).path
            stub = self.env.COUNTER.getByName(path.split("/")[1])
            if path.endswith("/fetch"):
                return await stub.fetch(request)
            return Response(str(await stub.increment(2)))
"""


async def test_an_object_is_called_by_its_methods(run: RunWorker) -> None:
    worker = await run(COUNTER, objects=["Counter"])
    assert [await worker.text("/a"), await worker.text("/a"), await worker.text("/b")] == ["2", "4", "2"]


async def test_an_object_answers_requests(run: RunWorker) -> None:
    worker = await run(COUNTER, objects=["Counter"])
    first = await worker.fetch("/a/fetch", method="POST", body=b"x")
    assert (await first.bytes(), first.headers["x-made-by"]) == (b"POST /a/fetch 1", "it")
    assert await worker.text("/a/fetch") == "GET /a/fetch 2"
