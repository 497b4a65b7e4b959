"""The place of an object's database in a folder, and what becomes of one that is there when another is put into it."""

from __future__ import annotations

import logging
import os
import shutil
from enum import Enum, auto
from functools import partial
from pathlib import Path

from edgeagents.errors import StorageError, StorageUnavailable
from edgeagents.objects.disk import sync_folder
from edgeagents.objects.history import history_folder
from edgeagents.objects.sqlite import Database
from edgeagents.state_folder.past import Past, make_empty
from edgeagents.state_folder.stored_agent import tree_of

__all__ = ["Place", "Taken"]

_log = logging.getLogger("edgeagents.storage")


class Taken(Enum):
    """What becomes of what is there already."""

    REFUSES = auto()
    """It stays, and the other is not put there."""
    GOES = auto()
    """It is gone, with all of its past."""
    BECOMES_PAST = auto()
    """The databases get the other's content, so that what they hold becomes their past, if they have one."""


class Place:
    """Where the database at ``path`` belongs, with those of its facets beside it.

    What is put there was made on the same disk, and is moved.
    """

    def __init__(self, path: Path, past: Past) -> None:
        self.path, self._past = path, past

    @property
    def is_taken(self) -> bool:
        """Whether something is kept there."""
        return self.path.exists() and self.path.stat().st_size > 0

    def put(self, made: Path, taken: Taken, workshop: Path) -> None:
        """Put ``made`` there, with what is needed on the way in the folder ``workshop``.

        What is there must not be in use, unless it ``REFUSES``: then ``FileExistsError`` is raised.
        """
        if taken is Taken.REFUSES:
            self._put_where_nothing_is(made)
        elif taken is Taken.GOES or not self._past.is_kept(self.path) or not self._is_put_upon_past(made, workshop):
            self._put_instead(made)
        sync_folder(self.path.parent)

    def _put_where_nothing_is(self, made: Path) -> None:
        facets = self.path.with_suffix(".facets")
        if made.with_suffix(".facets").exists():
            if facets.exists():
                shutil.rmtree(facets)
            os.rename(made.with_suffix(".facets"), facets)
        try:
            # A link, unlike a rename, never takes the place of a file that is there.
            os.link(made, self.path)
        except FileExistsError:
            if self.is_taken:
                raise
            self._put_instead(made)

    def _put_instead(self, made: Path) -> None:
        facets, history = self.path.with_suffix(".facets"), history_folder(self.path)
        # Without its log a database is old, with another's it is damaged: so the file goes first.
        for remains in (self.path, *(Path(f"{self.path}{end}") for end in ("-wal", "-shm", "-journal"))):
            remains.unlink(missing_ok=True)
        for folder in (facets, history):
            if folder.exists():
                shutil.rmtree(folder)
        if made.with_suffix(".facets").exists():
            os.rename(made.with_suffix(".facets"), facets)
        os.rename(made, self.path)

    def _is_put_upon_past(self, made: Path, workshop: Path) -> bool:
        wanted = {path.relative_to(made.parent): path for path in tree_of(made)}
        # A facet that comes was empty before, and one that goes is empty from now on.
        empty = workshop / "empty.sqlite"
        make_empty(empty)
        targets = {self.path.parent / path: content for path, content in wanted.items()}
        targets = {**dict.fromkeys(tree_of(self.path), empty), **targets}
        new = [path for path in targets if not path.exists()]
        try:
            for path in new:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                make_empty(path)
            changes = {path: partial(_replace, content=content) for path, content in targets.items()}
            self._past.change(changes)
        except StorageUnavailable:
            raise
        except StorageError as error:
            _log.warning("The past of %s is given up: %s", self.path, error)
            return False
        return True


def _replace(database: Database, *, content: Path) -> None:
    database.past.replace_at_next_start(content)
