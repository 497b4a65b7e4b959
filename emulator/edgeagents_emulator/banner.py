"""The banner: what runs, what it has, and where its state lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from edgeagents.bindings import BindingDeclaration
from edgeagents_emulator.project import Project
from edgeagents_emulator.table import table

__all__ = ["banner"]

_RESOURCES = {
    "durable_object_namespace": "Durable Object",
    "plain_text": "Environment Variable",
    "json": "Environment Variable",
    "secret_text": "Environment Variable",
    "kv_namespace": "KV Namespace",
    "r2_bucket": "R2 Bucket",
    "d1": "D1 Database",
    "ai": "AI",
    "service": "Worker",
}


def banner(project: Project) -> str:
    """Return the text that a session begins with."""
    return "\n".join(_lines(project))


def _lines(project: Project) -> Iterator[str]:
    config = project.config
    name = f"{config.name} ({config.environment})" if config.environment else config.name
    yield f"edgeagents {_version()}: {name} from {_near(project.code.file)}"
    if project.secret_files:
        yield f"Using secrets defined in {', '.join(file.name for file in project.secret_files)}"
    rows = [
        (_shown(d), _RESOURCES.get(d.kind, d.kind.replace("_", " ")), "local")
        for d in project.worker.bindings
        if d.name
    ]
    if rows:
        yield "Your worker has access to the following bindings:"
        yield from table([("Binding", "Resource", "Mode"), *rows], "  ")
    else:
        yield "Your worker has no bindings."
    yield f"State is kept in {_near(project.state_folder)}"


def _shown(declaration: BindingDeclaration) -> str:
    options = declaration.options
    if declaration.kind == "json":
        detail = json.dumps(options["value"], default=str)
    elif declaration.kind in ("plain_text", "secret_text"):
        # Also what is no secret by its kind: people put keys into vars.
        detail = '"(hidden)"'
    else:
        detail = str(options.get("class_name") or next((v for v in options.values() if isinstance(v, str)), ""))
    if len(detail) > 48:
        detail = f"{detail[:45]}..."
    return f"env.{declaration.name} ({detail})" if detail else f"env.{declaration.name}"


def _near(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _version() -> str:
    try:
        return metadata.version("edgeagents")
    except metadata.PackageNotFoundError:
        return "(checkout)"
