"""What ``edgeagents dev`` takes on its command line, beside what ``test_dev`` shows."""

from __future__ import annotations

import os
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_emulator.local_certificate import local_certificate

from tests.emulator.test_dev import dev, taken_port
from tests.servers import Server, until

MakeProject = Callable[..., Path]

NAMING = """
from edgeagents import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"{request.url} {self.env.GREETING}")
"""


def tried(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> Result:
    """Run the command as far as the port, which is taken."""
    monkeypatch.chdir(folder)
    with taken_port() as listener:
        return CliRunner().invoke(main, ["dev", "--port", str(listener.getsockname()[1]), *arguments])


@pytest.mark.parametrize(
    "flag", ["--no-bundle", "--latest", "--minify", "--show-interactive-dev-session", "--test-scheduled", "--local"]
)
def test_flags_that_nobody_misses_are_taken_in_silence(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    lines = tried(monkeypatch, project(), flag).output.splitlines()
    assert len(lines) == 1
    assert "is taken" in lines[0]


@pytest.mark.parametrize(
    "flag", ["--inspector-port=9230", "--route=a.com/*", "--host=a.com", "--define=A:1", "--live-reload", "--types"]
)
def test_flags_that_somebody_may_count_on_are_taken_and_told(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    told, taken = tried(monkeypatch, project(), flag).output.splitlines()
    assert told.startswith(f"{flag.partition('=')[0]} changes nothing here: ")
    assert "is taken" in taken


def test_a_date_that_is_none_is_told(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tried(monkeypatch, project(), "--compatibility-date", "2026-13-01")
    assert result.exit_code == 2
    assert "'2026-13-01' is no date such as 2026-01-31." in result.output


def test_a_certificate_that_is_of_no_use_is_told_before_anything_listens(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tried(monkeypatch, project(), "--https-cert-path", "nope.pem", "--https-key-path", "key.pem")
    assert result.exit_code == 1
    assert result.output.startswith("Error: The certificate nope.pem with the key key.pem is of no use: ")
    result = tried(monkeypatch, project(), "--https-cert-path", "nope.pem")
    assert "--https-cert-path and --https-key-path belong together." in result.output


@pytest.mark.server
def test_keys_of_the_command_line_stand_in_place_of_the_configurations(project: MakeProject, tmp_path: Path) -> None:
    folder = project(NAMING, durable_objects=None, migrations=None, compatibility_date=None)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("of the site")
    given = ("--name", "other", "--compatibility-date", "2026-02-02", "--assets", "site", "--cwd", str(folder))
    with dev(tmp_path, *given) as running:
        # --cwd comes before all other paths, wherever it stands.
        assert running.process.wait(20) == 1
        assert "site" in running.log
    (tmp_path / "site").rename(folder / "site")
    with dev(tmp_path, *given) as running:
        assert running.get("/a.txt") == (200, "of the site")
        assert running.get("/b.txt")[1].endswith("/b.txt hi")
        assert "edgeagents 0.1.0: other from src/entry.py" in running.log
        assert "compatibility_date" not in running.log


@pytest.mark.server
def test_it_speaks_https_with_a_certificate_of_its_own(project: MakeProject) -> None:
    folder = project(NAMING, durable_objects=None, migrations=None, dev={"local_protocol": "https"})
    with dev(folder) as running:
        until(lambda: "Listening on https://localhost:" in running.log, "the address")
        port = running.log.partition("https://localhost:")[2].split()[0]
        trusting = ssl.create_default_context(cafile=str(folder / ".edgeagents" / "https" / "certificate.pem"))
        with urlopen(f"https://localhost:{port}/here", timeout=20, context=trusting) as answer:
            assert answer.read().decode() == f"https://localhost:{port}/here hi"


def test_a_certificate_is_kept_while_it_is_valid_and_its_key_is_nobody_elses(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    certificate, key = local_certificate(tmp_path, now)
    first = Path(certificate).read_bytes()
    assert stat.S_IMODE(Path(key).stat().st_mode) == 0o600
    local_certificate(tmp_path, now + timedelta(days=300))
    assert Path(certificate).read_bytes() == first
    local_certificate(tmp_path, now + timedelta(days=360))
    assert Path(certificate).read_bytes() != first


STOPPING = """
from edgeagents import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        answer = "not yet"
        breakpoint()
        return Response(answer)
"""


@pytest.mark.server
def test_breakpoint_stops_in_pdb_and_control_c_still_ends_it(project: MakeProject, tmp_path: Path) -> None:
    (probe := Server("unused")).close()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from edgeagents_emulator.command import run; run()", "dev", "--port", "0"],
            cwd=project(STOPPING, durable_objects=None, migrations=None),
            env=probe.env,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        until(lambda: "State is kept" in log.read_text(), "the banner")
        port = log.read_text().partition("http://localhost:")[2].split()[0]
        process.stdin.write(b"answer = 'by hand'\nc\n")
        process.stdin.flush()
        with urlopen(f"http://localhost:{port}/", timeout=20) as answer:
            assert answer.read() == b"by hand"
        # As a terminal does, to all of them. pdb would take it for a wish to stop again.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(8) == 0
        assert "Program interrupted" not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdin.close()
