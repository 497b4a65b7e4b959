"""``python -m benchmarks [--quick] [--server hypercorn,uvicorn,granian] [--only hello,echo] [--output FILE]``"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from benchmarks import measures
from benchmarks.measures import FULL, QUICK, Row, Scale, Variant
from tests.servers import SERVERS, Server, serving

RESULTS = Path(__file__).with_name("RESULTS.md")
QUIET: dict[str, Sequence[str]] = {
    "hypercorn": ["--log-level", "warning"],
    "uvicorn": ["--log-level", "warning", "--no-access-log"],
    "granian": ["--log-level", "warning", "--no-access-log"],
}

Measure = Callable[[Iterable[Variant], Scale], Awaitable[list[Row]]]

# What is measured, under which heading, and whether the way through the middleware to the bare app belongs to it.
MEASURES: dict[str, tuple[str, Measure, bool]] = {
    "hello": ("HTTP hello", measures.hello, True),
    "echo": ("WebSocket echo", measures.echo, True),
    "events": ("Server-Sent Events", measures.events, True),
    "crowd": (f"{measures.STREAMS} streams at once", measures.crowd, False),
    "bodies": ("Large streamed bodies", measures.large_bodies, False),
    "slow": ("Stalled readers", measures.slow_reader, False),
    "silence": ("Silence in a stream", measures.silence, False),
}


def table(rows: Sequence[Row]) -> str:
    """Return ``rows`` as a Markdown table. The first column is text, the others are figures."""
    columns = list(rows[0])
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    packages = ("edgeagents", *SERVERS, "apsw", "werkzeug")
    rows = [
        ("CPU", cpu),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
    ]
    rows += [(name, version(name)) for name in packages if _is_installed(name)]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except ImportError:
        return False
    return True


def variants(stack: ExitStack, server: str, storage: Path) -> list[Variant]:
    """Start the two apps on ``server`` and return the three ways to an answer."""

    def start(app: str) -> Server:
        running = serving(
            f"benchmarks.apps:{app}", server=server, options=QUIET[server], env={"BENCH_STORAGE": str(storage)}
        )
        return stack.enter_context(running)

    bare, agents = start("bare"), start("agents")
    return [
        Variant("bare ASGI app", bare, ""),
        Variant("same app behind the middleware", agents, ""),
        Variant("agent", agents, "/agents/bench/one"),
    ]


async def run(server: str, names: Sequence[str], scale: Scale) -> str:
    parts = [f"## {server}"]
    with ExitStack() as stack:
        storage = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ways = variants(stack, server, storage)
        for name in names:
            heading, measure, through = MEASURES[name]
            print(f"{server}: {heading} ...", file=sys.stderr, flush=True)
            rows = await measure([way for way in ways if through or "behind" not in way.label], scale)
            explanation = (measure.__doc__ or "").strip()
            parts += [f"### {heading} ({server})", explanation, table(rows)]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute in all, to see that it works; figures are rough")
    parser.add_argument("--server", default=",".join(SERVERS), help="which servers, with commas (default: all three)")
    parser.add_argument(
        "--only", default=",".join(MEASURES), help=f"which measures, with commas: {', '.join(MEASURES)}"
    )
    parser.add_argument("--output", type=Path, default=None, help="where the report goes besides standard output")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    report = [
        "# Figures",
        "Made by `python -m benchmarks`" + (" --quick" if options.quick else "") + "; `README.md` says what they mean.",
        machine(),
        f"{scale.rounds} interleaved runs of {scale.seconds:g} s each, {scale.connections} connections; medians.",
    ]
    report += [asyncio.run(run(server, options.only.split(","), scale)) for server in options.server.split(",")]
    text = "\n\n".join(report) + "\n"
    print(text)
    output = options.output or (None if options.quick else RESULTS)
    if output is not None:
        output.write_text(text)


if __name__ == "__main__":
    main()
