"""The commands of the README do what it says."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import Server

pytestmark = pytest.mark.server

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)


def run(command: str, server: Server) -> str:
    arguments = shlex.split(command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"))
    done = subprocess.run([*arguments, "--silent", "--noproxy", "*"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_command_answers(offline_emulator: Server) -> None:
    ask, rest, events, routed = [run(command, offline_emulator) for command in COMMANDS]

    assert "Write me a Cloudflare Worker" in ask
    assert ask.encode()[40:] == rest.encode()
    assert events.startswith("id: 11\n")
    assert routed == ask
