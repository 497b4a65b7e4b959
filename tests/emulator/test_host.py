"""The emulator behind a real server: ``hypercorn edgeagents.emulator:app`` in a project's folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from asgiref.testing import ApplicationCommunicator
from edgeagents_emulator.host import BootFailed, EmulatorApp
from edgeagents_emulator.options import Options
from websockets.sync.client import connect

from edgeagents import History
from tests.servers import ROOT, Server, serving, until

MakeProject = Callable[..., Path]
APP = "edgeagents.emulator:app"


def get(server: Server, path: str = "/", **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(server.url + path, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def run_to_its_end(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    server = Server(APP, cwd=folder, env=env)
    done = subprocess.run(
        [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{server.port}", *arguments, APP],
        cwd=folder,
        env=server.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=30,
    )
    server.close()
    return done.returncode, done.stdout.decode()


@pytest.mark.server
def test_a_project_is_served_with_its_environment_and_a_line_a_request(project: MakeProject) -> None:
    folder = project()
    with serving(APP, cwd=folder) as server:
        assert get(server) == (200, "hello")
        assert get(server, "/secret?x=1") == (200, "hi sesame")
        until(lambda: "GET /secret 200 OK (" in server.log, "the request's line")
        log = server.log
    assert "counting from src/entry.py" in log
    assert "Using secrets defined in .dev.vars" in log
    assert re.search(r"env\.Counter \(Counter\) +Durable Object +local", log)
    assert 'env.KEY ("(hidden)")' in log
    assert "sesame" not in log
    assert "State is kept in .edgeagents/state" in log


LOGGING_WORKER = """
import logging
from edgeagents import WorkerEntrypoint

logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        log.info("asked for %s", request.path)
        return "hello"
