"""The official MCP client counts with the example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from mcp import Client

from tests.examples import commands_of, run_command, serving_example
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "Cloudflare's example `mcp`", "same; without its page"),
]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Server]:
    with serving_example("mcp", tmp_path, plugins=["mcp"]) as server:
        yield server


async def test_a_tool_counts_and_a_resource_tells(emulator: Server) -> None:
    async with Client(f"{emulator.url}/mcp") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add"]
        result: Any = await client.call_tool("add", {"a": 4})
        assert result.content[0].text == "Added 4, total is now 5"
        resource: Any = await client.read_resource("mcp://resource/counter")
        assert resource.contents[0].text == "5"


async def test_it_counts_with_any_number(emulator: Server) -> None:
    async with Client(f"{emulator.url}/mcp") as client:
        (tool,) = (await client.list_tools()).tools
        assert tool.input_schema["properties"]["a"]["type"] == "number"
        told = [(await client.call_tool("add", {"a": a})).content[0].text for a in (0.5, 0.5, -3)]  # type: ignore[union-attr]
        assert told == ["Added 0.5, total is now 1.5", "Added 0.5, total is now 2", "Added -3, total is now -1"]


async def test_each_session_counts_for_itself(emulator: Server) -> None:
    async with Client(f"{emulator.url}/mcp") as one, Client(f"{emulator.url}/mcp") as two:
        await one.call_tool("add", {"a": 10})
        result: Any = await two.call_tool("add", {"a": 1})
        assert result.content[0].text == "Added 1, total is now 2"


def test_the_command_of_the_readme_begins_a_session(emulator: Server) -> None:
    (command,) = commands_of("mcp")
    answer = run_command(command, emulator)
    assert "mcp-session-id: " in answer.lower()
    assert '"serverInfo"' in answer


async def test_a_browser_sees_the_counter_of_a_session(emulator: Server) -> None:
    (command,) = commands_of("mcp")
    head = run_command(command, emulator).lower()
    session = head.split("mcp-session-id: ")[1].split()[0]
    url = f"{emulator.ws_url}/agents/my-m-c-p/streamable-http:{session}"
    async with websockets.connect(url, proxy=None) as socket:
        frames = [json.loads(await socket.recv()) for _ in range(2)]
    assert frames[1] == {"type": "cf_agent_state", "state": {"counter": 1}}
