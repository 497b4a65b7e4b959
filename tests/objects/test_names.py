"""Names are data: whatever an agent or a sub-agent is called, it has a database of its own and none elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeagents import Agent, get_agent_by_name
from edgeagents.agents import get_sub_agent_by_name
from edgeagents.errors import AgentError
from edgeagents.objects.backend import FolderStorage
from edgeagents.objects.ids import id_from_name
from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime

NAMES = [
    "a",
    "A",
    "..",
    ".",
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows",
    "C:\\con",
    "nul",
    "con.sqlite",
    "a/b",
    "a\\b",
    "%2e%2e%2f",
    "a\nb",
    "a\r\nset-cookie: x",
    "'; drop table t; --",
    '"quoted"',
    "$(id)",
    "`id`",
    "é",
    "e\u0301",  # Looks the same and is another name.
    "\u202eevil",
    "\ufeff",
    " ",
    " a",
    "a ",
    "😀",
    "ß",
    "SS",
    "ı",
    "-rf",
    "~root",
    "*",
    "a" * 2_048,
    "x.facets",
    "alarms.sqlite",
]
ONLY_FOR_STUBS = ["\0", "a\0b", "\ud800", "a\udfffb"]
"""No URL has these."""

_OURS = re.compile(
    r"objects/\w+/[0-9a-f]{64}(\.facets/[0-9a-f]{64})*"
    r"(\.sqlite(-wal|-shm)?|\.history/(times|restore\.sqlite|[0-9a-f-]+\.(base|log)))"
)


class Child(Agent):
    async def keep(self, value: str) -> str | None:
        before = await self.ctx.storage.get("value")
        await self.ctx.storage.put("value", value)
        return before


class Keeper(Child):
    sub_agents = (Child,)


def strays(state: Path) -> list[str]:
    """Return the files of objects that have another form than ours have."""
    files = [path.relative_to(state).as_posix() for path in (state / "objects").rglob("*") if path.is_file()]
    return [file for file in files if not _OURS.fullmatch(file)]


def listing(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_every_name_has_a_database_of_its_own_and_none_elsewhere(tmp_path: Path):
    state = tmp_path / "outer" / "state"
    names = [*NAMES, *ONLY_FOR_STUBS]
    for expected in (None, "kept"):
        runtime = Runtime(agents=[Keeper], storage=state, discover_plugins=False, durability="memory")
        async with runtime:
            with runtime.in_context():
                for name in names:
                    keeper: Any = await get_agent_by_name(Keeper, name)
                    before = await keeper.keep(f"of {name!r}")
                    assert before == (expected and f"of {name!r}")
    assert len([name for name in listing(state / "objects" / "Keeper") if name.endswith(".sqlite")]) == len(names)
    assert strays(state) == []
    assert listing(tmp_path) == ["outer"]
    assert listing(tmp_path / "outer") == ["state"]


async def test_every_name_of_a_sub_agent_too(tmp_path: Path):
    state = tmp_path / "outer" / "state"
    for expected in (None, "kept"):
        runtime = Runtime(agents=[Keeper], storage=state, discover_plugins=False, durability="memory")
        async with runtime:
            with runtime.in_context():
                parent = await get_agent_by_name(Keeper, "parent")
                for name in NAMES:
                    child: Any = await get_sub_agent_by_name(parent, Child, name)
                    before = await child.keep(f"of {name!r}")
                    assert before == (expected and f"of {name!r}")
    assert strays(state) == []
    assert listing(tmp_path / "outer") == ["state"]


@given(st.text(), st.lists(st.text(), max_size=3), st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str, facets: list[str], namespace: str):
    storage = FolderStorage(tmp_path)
    path = storage.path(namespace or "x", id_from_name(namespace, name), tuple(facets))
    assert path.resolve().is_relative_to(tmp_path.resolve() / "objects")
    assert ".." not in path.parts


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_names_are_two_objects(one: str, other: str):
    assert (id_from_name("Keeper", one) == id_from_name("Keeper", other)) is (one == other)


@pytest.mark.parametrize("name", ["a" * 2_049, "é" * 1_025])
async def test_a_name_that_is_too_long_is_refused(name: str):
    async with agent_runtime(Keeper) as runtime:
        with runtime.in_context():
            with pytest.raises(ValueError, match="2048 bytes"):
                await get_agent_by_name(Keeper, name)
            child: Any = await get_sub_agent_by_name(await get_agent_by_name(Keeper, "parent"), Child, name)
            with pytest.raises(AgentError, match="2048 bytes"):
                await child.keep("x")


@pytest.mark.parametrize("name", ONLY_FOR_STUBS)
async def test_a_name_that_no_sub_agent_can_have_is_refused(name: str):
    async with agent_runtime(Keeper) as runtime:
        with runtime.in_context():
            parent = await get_agent_by_name(Keeper, "parent")
            with pytest.raises(AgentError, match=r"null character|valid Unicode"):
                await get_sub_agent_by_name(parent, Child, name)
