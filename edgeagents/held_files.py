"""Files that a database names, held as they are at one moment while whoever uses it goes on.

They stand in folders beside it: ``a.values/`` is of ``a.sqlite``. Each is written whole before the database names it,
never changed, and removed after the database does not name it any more. So those that are there while nobody can
write to the database are all that it names then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["HeldFiles", "database_of", "folders_of"]


def folders_of(database: Path) -> list[Path]:
    """Return the folders of the files that ``database`` names."""
    return [path for path in sorted(database.parent.glob(f"{_escaped(database.stem)}.*")) if _is_of(path, database)]


def database_of(folder: Path) -> Path | None:
    """Return the database that names the files in ``folder``, if one does."""
    database = folder.with_suffix(".sqlite")
    return database if folder.suffix and database.is_file() else None


class HeldFiles:
    """Those of ``database``, in a folder of ours on the same disk: nobody else can remove them there."""

    def __init__(self, database: Path, workshop: Path) -> None:
        self._database, self._workshop = database, workshop
        self._held: set[Path] = set()
        self._names: list[Path] = []

    def hold(self) -> None:
        """Hold those that are there now. What is held already costs nothing, so do it before it must be quick."""
        self._names = [Path(folder.name, name) for folder in folders_of(self._database) for name in os.listdir(folder)]
        for name in self._names:
            if name not in self._held and not name.name.endswith(".new"):
                self._hold(name)

    def _hold(self, name: Path) -> None:
        file, held = self._database.parent / name, self._workshop / name
        held.parent.mkdir(mode=0o700, exist_ok=True)
        # It may have been removed just now; then the database does not name it.
        with contextlib.suppress(FileNotFoundError):
            try:
                os.link(file, held)
            except FileNotFoundError:
                raise
            except OSError:
                shutil.copy2(file, held)  # This disk knows no links, or no more of them.
            self._held.add(name)

    def __iter__(self) -> Iterator[tuple[Path, Path]]:
        """Yield those of the last ``hold``: the path beside the database, and where it is held."""
        return ((name, self._workshop / name) for name in self._names if name in self._held)


def _is_of(path: Path, database: Path) -> bool:
    return path.with_suffix(".sqlite") == database and path.is_dir()


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)
