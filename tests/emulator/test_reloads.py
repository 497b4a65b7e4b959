"""Many reloads, with a WebSocket open, alarms set and schedules running: nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.log import LineFormatter
from edgeagents_emulator.options import Options
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from edgeagents.testing import ManualClock
from tests.asgi.client import Exchange, http_scope, websocket_scope
from tests.emulator.test_dev import dev
from tests.servers import until

MakeProject = Callable[..., Path]
ROUNDS = 200
PROCESSES = int(os.environ.get("EDGEAGENTS_TEST_RELOADS", "6"))
"""How often a real server is replaced; each takes a second or two."""

CONFIG: dict[str, Any] = {
    "durable_objects": {
        "bindings": [{"name": "Counter", "class_name": "Counter"}, {"name": "Bell", "class_name": "Bell"}]
    },
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter", "Bell"]}],
}
WORKER = """
from edgeagents import Agent, DurableObject, WorkerEntrypoint, route_agent_request
import helper

VERSION = 0


class Counter(Agent):
    initial_state = {"ticks": 0}

    async def on_start(self):
        self.sql("CREATE TABLE IF NOT EXISTS done (round INTEGER, what TEXT)")
        await self.schedule_every(60, "tick")

    async def tick(self):
        self.set_state({"ticks": self.state["ticks"] + 1})

    async def later(self, number):
        self.note(number, "later")

    def note(self, number, what):
        self.sql("INSERT INTO done VALUES (?, ?)", number, what)

    async def on_message(self, connection, message):
        self.note(int(message), "message")
        await self.schedule(90, "later", int(message))
        connection.send(f"version {VERSION} {helper.VERSION} took {message}")

    async def on_request(self, request):
        rows = self.sql("SELECT round, what FROM done ORDER BY what, round")
        return {"ticks": self.state["ticks"], "done": [[row["what"], row["round"]] for row in rows]}


class Bell(DurableObject):
    async def fetch(self, request):
        if await self.ctx.storage.get_alarm() is None:
            await self.ctx.storage.set_alarm(self.ctx.clock.now().timestamp() * 1000 + 60_000)
        return await self.ctx.storage.get("rung") or 0

    async def alarm(self, info=None):
        await self.ctx.storage.put("rung", (await self.ctx.storage.get("rung") or 0) + 1)
        await self.ctx.storage.set_alarm(self.ctx.clock.now().timestamp() * 1000 + 60_000)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/bell":
            return str(await (await self.env.Bell.get_by_name("b").fetch(request)).json())
        return await route_agent_request(request, self.env)
"""


def write_version(folder: Path, number: int) -> None:
    entry, helper = folder / "src" / "entry.py", folder / "src" / "helper.py"
    entry.write_text(WORKER.replace("VERSION = 0", f"VERSION = {number}"))
    helper.write_text(f"VERSION = {number}\n")
    for file in (entry, helper):
        # Python takes a file of the same size and second for the one that it has compiled.
        os.utime(file, (1_800_000_000 + number, 1_800_000_000 + number))


async def body(app: EmulatorApp, path: str) -> str:
    exchange = Exchange(app, http_scope(path, server=("worker.example", 80)))
    await exchange.send()
    status, _ = await exchange.start()
    text = (await exchange.rest()).decode()
    assert status == 200, text
    return text


async def opened(app: EmulatorApp) -> Exchange:
    socket = Exchange(app, websocket_scope("/agents/counter/a", server=("worker.example", 80)))
    await socket.put({"type": "websocket.connect"})
    assert (await socket.message())["type"] == "websocket.accept"
    return socket


async def told(socket: Exchange, begins: str) -> str:
    """Return the next message that begins so."""
    while True:
        message = await socket.message()
        if message["type"] == "websocket.send" and message.get("text", "").startswith(begins):
            return message["text"]


async def has_ticked(socket: Exchange, ticks: int) -> None:
    """Return when the agent's client is told of so many ticks."""
    while json.loads(await told(socket, '{"type":"cf_agent_state"'))["state"]["ticks"] != ticks:
        pass


async def gives(app: EmulatorApp, path: str, is_it: Callable[[Any], bool]) -> Any:
    """Ask until the answer is the one that is waited for; return it."""
    async with asyncio.timeout(10):
        while not is_it(answer := json.loads(await body(app, path))):
            pass
    return answer


