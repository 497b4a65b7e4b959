"""``edgeagents workflows`` on a session that runs: instances are created and changed by it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main

from tests.servers import Server, until

pytestmark = pytest.mark.server

WORKER = """
from edgeagents_workflows import WorkflowEntrypoint

class Orders(WorkflowEntrypoint):
    async def run(self, event, step):
        async def begin():
            return event.payload
        first = await step.do("begin", begin)
        approval = await step.wait_for_event("approval", type="approval", timeout="1 hour")
        return [first, approval.payload]
"""
CONFIG = {
    "name": "shop",
    "main": "entry.py",
    "compatibility_date": "2026-01-01",
    "workflows": [{"binding": "ORDERS", "name": "orders", "class_name": "Orders"}],
}
Run = Callable[..., str]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "entry.py").write_text(WORKER)
    (folder / "wrangler.json").write_text(json.dumps(CONFIG))
    server = Server("edgeagents.emulator:app", cwd=folder)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def workflows(session: Server, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(session.cwd)

    def run(*arguments: str) -> str:
        changes = arguments[0] in ("trigger", "delete") or arguments[1] not in ("list", "describe")
        port = ("--port", str(session.port), "--local") if changes else ()
        result = CliRunner().invoke(main, ["workflows", *arguments, *port])
        return result.output if result.exit_code == 0 else f"failed: {result.output}"

    return run


def stands(workflows: Run, instance: str, status: str) -> dict[str, Any]:
    """Return what is told of an instance that is ``running`` and waits for its event, or else stands so."""

    def about() -> object:
        told = json.loads(workflows("instances", "describe", "orders", instance, "--json"))
        waits = any(step["step"] == "approval-1" for step in told["steps"])
        return told["status"] == status and (waits or status != "running") and told

    found = until(about, f"the instance to be {status}")
    assert isinstance(found, dict)
    return found


def test_an_instance_is_created_and_told_of_an_event(workflows: Run) -> None:
    assert workflows("trigger", "orders", '{"n": 1}', "--id", "one") == "The instance one of orders was created.\n"
    stands(workflows, "one", "running")
    told = workflows("instances", "send-event", "ORDERS", "latest", "--type", "approval", "--payload", '"yes"')
    assert told == "The event approval was sent to the instance one of ORDERS.\n"
    assert stands(workflows, "one", "complete")["output"] == [{"n": 1}, "yes"]


def test_an_instance_is_paused_resumed_restarted_and_ended(workflows: Run) -> None:
    workflows("trigger", "orders", "--id", "two")
    stands(workflows, "two", "running")
    assert workflows("instances", "pause", "orders", "two") == "The instance two of orders was paused.\n"
    stands(workflows, "two", "paused")
    workflows("instances", "resume", "orders", "two")
    stands(workflows, "two", "running")
    workflows("instances", "terminate", "orders", "two")
    stands(workflows, "two", "terminated")
    workflows("instances", "restart", "orders", "two")
    stands(workflows, "two", "running")


def test_all_instances_are_forgotten(workflows: Run) -> None:
    workflows("trigger", "orders", "--id", "three")
    told = workflows("delete", "orders")
    assert told.endswith(" of orders removed.\n")
    assert json.loads(workflows("instances", "list", "orders", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trigger", "orders", "{"], "PARAMS is no JSON"),
        (["trigger", "orders", "--id", "-"], "Workflow instance has invalid id"),
        (["instances", "pause", "orders", "nobody"], "The workflow 'orders' has no instance 'nobody'."),
    ],
)
def test_what_cannot_be_is_told(workflows: Run, arguments: list[str], message: str) -> None:
    told = workflows(*arguments)
    assert told.startswith("failed: Error: ")
    assert message in told


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "workflows/orders/instances", None, 405),
        ("POST", "workflows/nope/instances", {}, 404),
        ("POST", "workflows/orders/instances", [], 400),
        ("PATCH", "workflows/orders/instances/nobody/status", {"action": "pause"}, 404),
        ("DELETE", "elsewhere", None, 404),
    ],
)
def test_what_is_asked_for_in_vain_is_told_as_cloudflare_does(
    session: Server, method: str, path: str, body: object, status: int
) -> None:
    # Where wrangler 4.80 asks.
    url = f"{session.url}/cdn-cgi/explorer/api/{path}"
    data = None if body is None else json.dumps(body).encode()
    with pytest.raises(HTTPError) as caught:
        urlopen(Request(url, data=data, method=method, headers={"content-type": "application/json"}), timeout=10)
    with caught.value as answer:
        told = json.loads(answer.read())
    assert (answer.code, told["success"], told["errors"][0]["code"]) == (status, False, status)


def test_without_a_session_there_is_nobody_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrangler.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        result = CliRunner().invoke(main, ["workflows", "trigger", "orders", "--port", str(port)])
    assert result.exit_code == 1
    assert f"No session answers on port {port}" in result.output
