"""The report: tables of figures, and of the machine that they come from."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["Row", "is_installed", "machine", "section", "table"]

Row = Mapping[str, Any]

PACKAGES = (
    *("edgeagents", "hypercorn", "uvicorn", "httptools", "uvloop", "websockets", "granian", "apsw", "werkzeug"),
)


def table(rows: Sequence[Row]) -> str:
    """Return ``rows`` as a Markdown table. The first column is text, the others are figures."""
    columns = list(rows[0])
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(heading: str, explanation: str | None, rows: Sequence[Row]) -> str:
    """Return a heading, what was measured, and the figures."""
    return "\n\n".join([f"### {heading}", " ".join((explanation or "").split()), table(rows)])


def machine(more: Mapping[str, str]) -> str:
    """Return a table of the processor, the system and the versions, and of ``more``."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = f"{len(names)} x {names[0]}" if names else cpu
    rows = [
        ("CPU", cpu),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        *((name, version(name)) for name in PACKAGES if is_installed(name)),
        *more.items(),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def is_installed(name: str) -> bool:
    """Return whether the distribution ``name`` is installed."""
    try:
        version(name)
    except ImportError:
        return False
    return True
