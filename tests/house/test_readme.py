"""The README's code runs as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from asgiref.testing import ApplicationCommunicator
from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project

from edgeagents import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, ScriptedModel, agent_runtime, call_tool, connect

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def post(app, path: str) -> dict:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
    }
    client = ApplicationCommunicator(app, scope)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    start = await client.receive_output(5)
    assert start["status"] == 200
    body = await client.receive_output(5)
    return json.loads(body["body"])


async def test_the_first_example_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code, *_) = blocks("python")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    app = names["app"]
    assert await post(app, "/bump/ann") == {"n": 2}
    assert await post(app, "/bump/ann") == {"n": 4}
    assert await post(app, "/bump/bob") == {"n": 2}
    assert len(list((tmp_path / "state").rglob("*.sqlite"))) >= 2


async def test_the_assistant_is_reminded_and_speaks_up():
    (_, code, *_) = blocks("python")
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    calls = call_tool("remind_me", seconds=60, text="stretch")
    vendor = ScriptedModel([calls, "I will.", "Time to stretch!"], name="openai")
    clock = ManualClock()
    async with agent_runtime(names["Assistant"], plugins=[vendor], clock=clock) as runtime:
        tab = await connect(runtime, "/agents/assistant/ann")
        message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Remind me to stretch."}]}
        body = json.dumps({"messages": [message], "trigger": "submit-message"})
        tab.send(json.dumps({"type": "cf_agent_use_chat_request", "id": "q", "init": {"method": "POST", "body": body}}))
        await clock.advance(59)
        assert texts(await history(runtime)) == [("user", "Remind me to stretch."), ("assistant", "I will.")]
        await clock.advance(2)
        assert texts(await history(runtime))[2:] == [("user", "stretch"), ("assistant", "Time to stretch!")]


async def test_the_python_worker_runs_as_it_is(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text(blocks("python")[2])
    config = {
        "name": "notes",
        "main": "src/entry.py",
        "compatibility_date": "2026-06-01",
        "kv_namespaces": [{"binding": "NOTES", "id": "notes"}],
        "d1_databases": [{"binding": "DB", "database_name": "notes", "database_id": "notes"}],
    }
    (tmp_path / "wrangler.json").write_text(json.dumps(config))
    kinds = ("kv_namespace", "d1", "plain_text")
    project = load_project(Options(directory=str(tmp_path)), {}, kinds)
    try:
        async with Runtime(project.worker, storage=None) as runtime:
            await runtime.env.DB.exec("CREATE TABLE notes (text); INSERT INTO notes VALUES ('one')")
            answer = await runtime.fetch(Request("/", method="POST", body="remember"))
            assert await answer.json() == {"n": 1}
            assert await runtime.env.NOTES.get("last") == "remember"
    finally:
        project.code.unload()


async def history(runtime):
    response = await runtime.route(Request("/agents/assistant/ann/get-messages"))
    return await response.json()


def texts(messages):
    return [(m["role"], "".join(p["text"] for p in m["parts"] if p["type"] == "text")) for m in messages]


def test_the_two_pasted_lines_are_one_line_each():
    for mark in ("run-command", "test-command"):
        (line,) = re.findall(rf"<!-- {mark} -->\n```bash\n(.*?)```", README, re.DOTALL)
        assert line.count("\n") == 1


def test_no_page_and_no_error_installs_from_an_index_what_is_on_none():
    root = Path(__file__).parents[2]
    pages = [
        path
        for folder in ("docs", "edgeagents", "emulator", "examples", "plugins")
        for path in root.glob(f"{folder}/**/*")
    ]
    told = [
        str(path.relative_to(root))
        for path in (root / "README.md", *pages)
        if path.suffix in (".md", ".py")
        and "node_modules" not in path.parts
        and re.search(r"pip install '?edgeagents-(?!r2\[)", path.read_text())
    ]
    assert told == []
