"""The state that ``wrangler dev`` keeps, read: ``.wrangler/state/v3`` with a folder for each kind of resource.

A resource's SQLite file is named by a hash of its id, so that one can only be found whose id is known: from a folder
beside it, or from a configuration. Nothing in the folder is changed, and databases are read as of one commit, also
while wrangler runs.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgeagents.errors import ConfigError
from edgeagents.objects.ids import HALF, id_from_name

__all__ = ["ForeignObject", "WranglerState"]

_OWN: Final = ("kv", "r2", "d1", "do")
_CLASS: Final = {
    "kv": "miniflare-KVNamespaceObject",
    "r2": "miniflare-R2BucketObject",
    "d1": "miniflare-D1DatabaseObject",
}


@dataclass(frozen=True)
class ForeignObject:
    """A Durable Object. ``folder`` is its worker's and its class's name with a hyphen between."""

    folder: str
    digits: str
    path: Path


@dataclass
class WranglerState:
    """What is in ``root``, the folder ``v3`` or the one around it. Raises ``ConfigError`` when it is neither.

    ``done`` and ``left`` are for those who read: a line for each resource, and for what could not be read.
    """

    root: Path
    done: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])
    _opened: set[Path] = field(default_factory=set[Path])

    def __post_init__(self) -> None:
        if (self.root / "v3").is_dir():
            self.root = self.root / "v3"
        if not any((self.root / kind).is_dir() for kind in _OWN):
            raise ConfigError(f"{self.root} is not a state folder of wrangler: it has none of {', '.join(_OWN)}.")

    def names(self, kind: str) -> list[str]:
        """Return the ids of resources of a kind that have a folder of their own."""
        return [folder.name for folder in _folders(self.root / kind) if folder.name != _CLASS[kind]]

    @contextmanager
    def database(self, kind: str, name: str) -> Generator[sqlite3.Connection | None]:
        """Open a copy of the database of a resource; None when there is none."""
        cls = _CLASS[kind]
        path = self.root / kind / cls / f"{id_from_name(HALF + cls, name).digits}.sqlite"
        if not path.exists():
            yield None
            return
        self._opened.add(path)
        with copied(path) as copy, closing(sqlite3.connect(copy)) as connection:
            yield connection

    def blob(self, kind: str, name: str, blob: str) -> Path:
        """Return the file with the bytes of a value or an object. Raises ``FileNotFoundError``."""
        path = self.root / kind / name / "blobs" / Path(blob).name
        if not path.is_file():
            raise FileNotFoundError(f"its bytes are not there ({path.name})")
        return path

    def objects(self) -> Iterator[ForeignObject]:
        """Yield the Durable Objects, by class and id."""
        for folder in _folders(self.root / "do"):
            for path in sorted(folder.glob("*.sqlite")):
                if path.stem != "metadata":
                    self._opened.add(path)
                    yield ForeignObject(folder.name, path.stem, path)

    def tell_left(self) -> None:
        """Add to ``left`` what nobody has asked for."""
        for kind in _OWN:
            for path in sorted((self.root / kind).glob("*/*.sqlite")):
                if path not in self._opened and path.stem != "metadata":
                    self.left.append(f"{kind} {path.stem}: the configuration has no resource with this hash")
        for folder in _folders(self.root):
            if folder.name not in _OWN and any(each.is_file() for each in folder.rglob("*")):
                self.left.append(f"{folder.name}: not a kind that is read")


@contextmanager
def copied(path: Path) -> Generator[Path]:
    """Have a copy of a database, as of one commit, for a ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="edgeagents-") as folder:
        copy = Path(folder) / path.name
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        copy.chmod(0o600)
        yield copy


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
