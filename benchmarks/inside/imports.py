"""Import and start: what a program pays once."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

from benchmarks.report import Row
from benchmarks.scale import Scale
from tests.servers import ROOT

__all__ = ["measure"]

TIMED = "import time; began = time.process_time(); {}; print((time.process_time() - began) * 1000)"


def measure(scale: Scale) -> list[Row]:
    """Milliseconds of the processor in a new process, with what was compiled before. What edgeagents stands on is part
    of its own figure."""
    statements = (
        "import asyncio",
        "import asyncio, werkzeug",
        "import edgeagents",
        "from edgeagents import AIChatAgent",
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as compiled:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        for statement in statements:
            command = [sys.executable, "-c", TIMED.format(statement)]
            runs = [
                float(subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout)
                for _ in range(4 + 2 * scale.rounds)
            ][1:]
            rows.append(
                {"statement": f"`{statement}`", "best ms": f"{min(runs):.0f}", "median ms": f"{median(runs):.0f}"}
            )
    return rows
