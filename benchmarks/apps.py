"""The two apps that are compared: a bare ASGI function, and agents behind the middleware around that function.

Both answer the same paths after their prefix:

* ``/hello``: a short text
* ``/json``: reads an order in JSON and answers with it and its total
* ``/insert``: adds a row to a database of its own, which is safe on disk before the answer leaves
* ``/events?n=``: so many Server-Sent Events, as fast as the client reads
* ``/download?bytes=``: so many bytes, made while they are sent
* ``/upload``: reads the body as it comes and says how long it was
* ``/silence?seconds=``: a token, silence, a token
* a WebSocket: echo; a text that begins with ``shout`` goes to all who are connected to the same agent
* a WebSocket of ``shared``: a change of the state goes to all others
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from edgeagents import Agent, AgentsMiddleware, Connection, Request, Response

HELLO = b"Hello, world!"
CHUNK = bytes(65536)
OPEN_FILES = 1_000
TEXT = [(b"content-type", b"text/plain;charset=UTF-8")]
JSON = [(b"content-type", b"application/json")]
STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
CREATE = "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
INSERT = "INSERT INTO notes (text) VALUES (?)"


def event(number: int) -> bytes:
    return b'id: %d\ndata: {"token":"word","n":%d}\n\n' % (number, number)


async def events(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield event(number)


async def zeros(size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield CHUNK[:size]
        size -= len(CHUNK)


async def silence(seconds: float) -> AsyncIterator[bytes]:
    yield event(0)
    await asyncio.sleep(seconds)
    yield event(1)


def total(order: dict[str, Any]) -> dict[str, Any]:
    return {**order, "total": sum(item["price"] for item in order["items"])}


# The bare app: the same with nothing but ASGI, json and sqlite3.

_databases: dict[str, sqlite3.Connection] = {}
_rooms: dict[str, set[Any]] = {}


async def bare(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Serve the paths with nothing but ASGI."""
    if scope["type"] == "websocket":
        await _talk(scope["path"], receive, send)
    elif scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await _answer(scope, receive, send)


async def _answer(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    path: str = scope["path"]
    options = dict(parse_qsl(scope["query_string"].decode()))
    match path.rpartition("/")[2]:
        case "json":
            order = json.loads(b"".join([chunk async for chunk in _body(receive)]))
            await _whole(send, json.dumps(total(order), separators=(",", ":")).encode(), JSON)
        case "insert":
            _insert(path)
            await _whole(send, b"ok")
        case "events":
            await _stream(send, STREAM, events(int(options["n"])))
        case "download":
            await _stream(send, TEXT, zeros(int(options["bytes"])))
        case "silence":
            await _stream(send, STREAM, silence(float(options["seconds"])))
        case "upload":
            await _whole(send, str(sum([len(chunk) async for chunk in _body(receive)])).encode())
        case _:
            await _whole(send, HELLO)


async def _body(receive: Any) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _insert(path: str) -> None:
    database = _databases.get(path)
    if database is None:
        if len(_databases) >= OPEN_FILES:
            # As the agents do: a process may not open files without end.
            _databases.pop(next(iter(_databases))).close()
        file = Path(os.environ["BENCH_STORAGE"]) / f"{path.replace('/', '-')}.sqlite"
        database = _databases[path] = sqlite3.connect(file, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(CREATE)
    database.execute(INSERT, ("a note",))


async def _whole(send: Any, body: bytes, headers: list[tuple[bytes, bytes]] = TEXT) -> None:
    fields = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def _stream(send: Any, headers: list[tuple[bytes, bytes]], body: AsyncIterator[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _talk(path: str, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    room = _rooms.setdefault(path, set())
    room.add(send)
    is_shared = path.startswith("/shared/")
    try:
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is None:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
            elif is_shared or text.startswith("shout"):
                for other in tuple(room):
                    if other is not send or not is_shared:
                        await other({"type": "websocket.send", "text": text})
            else:
                await send({"type": "websocket.send", "text": text})
    finally:
        room.discard(send)


# The same as agents.


class Bench(Agent):
    """Serves the same paths as an agent would."""

    has_table = False

    async def should_send_protocol_messages(self, connection: Connection, ctx: Any) -> bool:
        # The bare echo sends nothing on its own, so neither does this one. A sync handler would run in a thread.
        return False

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        if isinstance(message, str) and message.startswith("shout"):
            self.broadcast(message)
        else:
            connection.send(message)

    async def on_request(self, request: Request) -> Any:
        match request.path.rpartition("/")[2]:
            case "hello":
                return Response(HELLO, headers={"content-type": "text/plain;charset=UTF-8"})
            case "json":
                return total(await request.json())
            case "insert":
                if not self.has_table:
                    self.sql(CREATE)
                    self.has_table = True
                self.sql(INSERT, "a note")
                return "ok"
            case "upload":
                return str(sum([len(chunk) async for chunk in request.stream()]))
            case "download":
                return Response(zeros(int(request.query["bytes"])))
            case "events":
                return Response(events(int(request.query["n"])), headers={"content-type": "text/event-stream"})
            case "silence":
                body = silence(float(request.query["seconds"]))
                return Response(body, headers={"content-type": "text/event-stream"})
            case _:
                return Response("Not found", status=404)


class Shared(Agent):
    """Has a state that its clients change."""

    initial_state = {"n": 0}


# Without the plugins that happen to be installed: what they cost is theirs.
agents = AgentsMiddleware(bare, agents=[Bench, Shared], storage=os.environ.get("BENCH_STORAGE"), discover_plugins=False)
