"""What the next sync of a database has to make sure of, besides its log: a file that is new, folders with new entries.

Made and remembered while the object works, synced in a thread that waits for the disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from edgeagents.errors import StorageUnavailable
from edgeagents.objects import disk, new_database

__all__ = ["Unsynced"]


class Unsynced:
    """What is to be synced for the database at ``path``. Methods may be called in any thread."""

    __slots__ = (
        "_created",
        "_created_lock",
        "_folders",
        "_hand_over",
        "_path",
        "_when_kept",
        "before_sync",
        "is_keeping",
        "root",
    )

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.root: Path | None = None
        """A folder above the database that is there for certain; None: the one that the database is in."""
        self.before_sync: Callable[[], object] | None = None
        """Called once by the next ``sync``, before anything else is synced."""
        self._when_kept: Callable[[], object] | None = None
        self.is_keeping = False
        """Whether somebody waits to be called when what was committed is kept."""
        self._folders: list[Path] = []
        self._hand_over = threading.Lock()
        self._created: int | None = None
        self._created_lock = threading.Lock()

    def create(self, path: Path, content: bytes, *, is_shared: bool) -> None:
        """Put a new database at ``path``, whole or not at all."""
        descriptor, folders = new_database.place(path, content, is_shared=is_shared)
        if descriptor is None:
            return
        with self._created_lock:
            self._created = descriptor
        with self._hand_over:
            self._folders += folders

    def doubt(self, path: Path, least: int) -> None:
        """Have the next ``sync`` make sure of a file that is there, as of one that is made here.

        One larger than ``least`` bytes needs none: it grows when a log is moved into it, and then SQLite syncs it.
        """
        if path.stat().st_size > least or self._created is not None:
            return
        descriptor = os.open(path, os.O_RDWR)
        with self._created_lock:
            self._created = descriptor
        with self._hand_over:
            folder = path.parent
            while self.root is not None and folder != self.root and folder != folder.parent:
                folder = folder.parent
                self._folders.append(folder)

    def add_folder(self, folder: Path) -> None:
        """Have the next ``sync`` make sure of the names in ``folder`` too."""
        with self._hand_over:
            self._folders.append(folder)

    def call_when_kept(self, fn: Callable[[], object]) -> None:
        """Have ``fn`` called at the end of the next ``sync``."""
        with self._hand_over:
            self._when_kept = fn
            self.is_keeping = True

    def called(self) -> None:
        """Whoever waited was called."""
        with self._hand_over:
            self.is_keeping = self._when_kept is not None

    def sync(self, *, has_log: bool) -> tuple[bool, Callable[[], object] | None]:
        """Return when all of it, and the log, survive a loss of power. Raises ``StorageUnavailable`` when they do not:
        also when there ``has_log`` to be one, and it is not there.

        Returns whether there was more than the log, and what to call now that it is kept, if anything; tell ``called``
        of that.
        """
        with self._hand_over:
            before_sync, self.before_sync = self.before_sync, None
            when_kept, self._when_kept = self._when_kept, None
            folders, self._folders = self._folders, []
        if before_sync is not None:
            before_sync()
        if self._path is None:
            return False, when_kept
        try:
            with self._created_lock:
                if self._created is not None and folders:
                    disk.sync_descriptor(self._created)
            if not disk.sync_if_there(f"{self._path}-wal") and has_log:
                raise FileNotFoundError("its write-ahead log was removed")
            for folder in folders:
                disk.sync_folder(folder)
        except OSError as error:
            raise StorageUnavailable(f"{self._path} could not be synced: {error}") from error
        return bool(folders), when_kept

    def needs_descriptor(self, *, is_synced: bool) -> bool:
        """Whether the descriptor of a new file must stay: ``sync`` works with it, or will."""
        with self._hand_over:
            if is_synced and self._folders and self._created is not None:
                return True
        return self._created_lock.locked()

    def close(self) -> None:
        """Close the descriptor of a new file. Not before SQLite has closed the file: it would lose its locks."""
        with self._created_lock:
            if self._created is not None:
                os.close(self._created)
                self._created = None
