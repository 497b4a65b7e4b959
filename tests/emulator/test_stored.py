"""``edgeagents agent``, ``backup`` and ``restore``: their words, on folders that a server uses and that none does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main

from edgeagents import Agent, call_part
from edgeagents.testing import agent_runtime


class Notes(Agent):
    initial_state = {"text": ""}

    async def write(self, text: str) -> None:
        self.set_state({"text": text})

    async def read(self) -> str:
        return self.state["text"]


def serving(state: Path):
    return agent_runtime(Notes, storage=state, durability="full")


async def write(state: Path, name: str, text: str) -> None:
    async with serving(state) as runtime:
        await runtime.namespaces["Notes"].get_by_name(name).write(text)


async def read(state: Path, name: str) -> str:
    async with serving(state) as runtime:
        return await runtime.namespaces["Notes"].get_by_name(name).read()


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
async def state(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    await write(state, "ann", "ann's")
    await write(state, "bob", "bob's")
    return state


async def test_agents_are_listed(state):
    lines = run("agent", "list").splitlines()
    assert [line.split()[:2] for line in lines] == sorted(["Notes", name] for name in ("ann", "bob")) or len(lines) == 2
    found = [json.loads(line) for line in run("agent", "list", "Notes", "--json").splitlines()]
    assert sorted(agent["name"] for agent in found) == ["ann", "bob"]
    assert all(agent["bytes"] > 0 and agent["class"] == "Notes" for agent in found)
    nothing = run("agent", "list", "Others", status=1)
    assert nothing == f"Error: There is no class 'Others' in {state.name}. It has: Notes.\n"


async def test_a_class_or_an_agent_that_is_not_there_is_named(state):
    missing = run("agent", "export", "notes", "ann", "file", status=1)
    assert missing == f"Error: There is no class 'notes' in {state.name}. It has: Notes.\n"
    assert "There is no Notes named 'eve'" in run("agent", "export", "Notes", "eve", "file", status=1)


async def test_an_agent_is_forked_and_set_back(state):
    assert "has all that ann has" in run("agent", "fork", "Notes", "ann", "copy")
    assert await read(state, "copy") == "ann's"
    await write(state, "copy", "a mistake")
    nothing = "00000000-00000000-00000000-0000000000000000"
    assert "not kept" in run("agent", "rewind", "Notes", "copy", nothing, status=1)
    assert "bookmark" in run("agent", "rewind", "Notes", "ann", "yesterday", status=1)
    said = run("agent", "rewind", "Notes", "ann", nothing)
    assert await read(state, "ann") == ""
    undo = said.split("To undo that: edgeagents ")[1].split()
    run(*undo)
    assert await read(state, "ann") == "ann's"
    assert "already" in run("agent", "fork", "Notes", "ann", "bob", status=1)


async def test_an_agent_goes_through_a_file(state, tmp_path):
    run("agent", "export", "Notes", "ann", "ann.agent")
    assert "already" in run("agent", "import", "ann.agent", status=1)
    assert "agent rewind Notes ann 20" in run("agent", "import", "ann.agent", "--replace")
    assert "undo" not in run("agent", "import", "ann.agent", "--name", "dora", "--replace")
    run("agent", "import", "ann.agent", "--name", "carl")
    run("agent", "import", "ann.agent", "--state", "elsewhere")
    assert await read(state, "carl") == "ann's"
    assert await read(tmp_path / "elsewhere", "ann") == "ann's"


async def test_a_backup_is_made_and_restored(state, tmp_path):
    assert run("backup", "copy").startswith("2 agents")
    assert run("backup", "copy of ann", "Notes", "ann") == "1 agent is in copy of ann.\n"
    await write(state, "ann", "a mistake")
    assert "already" in run("restore", "copy", status=1)
    said = run("restore", "copy", "Notes", "ann", "--replace")
    assert await read(state, "ann") == "ann's"
    run(*said.split("To undo that: edgeagents ")[1].split())
    assert await read(state, "ann") == "a mistake"
    assert "undo that: edgeagents agent rewind CLASS NAME 20" in run("restore", "copy", "--replace")
    assert await read(state, "ann") == "ann's"
    run("restore", "copy of ann", "--state", "elsewhere")
    assert await read(tmp_path / "elsewhere", "ann") == "ann's"


async def test_a_backup_of_everything_has_what_bindings_keep(state, tmp_path):
    things = state / "kv" / "things.blob"
    things.parent.mkdir()
    things.write_bytes(b"kept")

    run("backup", "copy")
    run("backup", "copy of ann", "Notes", "ann")
    things.write_bytes(b"a mistake")
    run("restore", "copy", "Notes", "ann", "--replace")
    untouched = things.read_bytes()
    shutil.rmtree(state / "objects")
    assert "things.blob already" in run("restore", "copy", status=1)
    run("restore", "copy", "--replace")

    assert untouched == b"a mistake"
    assert things.read_bytes() == b"kept"
    assert not (tmp_path / "copy of ann" / "kv").exists()


async def test_what_needs_the_folder_for_itself_says_who_has_it(state):
    async with serving(state):
        for command in (["agent", "rewind", "Notes", "ann", "1h"], ["restore", "state", "--replace"]):
            assert "already uses the state folder" in run(*command, status=1)


async def test_the_folder_of_the_project_is_found(state, tmp_path, monkeypatch):
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "wrangler.jsonc").write_text("{}")
    await write(project / ".edgeagents" / "state", "dan", "dan's")
    monkeypatch.chdir(project / "src")
    assert run("agent", "list").split()[1] == "dan"
    monkeypatch.setenv("EDGEAGENTS_PERSIST_TO", str(state))
    assert len(run("agent", "list").splitlines()) == 2
    assert "not a state folder" in run("agent", "list", "--state", "nowhere", status=1)


async def test_an_agent_that_is_frozen_is_resumed(state):
    async with serving(state) as runtime:
        ann = runtime.namespaces["Notes"].get_by_name("ann")
        await call_part(ann, "spending", "freeze", "Closed for the night.")
        assert "already uses the state folder" in run("agent", "resume", "Notes", "ann", status=1)
    assert run("agent", "resume", "Notes", "ann") == "Notes ann goes on: Closed for the night.\n"
    assert run("agent", "resume", "Notes", "ann") == "Notes ann was not frozen.\n"
    async with serving(state) as runtime:
        assert await call_part(runtime.namespaces["Notes"].get_by_name("ann"), "spending", "why_frozen") is None
