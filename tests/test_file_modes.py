"""Everything in the state folder is for its owner alone, whatever the umask says."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents import Agent, Identity, Tickets, get_agent_by_name
from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import connect, settle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")


class Child(Agent):
    async def note(self) -> None:
        self.set_state({"noted": True})


class Keeper(Agent):
    sub_agents = (Child,)

    async def note(self) -> None:
        self.set_state({"noted": True})
        await self.ctx.storage.put("key", "value" * 10_000)
        await self.schedule(3600, "note")
        child: Any = await self.sub_agent(Child, "one")
        await child.note()

    async def on_request(self, request: Request) -> str:
        return "come in"


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder.parent)): stat.S_IMODE(path.lstat().st_mode)
        for path in (folder, *sorted(folder.rglob("*")))
    }


def too_open(folder: Path) -> dict[str, str]:
    return {name: oct(mode) for name, mode in modes(folder).items() if mode & 0o077}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "there already"])
async def test_nobody_else_can_read_what_agents_keep(umask: int, is_there: bool, tmp_path: Path):
    state = tmp_path / "deep" / "state"
    tickets = Tickets("a secret of the tests that is long enough")
    for _ in range(1 + is_there):
        runtime = Runtime(agents=[Keeper], storage=state, discover_plugins=False, plugins=[tickets])
        async with runtime:
            with runtime.in_context():
                keeper: Any = await get_agent_by_name(Keeper, "a")
                await keeper.note()
            ticket = tickets.issue(Keeper, "a", Identity("ann"), once=True)
            await connect(runtime, f"/agents/keeper/a?ticket={ticket}")
            await settle()
            names = modes(state)
            assert too_open(state) == {}
        assert too_open(state) == {}
    assert any(name.endswith("-wal") for name in names)
    assert any(".facets/" in name for name in names)
    assert any(name.endswith("alarms.sqlite") for name in names)
