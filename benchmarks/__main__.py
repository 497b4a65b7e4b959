"""``python -m benchmarks [--quick] [--server hypercorn,uvicorn,granian] [--only hello,echo,sql] [--output FILE]``"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.inside.measures import INSIDE
from benchmarks.measures import MEASURES
from benchmarks.report import Row, machine, section
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.variants import has_typescript, options, typescript_versions, variants
from tests.servers import ROOT, SERVERS

RESULTS = Path(__file__).with_name("RESULTS.md")


async def on_server(
    server: str, names: Sequence[str], scale: Scale, more_flags: Sequence[str], *, typescript: bool
) -> str:
    """Run the measures on ``server`` and return their part of the report."""
    flags = [*options(server), *more_flags]
    parts = [f"## {server}", f"`{server} {' '.join(flags)}`"]
    with ExitStack() as stack:
        storage = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        began = time.perf_counter()
        ways = variants(stack, server, storage, flags, typescript=typescript)
        print(f"{server}: {len(ways)} variants, up after {time.perf_counter() - began:.1f} s", file=sys.stderr)
        for name in names:
            measure = MEASURES[name]
            print(f"{server}: {measure.heading} ...", file=sys.stderr, flush=True)
            try:
                rows = await measure.run(measure.chosen(ways), scale)
            except (OSError, AssertionError) as error:
                # One measure that fails does not take the others' figures away.
                # The first line says which: what follows may be the stack of a server, with paths of this machine.
                said = str(error).partition("\n")[0].strip()
                parts += [f"### {measure.heading} ({server})", f"Failed: {type(error).__name__}: {said}"]
                continue
            parts.append(section(f"{measure.heading} ({server})", measure.run.__doc__, rows))
    return "\n\n".join(parts)


def inside(names: Sequence[str], *, quick: bool) -> str:
    """Run the measures that need no server, each in a process of its own, and return their part of the report."""
    parts = ["## Without a server"]
    for name in names:
        print(f"{INSIDE[name].heading} ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.inside", name, *(["--quick"] if quick else [])]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        rows: list[Row] = json.loads(done.stdout)
        parts.append(section(INSIDE[name].heading, INSIDE[name].run.__doc__, rows))
    return "\n\n".join(parts)


def main() -> None:
    known = [*INSIDE, *MEASURES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="minutes in all, to see that it works; figures are rough")
    parser.add_argument("--rounds", type=int, help=f"how often each is measured (default: {FULL.rounds})")
    parser.add_argument("--seconds", type=float, help=f"for how long each time (default: {FULL.seconds:g})")
    parser.add_argument("--server", default=",".join(SERVERS), help="which servers, with commas (default: all three)")
    parser.add_argument("--only", default=",".join(known), help=f"which measures, with commas: {', '.join(known)}")
    parser.add_argument("--output", type=Path, default=None, help="where the report goes besides standard output")
    parser.add_argument("--flags", default="", help="more flags for the server, to see what they give")
    parser.add_argument("--no-typescript", action="store_true", help="leave out the TypeScript Agent on workerd")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no {', '.join(unknown)}; there is {', '.join(known)}")
    scale = QUICK if given.quick else FULL
    scale = replace(scale, rounds=given.rounds or scale.rounds, seconds=given.seconds or scale.seconds)
    typescript = has_typescript() and not given.no_typescript
    report = [
        "# Figures",
        "Made by `python -m benchmarks" + (" --quick`" if given.quick else "`") + "; `README.md` says what they mean.",
        machine(typescript_versions() if typescript else {}),
        f"{scale.rounds} interleaved runs of {scale.seconds:g} s each, {scale.connections} connections; medians.",
    ]
    if alone := [name for name in names if name in INSIDE]:
        report.append(inside(alone, quick=given.quick))
    if served := [name for name in names if name in MEASURES]:
        servers = given.server.split(",")
        flags = shlex.split(given.flags)
        report += [asyncio.run(on_server(server, served, scale, flags, typescript=typescript)) for server in servers]
    text = "\n\n".join(report) + "\n"
    print(text)
    is_whole = not given.quick and names == known and given.server == ",".join(SERVERS)
    output = given.output or (RESULTS if is_whole else None)
    if output is not None:
        output.write_text(text)


if __name__ == "__main__":
    main()