"""


@pytest.mark.server
def test_a_worker_that_logs_has_its_own_lines_and_the_emulators_once(project: MakeProject) -> None:
    folder = project(LOGGING_WORKER, durable_objects=None, migrations=None)
    with serving(APP, cwd=folder) as server:
        get(server, "/once")
        get(server, "/end")
        until(lambda: "GET /end 200 OK (" in server.log, "the last line")
        log = server.log
    assert log.count("GET /once") == 1
    assert "INFO:entry:asked for /once" in log


@pytest.mark.server
def test_a_request_line_hides_what_is_secret(project: MakeProject) -> None:
    with serving(APP, cwd=project()) as server:
        get(server, "/a/sesame/b")
        until(lambda: "GET /a/[hidden]/b 200 OK (" in server.log, "the request's line")
        assert "sesame" not in server.log


@pytest.mark.server
def test_state_is_kept_beside_the_config_across_a_kill(project: MakeProject) -> None:
    folder = project()
    with serving(APP, cwd=folder) as server:
        assert json.loads(get(server, "/count")[1])["n"] == 1
        server.kill()
        server.start()
        assert json.loads(get(server, "/count")[1])["n"] == 2
    assert list((folder / ".edgeagents" / "state").rglob("*.sqlite"))


@pytest.mark.server
def test_another_folder_can_be_named_by_environment_variables(project: MakeProject, tmp_path: Path) -> None:
    folder = project(env={"staging": {"vars": {"GREETING": "staged"}}})
    (folder / ".dev.vars.staging").write_text("KEY=k")
    env = {
        "EDGEAGENTS_CONFIG": str(folder / "wrangler.jsonc"),
        "EDGEAGENTS_PERSIST_TO": "kept",
        "CLOUDFLARE_ENV": "staging",
    }
    with serving(APP, cwd=tmp_path, env=env) as server:
        assert get(server, "/secret") == (200, "staged k")
    assert (tmp_path / "kept").is_dir()


@pytest.mark.server
def test_agents_alone_answer_on_their_paths_and_nothing_else(project: MakeProject) -> None:
    worker = "from edgeagents import Agent\nclass Counter(Agent):\n    def on_request(self, request): return 'agent'\n"
    with serving(APP, cwd=project(worker)) as server:
        assert get(server)[0] == 404
        assert get(server, "/agents/counter/a") == (200, "agent")


@pytest.mark.server
def test_a_failing_worker_tells_the_log_and_not_the_client(project: MakeProject) -> None:
    with serving(APP, cwd=project()) as server:
        assert get(server, "/fail") == (500, "Internal Server Error")
        status, page = get(server, "/fail", Accept="text/html")
        assert (status, "<!doctype html>" in page, "42" in page) == (500, True, False)
        until(lambda: "500 Internal Server Error (" in server.log, "the request's line")
        failure = server.log.partition("[error] ")[2]
    lines = failure.splitlines()
    assert lines[0] == "GET /fail failed: ValueError: the secret is 42"
    assert lines[1] == "Traceback (most recent call last):"
    assert "src/entry.py" in lines[2]


@pytest.mark.server
def test_sockets_reach_an_agent(project: MakeProject) -> None:
    with serving(APP, cwd=project()) as server, connect(f"{server.ws_url}/ws", proxy=None) as client:
        client.send("hi")
        until(lambda: client.recv(timeout=5) == "one: hi", "the agent's answer")
        until(lambda: "GET /ws 101 Switching Protocols (" in server.log, "the handshake's line")


@pytest.mark.server
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_broken_config_ends_the_server_with_its_faults_and_no_traceback(project: MakeProject, workers: str) -> None:
    status, output = run_to_its_end(project(name="Not A Name", main="src/nope.py"), "-w", workers)
    # Hypercorn up to 0.18 forgets how its only worker process ended, and calls it a success.
    assert status == (1 if workers == "0" else 0)
    assert "wrangler.jsonc has 2 errors:" in output
    assert "Traceback" not in output


@pytest.mark.server
def test_a_worker_that_raises_on_import_is_shown_from_its_own_file(project: MakeProject) -> None:
    status, output = run_to_its_end(project("def inner():\n    raise KeyError('x')\ninner()\n"), "-w", "0")
    assert status != 0
    assert "The worker cannot be imported." in output
    first_frame = output.partition("Traceback (most recent call last):\n")[2].splitlines()[0]
    assert "src/entry.py" in first_frame
    assert "importlib" not in output


@pytest.mark.server
def test_two_emulators_on_one_state_folder_have_the_same_agents(project: MakeProject) -> None:
    folder = project()
    with serving(APP, cwd=folder) as one, serving(APP, cwd=folder) as other:
        counts = [json.loads(get(server, "/count")[1])["n"] for server in (one, other, one)]
    assert counts == [1, 2, 3]


def test_importing_the_door_has_no_effects(project: MakeProject) -> None:
    folder = project(main="src/nope.py")
    # The root alone is on the path, as in a checkout that nobody installed.
    code = "import sys; sys.path.insert(0, sys.argv[1]); import edgeagents.emulator; print(edgeagents.emulator.app)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)],
        cwd=folder,
        env={"PATH": ""},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert b"EmulatorApp" in done.stdout
    assert not (folder / ".edgeagents").exists()


# Without a server


async def ask(app: Any, path: str = "/") -> tuple[int, bytes]:
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost")], "scheme": "http", "http_version": "1.1", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "asgi": {"version": "3.0"},
    }  # fmt: skip
    communicator = ApplicationCommunicator(app, scope)
    await communicator.send_input({"type": "http.request"})
    start = await communicator.receive_output(5)
    body = b""
    while True:
        message = await communicator.receive_output(5)
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await communicator.wait()
    return start["status"], body


async def lifespan(app: Any) -> ApplicationCommunicator:
    communicator = ApplicationCommunicator(app, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await communicator.send_input({"type": "lifespan.startup"})
    return communicator


async def test_lifespan_starts_and_stops_the_project(project: MakeProject) -> None:
    before = sys.modules.get("entry")
    app = EmulatorApp(Options(directory=str(project())))
    communicator = await lifespan(app)
    assert await communicator.receive_output(10) == {"type": "lifespan.startup.complete"}
    assert await ask(app) == (200, b"hello")
    await communicator.send_input({"type": "lifespan.shutdown"})
    assert await communicator.receive_output(10) == {"type": "lifespan.shutdown.complete"}
    await communicator.wait()
    assert sys.modules.get("entry") is before


async def test_a_project_that_cannot_start_fails_the_lifespan(project: MakeProject) -> None:
    communicator = await lifespan(EmulatorApp(Options(directory=str(project(main=None)))))
    message = await communicator.receive_output(10)
    assert message == {"type": "lifespan.startup.failed", "message": "wrangler.jsonc has 1 error:"}


async def test_limits_are_given_in_the_environment(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    monkeypatch.setenv("EDGEAGENTS_LIMITS", "json_depth=7, sql_rows = none")
    app = EmulatorApp()
    assert await ask(app) == (200, b"hello")
    assert app._session is not None
    limits = app._session.runtime.limits
    assert (limits.json_depth, limits.sql_rows) == (7, None)
    await app.stop()


@pytest.mark.parametrize(("days", "kept"), [("7", History(days=7)), ("0", None), (None, History())])
async def test_how_long_the_past_is_kept_is_given(project: MakeProject, days: str | None, kept: History | None) -> None:
    app = EmulatorApp(Options(directory=str(project()), history=days))
    await app._ready()
    assert app._session is not None
    assert app._session.runtime.history == kept
    await app.stop()


async def test_a_history_of_no_number_of_days_fails_the_start(project: MakeProject) -> None:
    with pytest.raises(BootFailed, match="number of days"):
        await EmulatorApp(Options(directory=str(project()), history="long"))._ready()


async def test_a_limit_that_there_is_not_fails_the_start(project: MakeProject) -> None:
    options = Options(directory=str(project()), limits={"frame_bites": "1"})
    communicator = await lifespan(EmulatorApp(options))
    message = await communicator.receive_output(10)
    assert message["type"] == "lifespan.startup.failed"
    assert message["message"].startswith("There is no limit 'frame_bites'.")


async def test_a_session_that_reloads_answers_with_what_is_wrong(project: MakeProject) -> None:
    app = EmulatorApp(Options(directory=str(project(main=None)), serves_when_broken=True))
    communicator = await lifespan(app)
    assert (await communicator.receive_output(10))["type"] == "lifespan.startup.complete"
    status, body = await ask(app)
    assert status == 500
    assert b"The worker could not be started" in body
    assert b"main: is required" in body


async def test_without_lifespan_the_first_request_starts_it(project: MakeProject) -> None:
    app = EmulatorApp(Options(directory=str(project())))
    assert await ask(app) == (200, b"hello")
    await app.stop()
