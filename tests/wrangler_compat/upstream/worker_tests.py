"""The tests that Cloudflare's SDK runs in workerd: what each needs beside its ``worker.py``, in wrangler's words.

Upstream these are ``.wd-test`` files, which only workerd reads. Where the other side of a test is JavaScript, a worker
in Python takes its place, with the same methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["WORKER_TESTS", "WorkerTest"]


@dataclass(frozen=True)
class WorkerTest:
    """One test. ``others`` are sources of neighbours by their names; one of upstream's begins with ``@``.

    ``tester`` is the neighbour that has the ``test`` handler, if it is not the worker itself.
    """

    config: dict[str, Any] = field(default_factory=dict[str, Any])
    others: dict[str, str] = field(default_factory=dict[str, str])
    internet: str | None = None
    tester: str | None = None
    needs: tuple[str, ...] = ()
    differs: str = ""
    """Why it cannot pass here."""


def _objects(**names: str) -> dict[str, Any]:
    return {
        "durable_objects": {"bindings": [{"name": key, "class_name": value} for key, value in names.items()]},
        "migrations": [{"tag": "v1", "new_sqlite_classes": list(names.values())}],
    }


_SELF = {"services": [{"binding": "SELF", "service": "main"}]}

_RPC_CALLER = """
from workers import WorkerEntrypoint


class JsRpcTester(WorkerEntrypoint):
    async def noArgs(self):
        return "hello from js"

    async def oneArg(self, value):
        return str(value)

    async def identity(self, value):
        return value

    async def handleResponse(self, response):
        return response

    async def handleRequest(self, request):
        return request

    async def newCounter(self):
        count = 0

        def increment(amount=0):
            nonlocal count
            count += amount
            return count

        return increment

    async def useCounter(self, counter):
        return await counter(10)
"""

_SOCKET_CALLER = """
import asyncio

from pyodide.ffi import create_proxy
from workers import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def test(self):
        answer = await self.env.PYTHON.fetch("http://example.com/websocket", headers={"Upgrade": "websocket"})
        socket = answer.js_object.webSocket
        heard = asyncio.get_running_loop().create_future()
        socket.accept()
        socket.addEventListener("message", create_proxy(lambda event: heard.set_result(event.data)))
        socket.send("test")
        assert await heard == "hello"
        socket.close()
"""

WORKER_TESTS = {
    "asgi": WorkerTest(_SELF, needs=("fastapi",)),
    "asgi-ws-disconnect": WorkerTest(_SELF),
    "durable-object": WorkerTest(_objects(ns="DurableObjectExample")),
    "durable-object-abort": WorkerTest(
        _objects(ABORTER="AbortingDurableObject"),
        differs="it counts on memory storage of workerd, which an abort empties; ours keeps what was written",
    ),
    "durable-object-inheritance": WorkerTest(
        _objects(DO_LEAF="LeafDurableObject", DO_LEAF_INIT="LeafDurableObjectWithInit", DO_REDUNDANT="RedundantBaseDO")
    ),
    "durable-object-websocket": WorkerTest(
        _objects(ns="DurableObjectWebSocket"), others={"tester": _SOCKET_CALLER}, tester="tester"
    ),
    "entropy-patches": WorkerTest(needs=("numpy", "pydantic", "tiktoken", "aiohttp", "langsmith", "langchain_openai")),
    "python-rpc": WorkerTest(
        {
            "services": [
                {"binding": "PythonRpc", "service": "main", "entrypoint": "PythonRpcTester"},
                {"binding": "JsRpc", "service": "js", "entrypoint": "JsRpcTester"},
            ],
            "vars": {"FOO": "text binding"},
        },
        others={"js": _RPC_CALLER},
    ),
    "sdk": WorkerTest(
        {**_SELF, "vars": {"color": False}},
        others={"server": "@server.py"},
        internet="server",
    ),
    "wsgi": WorkerTest({**_SELF, "vars": {"color": False}}),
}
