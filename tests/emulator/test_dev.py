"""``edgeagents dev``: the command as a person runs it, with files that change under it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import ROOT, Server, until

MakeProject = Callable[..., Path]


class Dev:
    def __init__(self, folder: Path, *arguments: str) -> None:
        probe = Server("unused")
        env = probe.env
        probe.close()
        self._output = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from edgeagents_emulator.command import run; run()", "dev", *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        return Path(self._output.name).read_text()

    @property
    def address(self) -> str:
        found = until(lambda: re.search(r"Listening on http://localhost:(\d+)", self.log), "the address")
        assert isinstance(found, re.Match)
        return f"127.0.0.1:{found[1]}"

    def get(self, path: str = "/") -> tuple[int, str]:
        try:
            # The socket listens before the worker is there: this waits and is not refused.
            with urlopen(f"http://{self.address}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self._output.close()


@contextmanager
def dev(folder: Path, *arguments: str) -> Iterator[Dev]:
    running = Dev(folder, "--port", "0", *arguments)
    try:
        yield running
    finally:
        running.close()


@pytest.mark.server
def test_a_change_reloads_and_the_state_stays(project: MakeProject) -> None:
    folder = project()
    entry = folder / "src" / "entry.py"
    with dev(folder) as running:
        assert '"n":1' in running.get("/count")[1].replace(" ", "")
        with connect(f"ws://{running.address}/ws", proxy=None) as client:
            entry.write_text(entry.read_text().replace('"one"', '"two"'))
            with pytest.raises(ConnectionClosed) as closed:
                until(lambda: client.recv(timeout=20) is None, "the close")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012

        def new_count() -> object:
            answer = running.get("/count")[1]
            return '"two"' in answer and answer

        count = until(new_count, "the new code")
        assert '"n":2' in str(count).replace(" ", "")
        assert "Reloading the local server: entry.py changed" in running.log


@pytest.mark.server
def test_a_worker_that_breaks_says_so_until_it_is_mended(project: MakeProject) -> None:
    folder = project()
    entry = folder / "src" / "entry.py"
    whole = entry.read_text()
    with dev(folder) as running:
        assert running.get() == (200, "hello")
        entry.write_text("def broken(:\n")
        answer = until(lambda: (told := running.get())[0] == 500 and told[1], "the fault to be told")
        assert "SyntaxError" in str(answer)
        entry.write_text(whole)
        until(lambda: running.get() == (200, "hello"), "the worker to be mended")


FAILING = """
from edgeagents import WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/end":
            raise SystemExit(3)
        raise ValueError(f"the key is {self.env.KEY}")
