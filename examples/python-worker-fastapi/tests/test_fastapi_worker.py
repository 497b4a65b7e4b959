"""The requests of the README, against the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import commands_of, http_client, run_command, serving_example
from tests.servers import Server

pytestmark = pytest.mark.server

NAME = "python-worker-fastapi"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving_example(NAME, tmp_path, plugins=("kv",)) as server:
        yield server


def test_the_readme_says_what_happens(server: Server) -> None:
    shop, items, prices = (run_command(command, server) for command in commands_of(NAME))
    assert shop == '{"shop":"The corner shop"}'
    tea = '{"name":"tea","price":2.5}'
    assert items.startswith(tea)
    assert items.endswith(tea)
    assert "greater_than" in items
    assert prices == "tea: 2.50\n"


async def test_faults_are_told_with_their_status(server: Server) -> None:
    async with http_client(server) as http:
        missing = await http.get("/items/7")
        assert (missing.status_code, missing.json()) == (404, {"detail": "There is no item 7."})
        assert (await http.put("/items/7", json={"name": "air", "price": -1})).status_code == 422
        assert (await http.post("/")).status_code == 405
