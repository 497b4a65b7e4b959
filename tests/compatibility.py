"""COMPATIBILITY.md, made from the tests: each row that claims something is a mark on a test that shows it.

    pytestmark = pytest.mark.cloudflare("Agents", "state of an agent and its frames", "same")

    @pytest.mark.cloudflare("Agents", "a handler that raises", "different: 500 without a stack, unless `debug`")
    async def test_...

``python -m tests.compatibility`` writes the page. What is not there yet stands in ``NOT_YET``, with how it says so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["NOT_YET", "PAGE", "Claim", "claims", "render"]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "COMPATIBILITY.md"
MARK = "cloudflare"

AREAS = (
    "Durable Objects",
    "Agents",
    "Background work",
    "Sub-agents",
    "Chat",
    "Models",
    "Workflows",
    "MCP",
    "Email",
    "Observability",
    "Workers",
)

HEAD = """\
# Compatibility with Cloudflare

Three answers only: **same**, **different** (how, and why where it is not plain), **not yet**. What is not listed and
does not raise an error is meant to be the same; please report it when it is not. The last column names the tests.

This page is made from marks on the tests: `python -m tests.compatibility`.
"""


class Claim(NamedTuple):
    """One row: what, and whether it is as on Cloudflare. ``test`` is the file that shows it."""

    area: str
    what: str
    answer: str
    test: str


NOT_YET = (
    ("Durable Objects", "`ctx.container`", ""),
    (
        "Workflows",
        "`concurrency` and `schedules` of a workflow; rollbacks; a step that returns a stream",
        "the first two warn",
    ),
    (
        "Agents",
        "`@cloudflare/think`, `@cloudflare/voice`, `@cloudflare/codemode`, `@cloudflare/shell`, `@cloudflare/sandbox`, "
        "`@cloudflare/worker-bundler`; of `agents`: `browser`, `chat-sdk`, `sessions`, `context`, `tasks`, `skills`, "
        "`harness`, `codemode`, `websearch`, `webfetch`, `voice`, `x402`, `experimental`",
        "`examples/PORTING.md` says which of Cloudflare's examples need them",
    ),
    ("Sub-agents", "`agentTool`, `runAgentTool`", "`examples/agents-as-tools` does it with `sub_agent`"),
    ("Models", "`createWorkersAI`; `toModelOutput` of a tool", "`env.AI.run`, or another provider's model"),
    ("MCP", "a server that asks the user in several rounds, with its state in `requestState`", ""),
    ("MCP", "`@cloudflare/workers-oauth-provider`", "a request is let in by the hook `authorise`"),
    ("MCP", "servers over RPC: `addMcpServer` with a binding, `rpc:` sessions; x402", ""),
    (
        "Workers",
        "Python: `Intl.Collator`, `Segmenter`, `DurationFormat`, `supportedValuesOf`, calendars, `dayPeriod`; buffers "
        "that can be resized",
        "an error names it",
    ),
    ("Workers", "bindings that no row names, such as Stream and Pipelines", "an error names the binding"),
)


def claims() -> Iterator[Claim]:
    """Yield what the marks of all tests say. Raises ``ValueError`` for a mark that is no claim."""
    folders = ("tests", "plugins", "examples")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("test_*.py") if "node_modules" not in path.parts
    ]
    for path in sorted(files):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == MARK:
                yield _claim(node, name)


def _claim(node: ast.Call, test: str) -> Claim:
    try:
        area, what, answer = (ast.literal_eval(argument) for argument in node.args)
    except ValueError as error:
        raise ValueError(f"{test}:{node.lineno}: a mark has three texts: an area, what, and the answer.") from error
    if area not in AREAS:
        raise ValueError(f"{test}:{node.lineno}: {area!r} is no area of the page.")
    if answer.partition(":")[0].partition(";")[0] not in ("same", "different"):
        raise ValueError(f"{test}:{node.lineno}: the answer is 'same' or 'different: how', not {answer!r}.")
    if answer == "different":
        raise ValueError(f"{test}:{node.lineno}: say how {what!r} is different.")
    return Claim(area, what, answer, test)


def render() -> str:
    """Return the page."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for claim in claims():
        tests = rows.setdefault((claim.area, claim.what, claim.answer), [])
        if claim.test not in tests:
            tests.append(claim.test)
    parts = [HEAD]
    for area in AREAS:
        lines = [
            f"| {what} | {answer} | {', '.join(f'`{test}`' for test in tests)} |"
            for (there, what, answer), tests in rows.items()
            if there == area
        ]
        lines += [
            f"| {what} | not yet{f': {note}' if note else ''} | |" for there, what, note in NOT_YET if there == area
        ]
        if lines:
            parts.append(
                "\n".join([f"## {area}\n", "| what | answer | tests |", "|---|---|---|", *sorted(lines)]) + "\n"
            )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render())
