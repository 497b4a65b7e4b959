"""Migrations: which store each Durable Object class has, from the steps that the file lists, and what becomes of what
is stored.

A step is known by its tag. ``exports`` say the same without steps: there each that tells of a deletion, a rename or a
transfer is a step of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from edgeagents.class_changes import ClassChange, Transfer
from edgeagents.errors import ConfigError

__all__ = ["CannotMigrate", "StorageKind", "class_changes", "storage_kinds"]

StorageKind = Literal["sqlite", "legacy-kv"]

_LIVE = ("created", "expecting-transfer")


class CannotMigrate(ConfigError):
    """A step of the migrations contradicts the steps before it. ``step`` is its index."""

    def __init__(self, step: int, message: str) -> None:
        self.step = step
        super().__init__(message)


def storage_kinds(
    migrations: Sequence[Mapping[str, Any]], exports: Mapping[str, Mapping[str, Any]]
) -> dict[str, StorageKind]:
    """Return the store of each class. Raises ``CannotMigrate``.

    Steps go in file order; within one, classes are deleted, renamed and then made. ``exports``, the declarative way,
    come last. A class that is in neither has no SQL, like a legacy one.
    """
    stores: dict[str, StorageKind] = {}

    def take(index: int, name: str, verb: str) -> StorageKind:
        if name not in stores:
            raise CannotMigrate(index, f"{name!r} is {verb}, but no earlier step makes it")
        return stores.pop(name)

    def make(index: int, name: str, kind: StorageKind) -> None:
        if name in stores:
            raise CannotMigrate(index, f"{name!r} is made here, and was there before")
        stores[name] = kind

    for index, step in enumerate(migrations):
        for name in step.get("deleted_classes", []):
            take(index, name, "deleted")
        for rename in step.get("renamed_classes", []):
            stores[rename["to"]] = take(index, rename["from"], "renamed")
        for name in step.get("new_classes", []):
            make(index, name, "legacy-kv")
        for name in step.get("new_sqlite_classes", []):
            make(index, name, "sqlite")
    for name, export in exports.items():
        if export["type"] == "durable-object" and export.get("state", "created") in _LIVE:
            stores[name] = export["storage"]
    return stores


def class_changes(
    migrations: Sequence[Mapping[str, Any]], exports: Mapping[str, Mapping[str, Any]]
) -> list[ClassChange]:
    """Return what the steps, or else the exports, want to be made of stored objects, in order."""
    changes = [
        ClassChange(
            step["tag"],
            deleted=step.get("deleted_classes", []),
            renamed=[(rename["from"], rename["to"]) for rename in step.get("renamed_classes", [])],
            new=[*step.get("new_classes", []), *step.get("new_sqlite_classes", [])],
            transferred=[
                Transfer(move["from"], move["from_script"], move["to"]) for move in step.get("transferred_classes", [])
            ],
        )
        for step in migrations
    ]
    for name, export in exports.items():
        match export["type"], export.get("state", "created"):
            case "durable-object", "deleted":
                changes.append(ClassChange(f"exports: {name} deleted", deleted=[name]))
            case "durable-object", "renamed":
                to = export["renamed_to"]
                changes.append(ClassChange(f"exports: {name} renamed to {to}", renamed=[(name, to)]))
            case "durable-object", "expecting-transfer":
                worker = export["transfer_from"]
                tag = f"exports: {name} transferred from {worker}"
                changes.append(ClassChange(tag, transferred=[Transfer(name, worker, name)]))
            case _:
                pass
    return changes
