"""Under which names a worker answers, by how it is reached."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from edgeagents_emulator.hosts import with_own_hosts
from edgeagents_emulator.options import Options

from edgeagents.http.origins import Hosts


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "reached"})


async def ask(host: str | None, *allowed: str, server: Any = ("127.0.0.1", 8787), kind: str = "http") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect" if kind == "websocket" else "http.disconnect"}

    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": kind, "method": "GET", "path": "/", "headers": headers, "server": server}
    if kind == "websocket":
        scope["extensions"] = {"websocket.http.response": {}}
    await asyncio.wait_for(with_own_hosts(app, Hosts(allowed))(scope, receive, send), 10)
    return sent


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8787", "a.localhost:8787", "127.0.0.1:8787", "[::1]:8787", "10.0.0.7:80", None]
)
async def test_names_of_this_machine_reach_the_worker(host: str | None):
    assert await ask(host) == [{"type": "reached"}]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "ü", "127.0.0.1@x"])
async def test_other_names_do_not(host: str, caplog: pytest.LogCaptureFixture):
    start, *_ = await ask(host)
    assert (start["type"], start["status"]) == ("http.response.start", 403)
    assert "--allow-host" in caplog.text


async def test_a_websocket_under_another_name_is_refused_before_it_is_one():
    start, *_ = await ask("evil.example", kind="websocket")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)


async def test_a_name_that_is_allowed_does():
    assert await ask("app.example:80", ".example") == [{"type": "reached"}]
    assert await ask("other.test", "*") == [{"type": "reached"}]


@pytest.mark.parametrize("server", [("192.168.1.7", 8787), ("/run/app.sock", None), None])
async def test_what_others_can_reach_anyway_answers_to_every_name(server: Any):
    assert await ask("app.example", server=server) == [{"type": "reached"}]


def test_names_are_read_from_the_environment(tmp_path: Any):
    process = {"EDGEAGENTS_ALLOWED_HOSTS": "a.example, .b.example,"}
    options = Options.from_environment(process, tmp_path)
    assert options.allowed_hosts == ("a.example", ".b.example")
    assert Options.from_json(options.to_json()) == options
