"""Time and chance are handed in: what an agent runs on asks no clock and throws no dice of its own."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.servers import ROOT

ROOMS = ("objects", "agents", "models")
ASKED = {
    "time": {"time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns"},
    "asyncio": {"sleep", "wait_for", "timeout", "timeout_at"},
    "random": {"random", "randrange", "randint", "choice", "choices", "shuffle", "uniform", "getrandbits", "randbytes"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "os": {"urandom"},
    "secrets": {"token_hex", "token_bytes", "token_urlsafe", "choice", "randbelow"},
}
# The clock itself; the client, which lives in other programs; and secrets, which nobody must be able to replay.
EXEMPT = {"objects/clock.py", "agents/client.py", "agents/tickets.py"}


def calls(path: Path) -> list[str]:
    return [
        f"{node.func.value.id}.{node.func.attr}() in line {node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.attr in ASKED.get(node.func.value.id, ())
        and not _gives_way(node)
    ]


def _gives_way(node: ast.Call) -> bool:
    """Whether this is ``asyncio.sleep(0)``, which waits for no time."""
    return [ast.dump(argument) for argument in node.args] == [ast.dump(ast.Constant(0))]


def test_nothing_under_an_agent_asks_the_time_or_chance_by_itself() -> None:
    package = ROOT / "edgeagents"
    files = [path for room in ROOMS for path in sorted((package / room).rglob("*.py"))]
    found = {path.relative_to(package).as_posix(): calls(path) for path in files}
    assert len(files) > 80
    assert {name: there for name, there in found.items() if there and name not in EXEMPT} == {}


def test_a_clock_that_is_asked_would_be_seen() -> None:
    assert calls(ROOT / "edgeagents/objects/clock.py")