"""


@pytest.mark.server
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a process's children")
def test_control_c_in_the_first_moment_ends_it_without_a_traceback(project: MakeProject) -> None:
    with dev(project()) as running:
        assert running.address
        for pid in children(running.process.pid):
            os.kill(int(pid), signal.SIGINT)
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.log


@pytest.mark.server
def test_a_request_that_failed_is_told_why_and_nothing_secret(project: MakeProject) -> None:
    with dev(project(FAILING, durable_objects=None, migrations=None)) as running:
        assert running.get("/end")[1].startswith("SystemExit: 3\n")
        # One that ends the program has ended itself alone.
        status, told = running.get("/fail")
        assert status == 500
        assert told.startswith("ValueError: the key is [hidden]\nTraceback")
        assert "entry.py" in told


@pytest.mark.parametrize("flag", ["--test-scheduled", "--local", "-l"])
def test_flags_of_wranglers_that_change_nothing_here_are_taken(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.chdir(project())
    with taken_port() as listener:
        result = CliRunner().invoke(main, ["dev", flag, "--port", str(listener.getsockname()[1])])
    assert "is taken" in result.output


def test_nothing_runs_elsewhere(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    result = CliRunner().invoke(main, ["dev", "--remote"])
    assert result.exit_code == 2
    assert "Everything runs on this machine" in result.output


@pytest.mark.server
def test_a_changed_variable_reloads_too(project: MakeProject) -> None:
    folder = project()
    with dev(folder) as running:
        assert running.get("/secret") == (200, "hi sesame")
        (folder / ".dev.vars").write_text("KEY=open")
        until(lambda: running.get("/secret") == (200, "hi open"), "the new secret")


@pytest.mark.server
def test_options_of_the_command_line_arrive(project: MakeProject, tmp_path: Path) -> None:
    project()
    arguments = ("--config", "project/wrangler.jsonc", "--var", "GREETING:hey:you", "--persist-to", "kept")
    with dev(tmp_path, *arguments) as running:
        assert running.get("/secret") == (200, "hey:you sesame")
        assert (tmp_path / "kept").is_dir()


@pytest.mark.server
def test_a_project_that_cannot_start_ends_the_command(project: MakeProject) -> None:
    with dev(project(main="src/nope.py")) as running:
        assert running.process.wait(20) == 1
        assert "main: src/nope.py does not exist" in running.log
        assert "Traceback" not in running.log


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to_with_a_socket_open(project: MakeProject, number: int) -> None:
    with dev(project()) as running, connect(f"ws://{running.address}/ws", proxy=None) as client:
        client.send("hi")
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.log


@pytest.mark.server
def test_the_serving_process_ends_with_the_one_that_started_it(project: MakeProject) -> None:
    folder = project()
    with dev(folder) as running:
        assert running.get() == (200, "hello")
        address = running.address
        running.process.kill()
        running.process.wait(20)

        def is_gone() -> bool:
            host, _, port = address.partition(":")
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                return True
            return False

        until(is_gone, "the serving process to end")


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def two_children(pid: int) -> list[str]:
    until(lambda: len(children(pid)) == 2, "the process that serves and the next one")
    return children(pid)


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.server
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a process's children")
def test_the_next_process_waits_while_one_serves_and_none_is_left_behind(project: MakeProject) -> None:
    folder = project()
    entry = folder / "src" / "entry.py"
    with dev(folder) as running:
        assert running.get() == (200, "hello")
        first, second = two_children(running.process.pid)
        entry.write_text(entry.read_text().replace('"hello"', '"hello again"'))
        until(lambda: running.get() == (200, "hello again"), "the new code")
        now = two_children(running.process.pid)
        assert first not in now
        assert second in now
        running.process.kill()
        running.process.wait(20)
        until(lambda: not any(map(is_running, now)), "both to end")


@pytest.mark.server
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a process's children")
def test_a_process_that_is_killed_is_told_of_and_has_a_successor(project: MakeProject) -> None:
    with dev(project()) as running:
        assert running.get() == (200, "hello")
        first, _ = two_children(running.process.pid)
        os.kill(int(first), signal.SIGKILL)
        until(lambda: "The process that serves was killed by SIGKILL. A new one begins" in running.log, "its end")
        assert running.get() == (200, "hello")
        assert running.process.poll() is None


@pytest.mark.server
def test_no_connection_is_refused_or_hung_up_on_while_it_reloads(project: MakeProject) -> None:
    folder = project()
    entry = folder / "src" / "entry.py"
    with dev(folder) as running:
        assert running.get("/count")[0] == 200

        def has_reloaded(word: str) -> bool:
            # Each in a connection of its own, of which some are made while the old process ends.
            status, answer = running.get("/count")
            assert status == 200
            return f'"{word}"' in answer

        for before, word in (("one", "two"), ("two", "three"), ("three", "four")):
            entry.write_text(entry.read_text().replace(f'"{before}"', f'"{word}"'))
            until(lambda: has_reloaded(word), "the new code")  # noqa: B023


def taken_port() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def test_an_explicit_port_that_is_taken_is_told(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    with taken_port() as listener:
        port = listener.getsockname()[1]
        result = CliRunner().invoke(main, ["dev", "--port", str(port)])
    assert result.exit_code == 1
    assert result.output == f"Error: Port {port} is taken. Choose another with --port.\n"


def test_an_address_that_is_not_this_machines_is_told(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    # Of a network for documentation: nobody has it.
    result = CliRunner().invoke(main, ["dev", "--ip", "192.0.2.1"])
    assert result.exit_code == 1
    assert "Cannot listen on port 8787 of '192.0.2.1': Cannot assign requested address" in result.output


def test_a_folder_without_a_project_is_told_and_nothing_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["dev"])
    assert result.exit_code == 1
    assert "There is no wrangler.json, wrangler.jsonc or wrangler.toml" in result.output
    assert "Listening" not in result.output


@pytest.mark.server
def test_the_banner_names_the_crons_and_how_to_run_them_now(project: MakeProject) -> None:
    with dev(project(triggers={"crons": ["*/5 * * * *"]})) as running:
        until(lambda: "State is kept" in running.log, "the banner")
        assert "scheduled() runs by the clock, in UTC: */5 * * * *" in running.log


@pytest.mark.parametrize("var", ["KEY", ":value"])
def test_a_variable_without_a_value_is_told(project: MakeProject, monkeypatch: pytest.MonkeyPatch, var: str) -> None:
    monkeypatch.chdir(project())
    result = CliRunner().invoke(main, ["dev", "--var", var])
    assert result.exit_code == 2
    assert "is not of the form KEY:VALUE" in result.output


def test_the_root_of_the_checkout_is_no_project() -> None:
    assert not any((ROOT / name).exists() for name in ("wrangler.json", "wrangler.jsonc", "wrangler.toml"))


BUSY = """
import asyncio, threading
from edgeagents import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/wait":
            print("waits", flush=True)
            await asyncio.Event().wait()
        if request.path == "/block":
            print("blocks", flush=True)
            threading.Event().wait()
        return Response("one")
"""


@contextmanager
def asked(running: Dev, path: str, says: str) -> Iterator[None]:
    """Have a request open that is not answered."""
    host, _, port = running.address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        until(lambda: says in running.log, "the worker to be asked")
        yield


@pytest.mark.server
def test_a_worker_that_keeps_the_event_loop_does_not_keep_its_successor_waiting(project: MakeProject) -> None:
    folder = project(BUSY, durable_objects=None, migrations=None)
    with dev(folder) as running, asked(running, "/block", "blocks"):
        (folder / "src" / "entry.py").write_text(BUSY.replace('"one"', '"two"'))
        until(lambda: "kept the event loop for itself and was ended" in running.log, "its end", seconds=8)
        assert running.get() == (200, "two")


@pytest.mark.server
def test_a_second_control_c_ends_it_at_once(project: MakeProject) -> None:
    with dev(project(BUSY, durable_objects=None, migrations=None)) as running, asked(running, "/wait", "waits"):
        running.process.send_signal(signal.SIGINT)
        until(lambda: "Shutting down" in running.log, "the first one to be taken")
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(1.5) == 0


@pytest.mark.server
def test_the_bindings_are_shown_again_only_when_they_are_others(project: MakeProject) -> None:
    folder = project()
    entry = folder / "src" / "entry.py"
    with dev(folder) as running:
        assert running.get() == (200, "hello")
        entry.write_text(entry.read_text().replace('"hello"', '"hello again"'))
        until(lambda: "Local server updated and ready" in running.log, "the new code")
        assert running.log.count("env.GREETING") == 1
        (folder / ".dev.vars").write_text("KEY=open\nMORE=yes")
        until(lambda: "env.MORE" in running.log, "the new variable")
        assert running.log.count("env.GREETING") == 2
