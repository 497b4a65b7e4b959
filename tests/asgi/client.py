"""An HTTP client without a network: it speaks ASGI to ``serve_http`` and lets a test see every message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.testing import ApplicationCommunicator

from edgeagents.asgi.http import serve_http
from edgeagents.asgi.settings import OpenConnections, Settings
from edgeagents.http import Request, Response

Handler = Callable[[Request], Awaitable[Response | None]]


def http_scope(
    path: str = "/", method: str = "GET", headers: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    path, _, query = path.partition("?")
    fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"testserver"), *fields],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 80),
        "state": {},
        **more,
    }


def websocket_scope(path: str = "/", subprotocols: list[str] | None = None, **more: Any) -> dict[str, Any]:
    scope = http_scope(path, **more)
    del scope["method"]
    return {
        **scope,
        "type": "websocket",
        "scheme": "ws",
        "subprotocols": subprotocols or [],
        "extensions": {"websocket.http.response": {}},
        **more,
    }


class Exchange:
    """One request to an app, message by message."""

    def __init__(self, app: Callable[..., Awaitable[Any]], scope: dict[str, Any]) -> None:
        async def single(scope: Any, receive: Any, send: Any) -> None:
            self.result = await app(scope, receive, send)

        self.result: Any = None
        self._communicator = ApplicationCommunicator(single, scope)

    async def send(self, body: bytes = b"", *, more: bool = False) -> Exchange:
        """Send a part of the request's body, by default the end of it."""
        await self.put({"type": "http.request", "body": body, "more_body": more})
        return self

    async def put(self, message: dict[str, Any]) -> None:
        self._communicator.future  # noqa: B018 - starts the app
        await self._communicator.input_queue.put(message)

    async def leave(self) -> None:
        """Go away, as a client that closes its connection."""
        await self.put({"type": "http.disconnect"})

    async def message(self) -> dict[str, Any]:
        """Return the next message that the app sent."""
        self._communicator.future  # noqa: B018
        async with asyncio.timeout(5):
            return await self._communicator.output_queue.get()

    async def start(self) -> tuple[int, dict[str, str]]:
        """Return status and headers."""
        message = await self.message()
        assert message["type"] == "http.response.start", message
        return message["status"], {name.decode(): value.decode("latin-1") for name, value in message["headers"]}

    async def chunk(self) -> bytes:
        """Return the next part of the body that is not empty."""
        while True:
            message = await self.message()
            assert message["type"] == "http.response.body", message
            if message.get("body"):
                return message["body"]
            assert message.get("more_body"), "the body is over"

    async def rest(self) -> bytes:
        """Return what is left of the body."""
        body = b""
        while True:
            message = await self.message()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                return body

    def left(self) -> list[dict[str, Any]]:
        """Return the messages that the app has sent and nobody has read."""
        messages: list[dict[str, Any]] = []
        while not self._communicator.output_queue.empty():
            messages.append(self._communicator.output_queue.get_nowait())
        return messages

    async def done(self) -> Any:
        """Wait until the app has returned, and return what it returned. Raises what it raised."""
        await self._communicator.wait(5)
        return self.result


class Lifespan:
    """A server's side of an app's lifespan: ``async with Lifespan(app)``."""

    def __init__(self, app: Callable[..., Awaitable[Any]]) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []

    async def __aenter__(self) -> Lifespan:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self._task = asyncio.create_task(self._app(scope, self._to_app.get, self._from_app.put))  # type: ignore[arg-type]
        await self._tell("startup")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tell("shutdown")
        await self._task

    async def _tell(self, kind: str) -> None:
        self._to_app.put_nowait({"type": f"lifespan.{kind}"})
        getting = asyncio.create_task(self._from_app.get())
        await asyncio.wait((getting, self._task), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            self._task.result()
        message = getting.result()
        self.sent.append(message)
        assert message["type"] == f"lifespan.{kind}.complete", message


class Fixture:
    """Serves handlers with ``settings`` and keeps their exchanges tidy."""

    def __init__(self) -> None:
        self.settings = Settings(connections=OpenConnections())
        self._exchanges: list[Exchange] = []

    def __call__(self, handle: Handler, path: str = "/", method: str = "GET", **options: Any) -> Exchange:
        async def app(scope: Any, receive: Any, send: Any) -> bool:
            return await serve_http(scope, receive, send, handle, self.settings)

        return self.run(app, http_scope(path, method, **options))

    def run(self, app: Callable[..., Awaitable[Any]], scope: dict[str, Any]) -> Exchange:
        exchange = Exchange(app, scope)
        self._exchanges.append(exchange)
        return exchange

    def close(self) -> None:
        for exchange in self._exchanges:
            exchange._communicator.stop(exceptions=False)
