"""The page in a real browser: a server is added, a tool run, a question answered, the agent authorized in a popup."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import play
from tests.servers import Server

from .servers import asking

pytestmark = [pytest.mark.node, pytest.mark.server]


async def test_a_user_does_all_that_the_page_offers(emulator: Server, counter: Server, guarded: str) -> None:
    script = Path(__file__).parent / "page.mjs"
    async with asking() as booking:
        seen = await play(script, emulator.url, f"{counter.url}/mcp", booking, guarded)

    *seen, servers = seen
    assert seen == ["mcp://resource/counter", "a tool was run", "a question was answered", "the agent was authorized"]
    assert servers.count("Remove") == 3
    assert "nobody: failed" in servers
    assert "guarded" not in servers
