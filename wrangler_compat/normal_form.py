"""The normalised form: a configuration as one JSON object, for tools to read and for tests to compare."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wrangler_compat.config import Config
from wrangler_compat.diagnostics import Diagnostic, Diagnostics
from wrangler_compat.shapes import is_table
from wrangler_compat.variables import Variable

__all__ = ["diagnostics_as_json", "normal_form", "variables_as_json"]

_FLAT_PATHS = ("main", "base_dir", "pages_build_output_dir")
_JOINED_PATHS = ("wasm_modules", "text_blobs", "data_blobs")


def normal_form(config: Config, requested: str | None, here: Path) -> dict[str, Any]:
    """Return ``config`` as data that JSON has. ``here`` is what ``configPath`` is relative to."""
    form: dict[str, Any] = {"configPath": None if config.path is None else _relative(config.path, here)}
    if not config.diagnostics.errors:
        form.update({key: _plain(value) for key, value in config.values.items() if key not in ("$schema",)})
        _normalise_paths(form)
        form["topLevelName"] = config.top_level_name
        form["definedEnvironments"] = config.defined_environments
        if requested:
            form["targetEnvironment"] = requested
        form["bindings"] = _bindings(config)
        form["durable_object_storage"] = None if config.storage is None else dict(config.storage)
    form.update(diagnostics_as_json(config.diagnostics))
    return form


def variables_as_json(variables: Mapping[str, Variable], diagnostics: Diagnostics) -> dict[str, Any]:
    """Return what ``env`` has of variables, with their values. Secrets are shown: this is for tools."""
    shown = {name: {"type": v.kind, "value": _plain(v.value)} for name, v in variables.items()}
    return {"vars": shown, **diagnostics_as_json(diagnostics)}


def diagnostics_as_json(diagnostics: Diagnostics) -> dict[str, Any]:
    """Return the errors and the warnings, each with its code, path and message, and its place where known."""
    return {
        "errors": [_entry(d) for d in diagnostics.errors],
        "warnings": [_entry(d) for d in diagnostics.warnings],
    }


def _entry(found: Diagnostic) -> dict[str, Any]:
    place = {} if found.line is None else {"line": found.line, "column": found.column}
    return {"code": found.code, "path": found.path, "message": found.message, **place}


def _bindings(config: Config) -> dict[str, str]:
    kinds = {declaration.name: declaration.kind for _, declaration in config.bindings}
    for key in _JOINED_PATHS:
        kinds.update(dict.fromkeys(config.values.get(key) or {}, key.removesuffix("s")))
    variables: Mapping[str, Any] = config.values["vars"]
    kinds.update({name: "plain_text" if isinstance(value, str) else "json" for name, value in variables.items()})
    return kinds


def _normalise_paths(form: dict[str, Any]) -> None:
    for key in _FLAT_PATHS:
        if isinstance(form.get(key), str):
            form[key] = form[key] if os.path.isabs(form[key]) else _within(form[key])
    if form.get("tsconfig"):
        form["tsconfig"] = _within(form["tsconfig"].lstrip("/"))
    for key in _JOINED_PATHS:
        if form.get(key):
            form[key] = {name: _within(path.lstrip("/")) for name, path in form[key].items()}
    if form.get("site", {}).get("entry-point"):
        form["site"]["entry-point"] = _within(form["site"]["entry-point"].lstrip("/"))
    build = form.get("build", {})
    if build.get("command"):
        watched = build.setdefault("watch_dir", "./src")
        build["watch_dir"] = (
            [_within(path.lstrip("/")) for path in watched]
            if isinstance(watched, list)
            else _within(watched.lstrip("/"))
        )


def _within(path: str) -> str:
    return os.path.normpath(path or ".").replace(os.sep, "/")


def _relative(path: Path, here: Path) -> str:
    return os.path.relpath(path.resolve(), here.resolve()).replace(os.sep, "/")


def _plain(value: object) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.datetime):
        text = value.astimezone(datetime.UTC).isoformat(timespec="milliseconds") if value.tzinfo else None
        return text.replace("+00:00", "Z") if text else value.isoformat(timespec="milliseconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if is_table(value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
