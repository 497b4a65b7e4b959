"""What is in a state folder beside the objects: what bindings keep, in databases, files that these name, and others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgeagents.errors import ConfigError
from edgeagents.held_files import HeldFiles, database_of, folders_of
from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents.state_folder.databases import Databases
from edgeagents.workshop import workshop_in

__all__ = ["Others"]

# The objects, which are copied in their own way, and what tells servers who owns them.
_OF_SERVERS: Final = frozenset({"objects", "owners"})


class Others:
    """What is in ``folder`` beside the objects."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder, self._databases = folder, databases

    def __iter__(self) -> Iterator[Path]:
        """Yield the files that are to be copied, databases without their logs."""
        for folder, folders, files in os.walk(self._folder):
            at = Path(folder)
            if at == self._folder:
                folders[:] = [name for name in folders if name not in _OF_SERVERS and not name.startswith(".")]
                files = [name for name in files if not name.startswith(("owner.lock", "alarms.sqlite"))]
            for name in sorted(files):
                if not name.endswith(("-wal", "-shm", "-journal", ".new")) and (at / name).is_file():
                    yield at / name

    def refuse_any_in(self, target: Path) -> None:
        """Raise ``ConfigError`` when one of them is in the folder ``target`` too."""
        for path in self:
            kept = target / path.relative_to(self._folder)
            # What stands in no folder of its own tells which classes there are, and is the same.
            if kept.parent != target and kept.exists():
                raise ConfigError(f"There is a {kept} already.")

    def copy_into(self, target: Path) -> None:
        """Copy them into the folder ``target``."""
        for path in self:
            copy = target / path.relative_to(self._folder)
            if _is_database(path):
                with workshop_in(self._folder) as workshop:
                    self._copy_database(path, copy, HeldFiles(path, workshop))
            elif database_of(path.parent) is None:  # What a database names was copied with it.
                _copy_file(path, copy)

    def _copy_database(self, path: Path, target: Path, named: HeldFiles) -> None:
        """Copy a database and the files that it names, all as of one commit."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = target.with_name(f"{target.name}.new")
        made.unlink(missing_ok=True)
        named.hold()
        self._databases.copy(path, made, named.hold)
        # Whenever this ends, the database that stands there names nothing that is not there.
        kept = set[Path]()
        for name, file in named:
            kept.add(target.parent / name)
            if not _is_same(file, target.parent / name):
                _copy_file(file, target.parent / name)
        for end in ("-wal", "-shm", "-journal"):
            Path(f"{target}{end}").unlink(missing_ok=True)
        _put_file(made, target)
        for folder in folders_of(target):
            for file in folder.iterdir():
                if file not in kept:
                    file.unlink()


def _copy_file(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = target.with_name(f"{target.name}.new")
    shutil.copy2(path, made)
    _put_file(made, target)


def _put_file(made: Path, target: Path) -> None:
    sync_file(made)
    os.replace(made, target)
    sync_folder(target.parent)


def _is_same(file: Path, copy: Path) -> bool:
    # What a database names is never changed, and copied with its times.
    if not copy.exists():
        return False
    one, other = file.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(16) == b"SQLite format 3\0"
