"""An agent as it lies in a folder: its database file, and those of its facets in a folder beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeagents.objects.history import history_folder
from edgeagents.objects.ids import ObjectId

__all__ = ["StoredAgent", "facets_of", "tree_of"]


@dataclass(frozen=True)
class StoredAgent:
    """An agent, or any other object, of which something is kept in a folder."""

    namespace: str
    id: ObjectId
    path: Path
    """Its database file."""
    class_name: str
    """Its class, as it is called now."""

    @property
    def title(self) -> str:
        """Its name, or its id where it has none."""
        return self.id.digits if self.id.name is None else self.id.name

    @property
    def databases(self) -> Iterator[Path]:
        """Its database file and those of its facets, of theirs, and so on."""
        return tree_of(self.path)

    @property
    def size(self) -> int:
        """The bytes of its databases and their logs on disk."""
        files = (Path(f"{path}{end}") for path in self.databases for end in ("", "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @property
    def has_past(self) -> bool:
        """Whether earlier states of it may be kept."""
        return history_folder(self.path).is_dir()

    @property
    def changed(self) -> datetime:
        """When it was written to last."""
        log = Path(f"{self.path}-wal")
        return datetime.fromtimestamp((log if log.exists() else self.path).stat().st_mtime, UTC)


def facets_of(path: Path) -> list[Path]:
    """Return the databases of the facets of the one at ``path``."""
    folder = path.with_suffix(".facets")
    return sorted(folder.glob("*.sqlite")) if folder.is_dir() else []


def tree_of(path: Path) -> Iterator[Path]:
    """Yield ``path``, the databases of its facets, of theirs, and so on."""
    yield path
    for facet in facets_of(path):
        yield from tree_of(facet)