async def test_two_hundred_reloads_lose_no_message_no_alarm_and_no_schedule(project: MakeProject) -> None:
    clock = ManualClock()
    folder = project(WORKER, **CONFIG)
    for number in range(ROUNDS):
        write_version(folder, number)
        app = EmulatorApp(Options(directory=str(folder)), clock=clock)
        socket = await opened(app)
        await told(socket, '{"type":"cf_agent_identity"')
        # What fell due while nobody was there is done first.
        await clock.advance(1)
        await has_ticked(socket, 2 * number)
        await gives(app, "/bell", lambda rung: rung == 2 * number)  # noqa: B023
        await socket.put({"type": "websocket.receive", "text": str(number)})
        assert await told(socket, "version") == f"version {number} {number} took {number}"
        await clock.advance(61)
        await has_ticked(socket, 2 * number + 1)
        await gives(app, "/bell", lambda rung: rung == 2 * number + 1)  # noqa: B023
        await app.stop()
        while (message := await socket.message())["type"] != "websocket.close":
            assert message["type"] == "websocket.send"
        assert message["code"] == 1012
        await clock.advance(61)
    app = EmulatorApp(Options(directory=str(folder)), clock=clock)
    await body(app, "/agents/counter/a")
    await clock.advance(1)
    await gives(app, "/agents/counter/a", lambda found: found["ticks"] == 2 * ROUNDS)
    found = await gives(app, "/agents/counter/a", lambda found: ["later", ROUNDS - 1] in found["done"])
    await app.stop()
    assert found["done"] == [[what, number] for what in ("later", "message") for number in range(ROUNDS)]


FAILING = """
from edgeagents import Agent, WorkerEntrypoint, route_agent_request


class Counter(Agent):
    async def on_message(self, connection, message):
        if message == "schedule":
            await self.schedule(1, "break_down")
            connection.send("set")
        else:
            raise ValueError("in a message")

    async def break_down(self):
        import helper
        helper.break_down()

    def on_request(self, request):
        raise ValueError("in a thread")


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/fail":
            return helper_of_nobody()
        return await route_agent_request(request, self.env)
"""


async def test_tracebacks_begin_in_the_worker_s_own_file_wherever_it_failed(
    project: MakeProject, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    folder = project(FAILING)
    (folder / "src" / "helper.py").write_text("def break_down():\n    raise ValueError('in a helper')\n")
    app = EmulatorApp(Options(directory=str(folder)), clock=clock)
    socket = await opened(app)
    for path in ("/fail", "/agents/counter/a"):
        await (exchange := Exchange(app, http_scope(path, server=("worker.example", 80)))).send()
        assert (await exchange.start())[0] == 500
    await socket.put({"type": "websocket.receive", "text": "schedule"})
    await told(socket, "set")
    await socket.put({"type": "websocket.receive", "text": "fail"})

    def first_files() -> set[tuple[str, str]]:
        shown = [LineFormatter(has_colour=False).format(record) for record in caplog.records if record.exc_info]
        # Below an error may stand in which agent it was.
        return {
            (re.findall(r"^\w+Error: .*", text, re.M)[-1], re.findall("^  File .*", text, re.M)[0]) for text in shown
        }

    async with asyncio.timeout(10):
        while not any("in a helper" in error for error, _ in first_files()):
            await clock.advance(10)
    await app.stop()
    files = {error: line.split('"')[1] for error, line in first_files()}
    assert set(files) == {
        "NameError: name 'helper_of_nobody' is not defined",
        "ValueError: in a thread",
        "ValueError: in a message",
        "ValueError: in a helper",
    }
    assert set(files.values()) == {str(folder / "src" / "entry.py")}


class Client:
    """A client that comes back, as ours and the official ones do, and sends again what was not answered."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._open = ExitStack()
        self._socket: ClientConnection | None = None

    def ask(self, number: int) -> str | None:
        """Send ``number`` and return the answer to it; None when the socket broke before."""
        try:
            if self._socket is None:
                opening = connect(f"ws://{self._address}/agents/counter/a", proxy=None, open_timeout=20)
                self._socket = self._open.enter_context(opening)
            self._socket.send(str(number))
            while True:
                message = self._socket.recv(timeout=20)
                if isinstance(message, str) and message.startswith("version") and message.endswith(f"took {number}"):
                    return message
        except (ConnectionClosed, OSError, InvalidHandshake):
            self.close()
            return None

    def close(self) -> None:
        self._open.close()
        self._socket = None


@pytest.mark.server
def test_a_server_that_is_replaced_again_and_again_loses_nothing(project: MakeProject) -> None:
    folder = project(WORKER, **CONFIG)
    write_version(folder, 0)
    with dev(folder) as running:
        client = Client(running.address)
        for number in range(PROCESSES):
            write_version(folder, number)
            # The old one may still answer: what it took is kept as well.
            until(lambda: (client.ask(number) or "").startswith(f"version {number} {number} "), "the new code")  # noqa: B023
        client.close()
        done = json.loads(running.get("/agents/counter/a")[1])["done"]
        assert sorted({number for what, number in done if what == "message"}) == list(range(PROCESSES))
        assert "Traceback" not in running.log
