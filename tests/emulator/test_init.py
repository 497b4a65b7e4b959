"""``edgeagents init``: what it makes runs at once."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.new_project import TEMPLATES, make_project
from edgeagents_emulator.options import Options

from edgeagents.testing import ManualClock
from tests.asgi.client import Exchange, http_scope, websocket_scope
from tests.emulator.test_dev import dev
from wrangler_compat.config import read_config


async def ask(app: EmulatorApp, path: str) -> tuple[int, str]:
    exchange = Exchange(app, http_scope(path, server=("worker.example", 80)))
    await exchange.send()
    status, _ = await exchange.start()
    return status, (await exchange.rest()).decode()


def made(folder: Path, template: str, name: str = "my-app") -> EmulatorApp:
    make_project(template, folder, name)
    return EmulatorApp(Options(directory=str(folder)))


async def test_hello_says_hello(tmp_path: Path) -> None:
    app = made(tmp_path, "hello")
    assert await ask(app, "/") == (200, "Hello from my-app!")
    await app.stop()


async def test_durable_objects_count_each_by_itself(tmp_path: Path) -> None:
    app = made(tmp_path, "durable-object")
    assert [await ask(app, path) for path in ("/", "/visits", "/likes")] == [
        (200, "visits: 1"),
        (200, "visits: 2"),
        (200, "likes: 1"),
    ]
    await app.stop()


async def test_the_agent_remembers_what_it_is_to_remind_of(tmp_path: Path) -> None:
    make_project("agent", tmp_path, "my-app")
    clock = ManualClock()
    app = EmulatorApp(Options(directory=str(tmp_path)), clock=clock)
    socket = Exchange(app, websocket_scope("/agents/timer/mine", server=("worker.example", 80)))
    await socket.put({"type": "websocket.connect"})
    call = {"type": "rpc", "id": "1", "method": "remind", "args": [30, "tea"]}
    await socket.put({"type": "websocket.receive", "text": json.dumps(call)})
    while "in 30 s: tea" not in str(await socket.message()):
        pass
    assert json.loads((await ask(app, "/agents/timer/mine"))[1]) == {"done": [], "waiting": 1}
    await app.stop()
    await clock.advance(31)
    app = EmulatorApp(Options(directory=str(tmp_path)), clock=clock)
    async with asyncio.timeout(10):
        while json.loads((await ask(app, "/agents/timer/mine"))[1]) != {"done": ["tea"], "waiting": 0}:
            await clock.advance(1)
    assert (await ask(app, "/"))[0] == 404
    await app.stop()


async def test_the_chat_has_a_page_and_answers_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    app = made(tmp_path, "chat")
    status, page = await ask(app, "/")
    assert (status, "<title>my-app</title>" in page) == (200, True)
    socket = Exchange(app, websocket_scope("/agents/assistant/default", server=("worker.example", 80)))
    await socket.put({"type": "websocket.connect"})
    # The frame that the page sends.
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    frame = {
        "type": "cf_agent_use_chat_request",
        "id": "r1",
        "init": {"method": "POST", "body": json.dumps({"messages": [message]})},
    }
    await socket.put({"type": "websocket.receive", "text": json.dumps(frame)})
    kinds: list[str] = []
    while "finish" not in kinds:
        told = await socket.message()
        answer = json.loads(told.get("text") or "{}")
        if answer.get("type") == "cf_agent_use_chat_response" and answer.get("body"):
            kinds.append(json.loads(answer["body"])["type"])
    assert "text-start" in kinds
    assert "text-delta" in kinds
    await app.stop()


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_configuration_of_each_is_whole(tmp_path: Path, template: str) -> None:
    make_project(template, tmp_path, "my-app", date(2026, 5, 4))
    config = read_config(tmp_path / "wrangler.jsonc")
    assert list(config.diagnostics) == []
    assert (config.name, config.values["compatibility_date"]) == ("my-app", "2026-05-04")
    left = [path for path in tmp_path.rglob("*") if path.is_file() and "{{" in path.read_text()]
    assert left == []
    assert (tmp_path / ".gitignore").is_file()
    assert (tmp_path / "README.md").read_text().startswith("# my-app\n")


@pytest.mark.server
def test_the_command_makes_a_project_that_the_next_one_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "agent", "My App"])
    assert result.exit_code == 0, result.output
    assert "Run it: cd My App; edgeagents dev" in result.output
    with dev(tmp_path / "My App") as running:
        assert running.get("/agents/timer/mine") == (200, '{"done":[],"waiting":0}')
        talk = tmp_path / "My App" / "talk.py"
        talk.write_text(re.sub(r"localhost:\d+", running.address, talk.read_text()))
        path = os.pathsep.join(part for part in sys.path if part)
        done = subprocess.run(
            [sys.executable, talk], capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": path}
        )
        assert (done.stdout, done.stderr) == ("in 1 s: tea is ready\n", "")
        assert "my-app from src/entry.py" in running.log


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "mine"')
    result = CliRunner().invoke(main, ["init", "hello", str(tmp_path)])
    assert result.exit_code == 1
    assert "has wrangler.toml already, and nothing is written over" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["wrangler.toml"]


def test_a_folder_that_is_not_empty_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("")
    result = CliRunner().invoke(main, ["init"])
    assert result.exit_code == 2
    assert "This folder is not empty. Say where to: edgeagents init hello FOLDER, or . for here." in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]
    assert CliRunner().invoke(main, ["init", "hello", ".", "--name", "w"]).exit_code == 0
    assert (tmp_path / "wrangler.jsonc").is_file()


def test_an_empty_folder_need_not_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    result = CliRunner().invoke(main, ["init", "--name", "w"])
    assert result.exit_code == 0, result.output
    assert "Run it: edgeagents dev" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nope"], "'nope' is not one of"), (["hello", "--name", "No Name"], "'No Name' is no name of a worker")],
    ids=["template", "name"],
)
def test_what_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", *arguments])
    assert result.exit_code != 0
    assert message in result.output
    assert list(tmp_path.iterdir()) == []
