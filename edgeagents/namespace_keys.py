"""Which namespace each object class of each worker has in a state folder.

A namespace's key is a part of the ids of its objects and names their folder. It is made of the worker's and the class's
names, and stays when the class is renamed or given to another worker: so the objects keep their ids, whether made from
names or by chance, and nothing moves on disk. A class that comes later and has the old name gets another key.

``<state folder>/namespaces.json`` has what differs from the names, and which changes of each worker were made. It is
only there once a worker has listed changes; ``edgeagents.class_changes`` writes it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from edgeagents.errors import StorageError
from edgeagents.objects.disk import sync_file, sync_folder

__all__ = ["NamespaceKeys"]

_FILE: Final = "namespaces.json"
_FORMAT: Final = 1


@dataclass
class NamespaceKeys:
    """What a state folder says of namespaces; as read, nothing follows later changes."""

    keys: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By worker and class."""
    made: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By worker: the tags of the changes that were made."""
    steps: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """By worker and tag: what the change was, in words. Missing for those that an older edgeagents has made."""

    @classmethod
    def read(cls, folder: Path | None) -> Self:
        """Return what is kept in ``folder``. Raises ``StorageError`` when it cannot be understood."""
        if folder is None or not (path := folder / _FILE).exists():
            return cls()
        try:
            kept = json.loads(path.read_bytes())
            if kept["format"] != _FORMAT:
                raise StorageError(f"{path} was written by a newer edgeagents. Update edgeagents.")
            return cls(kept["keys"], kept["made"], kept.get("steps", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} is damaged: {error!r}. Restore it from a backup.") from error

    def write(self, folder: Path) -> None:
        """Keep it in ``folder``: all of it or nothing, also when the power fails."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, made = folder / _FILE, folder / f"{_FILE}.new"
        made.unlink(missing_ok=True)
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            kept = {"format": _FORMAT, "keys": self.keys, "made": self.made, "steps": self.steps}
            json.dump(kept, file, indent=2)
        sync_file(made)
        os.replace(made, path)
        sync_folder(folder)

    def key(self, worker: str, class_name: str) -> str:
        """Return the key of the objects of a class: its own for ever, and never that of another class."""
        kept = self.keys.get(worker, {}).get(class_name)
        if kept is not None:
            return kept
        key = plain = class_name if not worker else f"{worker}-{class_name}"
        taken = {key for classes in self.keys.values() for key in classes.values()} if self.keys else ()
        number = 1
        while key in taken:
            number += 1
            key = f"{plain}.{number}"
        return key

    def class_of(self, key: str) -> str | None:
        """Return the name of the class that has a key which was not made of this name; None for any other key."""
        return next((name for classes in self.keys.values() for name, kept in classes.items() if kept == key), None)
