"""What Cloudflare refuses to deploy, and a session here does not mind: classes that migrations and code disagree about,
and a date in the future. And steps of migrations that were edited after they were made, which do nothing anywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeagents.class_changes import WorkersChanges, edited_changes
from wrangler_compat.config import Config
from wrangler_compat.diagnostics import did_you_mean
from wrangler_compat.migrations import CannotMigrate, class_changes, storage_kinds

__all__ = ["NOT_DEPLOYABLE", "exported_names", "warn_of_deployment", "warn_of_edited_steps"]

NOT_DEPLOYABLE: Final = frozenset({"not-deployable", "durable-objects-lifecycle"})
"""The codes of warnings that say what would be refused."""


def warn_of_deployment(config: Config, exported: Collection[str] | None) -> None:
    """Add warnings for what would be refused. ``exported`` are the names of the worker's code; None if unknown."""
    values = config.values
    date = values.get("compatibility_date")
    if date is not None and date > datetime.now(UTC).date().isoformat():
        config.at("compatibility_date").warning("not-deployable", f"{date} is in the future, which Cloudflare refuses")
    try:
        live = {*storage_kinds(values["migrations"], values["exports"])}
    except CannotMigrate as fault:
        config.at("migrations", fault.step).warning("not-deployable", str(fault))
        return
    live |= {move["to"] for step in values["migrations"] for move in step.get("transferred_classes", [])}
    if values["migrations"]:
        _warn_of_unmade(config, live)
    if exported is None:
        return
    for name in sorted(live.difference(exported)):
        config.at("exports" if name in values["exports"] else "migrations").warning(
            "not-deployable",
            f'they make the class "{name}", which the worker\'s code does not have: Cloudflare refuses that.'
            f"{did_you_mean(name, exported)}",
        )


def _warn_of_unmade(config: Config, live: Collection[str]) -> None:
    for place, declaration in config.bindings:
        if declaration.kind != "durable_object_namespace":
            continue
        name = declaration.options["class_name"]
        if declaration.options.get("script_name") in (None, config.name) and name not in live:
            tag = f"v{len(config.values['migrations']) + 1}"
            config.at(*place, "class_name").warning(
                "not-deployable",
                f'no migration makes "{name}", so there is no SQL, and Cloudflare refuses the binding. '
                f'Add {{"tag": "{tag}", "new_sqlite_classes": ["{name}"]}} to migrations',
            )


def warn_of_edited_steps(config: Config, folder: Path) -> None:
    """Add a warning for each step of the migrations that was made in the state folder and says something else now."""
    changes = class_changes(config.values["migrations"], config.values["exports"])
    edited = edited_changes(folder, WorkersChanges(config.name, changes))
    for number, change in enumerate(changes):
        if change.tag in edited:
            config.at("migrations", number).warning(
                "edited-step",
                f"{change.tag!r} was made before, when it said: {edited[change.tag]}. A step is made once, so what it "
                "says now is not done: put that into a new step, with a tag of its own",
            )


def exported_names(main: Path | None) -> Collection[str] | None:
    """Return the names that the Python file ``main`` has, without running it; None when that cannot be known."""
    if main is None or main.suffix != ".py":
        return None
    try:
        tree = ast.parse(main.read_bytes(), str(main))
    except (OSError, SyntaxError, ValueError):
        return None
    found = set(_names(tree.body))
    return None if "*" in found else found


def _names(body: Collection[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name))
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _names([inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)])
            for handler in getattr(node, "handlers", ()):
                yield from _names(handler.body)
