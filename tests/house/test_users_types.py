"""Code as the documentation writes it passes a type checker that is set as most are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Page

HANDLERS = """
from typing import Any

from edgeagents import Agent, AIChatAgent, ChatOptions, Connection, Response


class Quiet(Agent[Any, dict[str, int]]):
    async def on_start(self) -> None:
        self.sql("create table if not exists t (a)")

    def on_request(self) -> Response:
        return Response("hello")

    async def on_connect(self, connection: Connection[Any]) -> None:
        connection.send("hello")

    def on_message(self, connection: Connection[Any]) -> None:
        connection.send("heard")

    async def on_close(self, connection: Connection[Any]) -> None:
        self.broadcast("bye", [connection.id])

    async def on_error(self, error: Exception) -> None:
        print(error)

    def on_state_changed(self, state: dict[str, int]) -> None:
        print(state)

    def get_connection_tags(self, connection: Connection[Any]) -> list[str]:
        return ["all"]


class Careful(Quiet):
    async def on_start(self) -> None:
        await super().on_start()


class Short(AIChatAgent):
    async def on_chat_message(self) -> str:
        return "hi"


class Long(AIChatAgent):
    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> str:
        return "hi"

    def on_chat_response(self) -> None:
        print("answered")
"""


def faults(folder: Path) -> list[str]:
    """Return what pyright has to say about the files in ``folder``."""
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "standard", "pythonVersion": "3.12", "extraPaths": [str(ROOT)]})
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", "-p", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return [f"{each['message']} ({each.get('rule')})" for each in found if each["severity"] == "error"]


def test_handlers_may_leave_out_trailing_parameters(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(HANDLERS)
    assert faults(tmp_path) == []


@pytest.mark.parametrize("page", ["README.md", "docs/agents.md"])
def test_the_code_of_a_page_passes(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(Page(page).blocks("python")):
        # A block may go on with names of those before it: what is asked here is how agents are written.
        (tmp_path / f"block_{number}.py").write_text(block)
    others = ("reportUndefinedVariable", "reportMissingImports", "reportMissingModuleSource")
    assert [fault for fault in faults(tmp_path) if not fault.endswith(tuple(f"({rule})" for rule in others))] == []
