"""Migrations: which store each Durable Object class has, from the steps that the file lists.

Locally nothing is migrated and tags are not kept: the steps only say whether a class has SQL. What deployment would do
to stored data is told by ``moves_of_data``, for the emulator to warn of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from edgeagents.errors import ConfigError

__all__ = ["CannotMigrate", "StorageKind", "moves_of_data", "storage_kinds"]

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


def moves_of_data(migrations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a clause for each class whose stored data a deployment would delete or move."""
    clauses: list[str] = []
    for step in migrations:
        clauses += [f"{name} is deleted" for name in step.get("deleted_classes", [])]
        clauses += [f"{rename['from']} becomes {rename['to']}" for rename in step.get("renamed_classes", [])]
        clauses += [f"{move['to']} comes from {move['from_script']}" for move in step.get("transferred_classes", [])]
    return clauses
