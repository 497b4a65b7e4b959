"""Declarations: the bindings that the active environment asks for, in the runtime's words.

A runtime is given a flat list of ``BindingDeclaration`` and never sees the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeagents.bindings import BindingDeclaration
from wrangler_compat.binding_kinds import BINDING_KINDS, BindingKind
from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.migrations import StorageKind
from wrangler_compat.variables import Variable

__all__ = ["Place", "binding_declarations", "declare_variables", "refuse_duplicates"]

# A session works on the resource for previews where one is named, as wrangler's does.
_PREVIEWS = {"preview_id": "id", "preview_bucket_name": "bucket_name", "preview_database_id": "database_id"}

Place = tuple[str | int, ...]
"""Where a binding is declared, as steps from its section."""


def binding_declarations(
    values: Mapping[str, Any], storage: Mapping[str, StorageKind] | None, directory: Path
) -> list[tuple[Place, BindingDeclaration]]:
    """Return every binding but the variables, each with its place.

    A Durable Object's declaration says in ``options["storage"]`` which store its class has: ``sqlite``, or
    ``legacy-kv`` when the migrations say so or do not mention the class. Paths start from ``directory``.
    """
    found: list[tuple[Place, BindingDeclaration]] = []
    for kind in BINDING_KINDS:
        for place, entry in _entries(values, kind):
            options = {key: value for key, value in entry.items() if key != kind.name}
            options |= {whole: entry[preview] for preview, whole in _PREVIEWS.items() if preview in entry}
            word = f"unsafe_{entry['type']}" if kind.kind == "unsafe" else kind.kind
            if kind.kind == "durable_object_namespace":
                options["storage"] = (storage or {}).get(entry["class_name"], "legacy-kv")
            found.append((place, BindingDeclaration(entry[kind.name], word, options)))
    for index, consumer in enumerate((values.get("queues") or {}).get("consumers") or ()):
        # It has no name in env: a plugin gives its messages to the worker's handler.
        found.append((("queues", "consumers", index), BindingDeclaration("", "queue_consumer", consumer)))
    assets = values.get("assets") or {}
    if assets:
        # Without a binding they are served all the same, and have no name in env.
        options = {key: value for key, value in assets.items() if key != "binding"}
        if "directory" in options:
            options["directory"] = str(directory / options["directory"])
        found.append((("assets",), BindingDeclaration(assets.get("binding", ""), "assets", options)))
    return found


def declare_variables(variables: Mapping[str, Variable]) -> list[BindingDeclaration]:
    """Return a declaration for each variable, with its value in ``options["value"]``."""
    return [BindingDeclaration(name, v.kind, {"value": v.value}) for name, v in variables.items()]


def refuse_duplicates(values: Mapping[str, Any], diagnostics: Diagnostics) -> None:
    """Report each name that two things in ``env`` would have."""
    holders: dict[str, list[str]] = {}
    for kind in BINDING_KINDS:
        if kind.counts_for_uniqueness:
            for _, entry in _entries(values, kind):
                holders.setdefault(entry[kind.name], []).append(".".join(kind.key))
    if "binding" in (values.get("assets") or {}):
        holders.setdefault(values["assets"]["binding"], []).append("assets")
    for key in ("vars", "wasm_modules", "text_blobs", "data_blobs"):
        for name in values.get(key) or {}:
            holders.setdefault(name, []).append(key)
    for name in (values.get("secrets") or {}).get("required", []):
        holders.setdefault(name, []).append("secrets.required")
    for name, keys in holders.items():
        if len(keys) > 1:
            # The path of this one is the binding's name, wherever it stands.
            where = " and ".join(dict.fromkeys(keys))
            diagnostics.at_top(name).error(
                "duplicate-binding", f"is declared {len(keys)} times, in {where}; names in env are unique"
            )


def _entries(values: Mapping[str, Any], kind: BindingKind) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    value: Any = values
    for step in kind.key:
        value = value.get(step)
        if value is None:
            return
    if not kind.is_list:
        yield kind.key, value
        return
    entries: Sequence[Mapping[str, Any]] = value
    for index, entry in enumerate(entries):
        yield (*kind.key, index), entry
