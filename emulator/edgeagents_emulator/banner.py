"""The banner: what runs, what it has, and where its state lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from edgeagents_emulator.binding_rows import binding_rows
from edgeagents_emulator.project import Project
from edgeagents_emulator.table import table

__all__ = ["banner"]


def banner(project: Project) -> str:
    """Return the text that a session begins with."""
    return "\n".join(_lines(project))


def _lines(project: Project) -> Iterator[str]:
    config = project.config
    name = f"{config.name} ({config.environment})" if config.environment else config.name
    yield f"edgeagents {_version()}: {name} from {_near(project.code.file)}"
    if project.secret_files:
        yield f"Using secrets defined in {', '.join(file.name for file in project.secret_files)}"
    rows = [(*row, "local") for row in binding_rows(project.worker.bindings)]
    if rows:
        yield "Your worker has access to the following bindings:"
        yield from table([("Binding", "Resource", "Mode"), *rows], "  ")
    else:
        yield "Your worker has no bindings."
    if project.worker.crons:
        yield f"scheduled() runs by the clock, in UTC: {', '.join(project.worker.crons)}"
        yield "To run it now: GET /cdn-cgi/handler/scheduled"
    yield f"State is kept in {_near(project.state_folder)}"


def _near(path: Path) -> str:
    here = Path.cwd()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    # A neighbour is named as a person would from here; what lies far away by its whole path.
    return os.path.relpath(path, here) if path.is_relative_to(here.parent) else str(path)


def _version() -> str:
    try:
        return metadata.version("edgeagents")
    except metadata.PackageNotFoundError:
        return "(checkout)"
