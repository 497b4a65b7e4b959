"""The requests of the README, against the emulator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import commands_of, http_client, run_command, serving_example
from tests.servers import Server

pytestmark = pytest.mark.server

NAME = "python-worker-hello"
PLUGINS = ("kv", "d1", "r2")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_example(NAME, tmp_path, plugins=PLUGINS) as server:
        yield server


def answers(output: str) -> list[dict[str, object]]:
    return [json.loads("{" + part) for part in output.split("{") if part.strip()]


def test_the_readme_says_what_happens(server: Server) -> None:
    visits, greeting, files = (run_command(command, server) for command in commands_of(NAME))
    assert answers(visits) == [{"greeting": "Good day, Ann!", "visits": number} for number in (1, 2)]
    assert answers(greeting) == [{"greeting": "Hi, Ann!", "visits": 3}]
    assert files.endswith("some notes")


async def test_what_was_kept_is_there_after_a_kill(server: Server) -> None:
    async with http_client(server) as http:
        await http.put("/files/a", content=b"kept")
        await http.get("/hello/Bo")
    server.kill()
    server.start()
    async with http_client(server) as http:
        assert (await http.get("/files/a")).content == b"kept"
        assert (await http.get("/hello/Bo")).json()["visits"] == 2


async def test_what_is_not_there_is_not_found(server: Server) -> None:
    async with http_client(server) as http:
        assert [(await http.get(path)).status_code for path in ("/", "/files/none")] == [404, 404]
