"""The agents that the official clients are tried against: one for each thing that a client can notice.

Served as ``tests.clients.agents_app:app``: the middleware around a bare ASGI app.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgeagents import (
    Agent,
    AgentsMiddleware,
    Connection,
    Request,
    Response,
    StreamingResponse,
    callable,
    get_agent_by_name,
    get_current_agent,
    hookimpl,
)
from tests.clients.chat_app import CHATS
from tests.clients.more_app import Parent, Timer


def query(url: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}


class Counter(Agent):
    """State, callables, messages, tags; behaves by the query that a connection came with."""

    initial_state = {"n": 0}

    def on_start(self, props: Any = None) -> None:
        self.waiting: dict[str, asyncio.Event] = {}
        self.stream_step = asyncio.Event()
        self.changed: list[Any] = []
        self.closed: list[Any] = []

    # connections

    def should_connection_be_readonly(self, connection: Connection, ctx: Any) -> bool:
        return "readonly" in query(ctx.request.url)

    def should_send_protocol_messages(self, connection: Connection, ctx: Any) -> bool:
        return query(ctx.request.url).get("protocol") != "off"

    def get_connection_tags(self, connection: Connection, ctx: Any) -> list[str]:
        return [tag for tag in query(ctx.request.url).get("tags", "").split(",") if tag]

    def select_subprotocol(self, offered: list[str], request: Request) -> str:
        return offered[0]

    async def on_connect(self, connection: Connection, ctx: Any) -> None:
        if "refuse" in (options := query(ctx.request.url)):
            connection.close(int(options["refuse"]), "refused")
            return
        connection.send(f"hello {self.name}")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if message == "raise":
            raise RuntimeError("a handler that fails")
        connection.send(message if isinstance(message, bytes) else f"echo:{message}")

    async def on_close(self, connection: Connection, code: int, reason: str, was_clean: bool) -> None:
        self.closed.append([connection.id, code, reason])

    # state

    def validate_state_change(self, state: Any, source: Any) -> None:
        if state["n"] < 0:
            raise ValueError("n counts upwards")

    def on_state_changed(self, state: Any, source: Any) -> None:
        self.changed.append([state["n"], source if isinstance(source, str) else "connection"])

    # callables

    @callable()
    async def add(self, by: int = 1) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def get(self) -> int:
        return self.state["n"]

    @callable()
    async def changes(self) -> list[Any]:
        return self.changed

    @callable()
    async def closings(self) -> list[Any]:
        return self.closed

    @callable()
    async def ping(self) -> str:
        return "pong"

    @callable()
    async def echo(self, *values: Any) -> Any:
        return list(values) if len(values) != 1 else values[0]

    @callable()
    async def nothing(self) -> None:
        return None

    @callable(description="Adds two numbers")
    async def add_numbers(self, a: int, b: int) -> int:
        return a + b

    @callable()
    def add_in_a_thread(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def boom(self) -> None:
        raise ValueError("bad thing")

    @callable()
    async def unserialisable(self) -> object:
        return object()

    async def restricted(self) -> str:
        return "not for clients"

    @callable()
    async def wait_for(self, what: str) -> str:
        await self.waiting.setdefault(what, asyncio.Event()).wait()
        return what

    @callable()
    async def release(self, what: str) -> bool:
        was_waiting = what in self.waiting
        self.waiting.setdefault(what, asyncio.Event()).set()
        return was_waiting

    @callable(streaming=True)
    async def count_to(self, stream: StreamingResponse, n: int) -> None:
        for i in range(n):
            stream.send({"i": i})
        stream.end("fin")

    @callable(streaming=True)
    async def generate(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i

    @callable(streaming=True)
    async def fail_midway(self, stream: StreamingResponse) -> None:
        stream.send(1)
        raise ValueError("mid")

    @callable(streaming=True)
    async def end_with_an_error(self, stream: StreamingResponse) -> None:
        stream.send(1)
        stream.error("enough")

    @callable(streaming=True)
    async def never_end(self, stream: StreamingResponse) -> None:
        stream.send(1)

    @callable()
    async def shout(self, text: str, without: list[str] | None = None) -> None:
        self.broadcast(text, without or [])

    @callable()
    async def shout_bytes(self, values: list[int]) -> None:
        self.broadcast(bytes(values))

    @callable()
    async def shout_to(self, tag: str, text: str) -> None:
        for connection in self.get_connections(tag):
            connection.send(text)

    @callable()
    async def who(self) -> dict[str, Any]:
        connection = get_current_agent().connection
        assert connection is not None
        return {"id": connection.id, "tags": list(connection.tags), "uri": connection.uri}

    @callable()
    async def connections(self) -> list[str]:
        return [connection.id for connection in self.get_connections()]

    @callable()
    async def visit(self) -> int:
        connection = get_current_agent().connection
        assert connection is not None
        connection.set_state({"visits": (connection.state or {"visits": 0})["visits"] + 1})
        return connection.state["visits"]

    @callable()
    async def close_me(self, code: int, reason: str) -> None:
        connection = get_current_agent().connection
        assert connection is not None
        connection.close(code, reason)

    @callable()
    async def describe(self) -> dict[str, Any]:
        described = self.get_callable_methods()
        return {name: vars_of(described[name]) for name in ("add_numbers", "count_to")}

    @callable()
    async def ambient(self) -> list[Any]:
        current = get_current_agent()
        return [current.agent is self, current.connection and current.connection.id, current.request]

    # HTTP

    async def on_request(self, request: Request) -> Any:
        if request.path.endswith("/state"):
            if request.method == "PUT":
                self.set_state(await request.json())
            return self.state
        if request.path.endswith("/raise"):
            raise RuntimeError("kaboom: a secret of the server")
        if request.path.endswith("/next"):
            self.stream_step.set()
            return "on"
        if request.path.endswith("/stream"):
            return self.steps()
        return {
            "name": self.name,
            "method": request.method,
            "path": request.path,
            "query": urlsplit(request.url).query,
            "headers": dict(request.headers),
            "body": await request.json() if request.method == "POST" else None,
        }

    async def steps(self) -> AsyncIterator[str]:
        for text in ("one", "two", "three"):
            self.stream_step.clear()
            yield text
            await self.stream_step.wait()


def vars_of(metadata: Any) -> dict[str, Any]:
    return {"description": metadata.description, "streaming": bool(metadata.streaming)}


class Keeper(Agent):
    """Keeps any JSON value; has none at first."""

    @callable()
    async def ping(self) -> str:
        return "pong"


class NoState(Agent):
    """Overrides nothing."""


class AIAssistant(Agent):
    """Has a name of many capitals."""


class Nameless(Agent):
    """Does not say who it is."""

    initial_state = {"n": 0}
    options = {"send_identity_on_connect": False}

    @callable()
    async def ping(self) -> str:
        return "pong"


class Broken(Agent):
    """Fails when somebody connects."""

    async def on_connect(self, connection: Connection, ctx: Any) -> None:
        raise RuntimeError("conn boom: a secret of the server")


async def deny(request: Request, lobby: Any) -> Response | None:
    if query(request.url).get("token") == "deny":
        return Response("no", status=401)
    return None


class Mine:
    """Answers ``/mine`` with the counter of whoever asks: the server decides which agent that is."""

    name = "mine"

    def claims(self, request: Request) -> bool:
        return request.path == "/mine"

    async def serve(self, request: Request, fetch: Any) -> Response:
        counter = await get_agent_by_name(Counter, query(request.url)["user"])
        return await counter.fetch(request)

    @hookimpl
    def register_transports(self) -> list[Mine]:
        return [self]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The app around which the middleware stands: not found, for everything."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"not ours"})
    elif scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})


app = AgentsMiddleware(
    hello,
    agents=[Counter, Keeper, NoState, AIAssistant, Nameless, Broken, Parent, Timer, *CHATS],
    storage=os.environ.get("AGENTS_STORAGE"),
    cors=bool(os.environ.get("AGENTS_CORS")),
    on_before_connect=deny,
    on_before_request=deny,
    plugins=[Mine()],
)
