"""Changes of a worker's object classes, made to a state folder: renamed, deleted and transferred classes.

Each is made once, in order, before a runtime uses the folder. A rename or a transfer writes one small file. Deleting
takes the objects, their history and their alarms; cut off in the middle it is done again. Processes that begin together
wait for the one that makes the changes.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeagents.errors import ConfigError
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.objects.alarms import AlarmIndex
from edgeagents.objects.disk import sync_folder
from edgeagents.objects.namespace_folders import namespace_of_folder
from edgeagents.placement import FolderClaim, wait_for_lock

__all__ = ["ClassChange", "Transfer", "WorkersChanges", "edited_changes", "make_class_changes"]

_LOCK: Final = "owner.lock.changes"


@dataclass(frozen=True)
class Transfer:
    """A class that comes from another worker of the same state folder."""

    name: str
    worker: str
    to: str


@dataclass(frozen=True)
class ClassChange:
    """What becomes of classes at once. ``tag`` tells it from the worker's other changes."""

    tag: str
    deleted: Sequence[str] = ()
    renamed: Sequence[tuple[str, str]] = ()
    new: Sequence[str] = ()
    transferred: Sequence[Transfer] = ()

    def __str__(self) -> str:
        """What it is, in words that are the same whatever order it is listed in."""
        parts = [f"{name} deleted" for name in sorted(self.deleted)]
        parts += [f"{name} renamed to {to}" for name, to in sorted(self.renamed)]
        parts += [f"{name} new" for name in sorted(self.new)]
        parts += sorted(f"{each.name} of {each.worker} transferred to {each.to}" for each in self.transferred)
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True)
class WorkersChanges:
    """All changes of one worker so far, in order, and the ``classes`` that it has now."""

    worker: str
    changes: Sequence[ClassChange]
    classes: Collection[str] = ()


def make_class_changes(folder: Path, workers: Iterable[WorkersChanges]) -> list[str]:
    """Make those changes that were not made in ``folder`` yet, and return what was done, a line each.

    A folder that was used before and has no record of any change of a worker keeps what the worker's classes have now.
    Raises ``ConfigError``, before anything of that change is done, when a class would take the place of another one
    that has objects, or when another process uses the folder.
    """
    waiting = [each for each in workers if each.changes]
    if not waiting:
        return []
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Also when nothing is to be done: another process may be about to end, and have the folder for itself until then.
    with wait_for_lock(folder / _LOCK):
        keys = NamespaceKeys.read(folder)
        with _for_itself(folder) if any(map(_moves, _pending(keys, waiting))) else nullcontext():
            return [line for each in waiting for line in _Changing(folder, keys, each).make_all()]


def edited_changes(folder: Path, worker: WorkersChanges) -> dict[str, str]:
    """Return the tags of those changes that were made in ``folder`` and are others now, each with what was made."""
    steps = NamespaceKeys.read(folder).steps.get(worker.worker, {})
    now = {change.tag: str(change) for change in worker.changes}
    return {tag: made for tag, made in steps.items() if tag in now and now[tag] != made}


def _pending(keys: NamespaceKeys, workers: Iterable[WorkersChanges]) -> list[ClassChange]:
    return [change for each in workers for change in each.changes if change.tag not in keys.made.get(each.worker, ())]


def _moves(change: ClassChange) -> bool:
    return bool(change.deleted or change.renamed or change.transferred)


class _Changing:
    def __init__(self, folder: Path, keys: NamespaceKeys, worker: WorkersChanges) -> None:
        self._folder, self._keys, self._worker = folder, keys, worker
        self._name = worker.worker
        # Nobody wrote down which of the changes the folder has seen: what is in use now is not touched.
        is_unknown = self._name not in keys.made
        self._kept = frozenset(worker.classes) if is_unknown else frozenset[str]()

    def make_all(self) -> list[str]:
        done: list[str] = []
        made = self._keys.made.setdefault(self._name, [])
        for change in self._worker.changes:
            if change.tag in made:
                continue
            done += [f"{self._name}, {change.tag}: {line}" for line in self._make(change)]
            made.append(change.tag)
            self._keys.steps.setdefault(self._name, {})[change.tag] = str(change)
            self._keys.write(self._folder)
        return done

    def _make(self, change: ClassChange) -> list[str]:
        done: list[str] = []
        leaving = {*change.deleted, *(name for name, _ in change.renamed)}
        renamed = [(self._name, name, to) for name, to in change.renamed if self._may_move(name, to)]
        transferred = [(each.worker, each.name, each.to) for each in change.transferred]
        for worker, name, to in (*renamed, *transferred):
            if to not in leaving and self._has_objects(self._name, to) and self._has_objects(worker, name):
                places = " ".join(map(str, self._folders(self._name, to)))
                raise ConfigError(
                    f"{name!r} cannot become {to!r} ({change.tag}): both have objects in {self._folder}. "
                    f"Delete the class {to!r} in an earlier step, or its folder: {places}"
                )
        deleted = [name for name in change.deleted if name not in self._kept]
        done += [f"{name} was deleted with {self._delete(name)} objects" for name in deleted]
        # All leave before any arrives: two classes may change their names for each other's.
        done += self._move(renamed)
        for name in change.new:
            self._take(name)
        done += self._move([move for move in transferred if self._has_objects(*move[:2])])
        # A class that has its name's second key keeps it when the first gets free.
        for name in self._worker.classes:
            self._take(name)
        return done

    def _may_move(self, name: str, to: str) -> bool:
        return name not in self._kept and not (to in self._kept and self._has_objects(self._name, to))

    def _move(self, moves: Sequence[tuple[str, str, str]]) -> list[str]:
        keys = [self._keys.key(worker, name) for worker, name, _ in moves]
        for worker, name, _ in moves:
            self._keys.keys.get(worker, {}).pop(name, None)
        for (_, _, to), key in zip(moves, keys, strict=True):
            self._own[to] = key
        return [
            f"{name} is {to} now" if worker == self._name else f"{name} of {worker} is {to} of {self._name} now"
            for worker, name, to in moves
        ]

    def _take(self, name: str) -> None:
        key = self._keys.key(self._name, name)
        if key != f"{self._name}-{name}":
            self._own[name] = key

    @property
    def _own(self) -> dict[str, str]:
        return self._keys.keys.setdefault(self._name, {})

    def _folders(self, worker: str, name: str) -> list[Path]:
        """The folders of the objects of a class: one, and one for each of its jurisdictions."""
        key, objects = self._keys.key(worker, name), self._folder / "objects"
        if not objects.is_dir():
            return []
        return [each for each in sorted(objects.iterdir()) if namespace_of_folder(each).partition(":")[0] == key]

    def _has_objects(self, worker: str, name: str) -> bool:
        return any(file.stat().st_size for each in self._folders(worker, name) for file in each.glob("*.sqlite"))

    def _delete(self, name: str) -> int:
        index = AlarmIndex.open(self._folder / "alarms.sqlite")
        try:
            index.remove_namespace(self._keys.key(self._name, name))
            index.sync()
        finally:
            index.close()
        count = 0
        for each in self._folders(self._name, name):
            count += sum(1 for _ in each.glob("*.sqlite"))
            shutil.rmtree(each)
            sync_folder(each.parent)
        self._own.pop(name, None)
        return count


@contextmanager
def _for_itself(folder: Path) -> Generator[None]:
    claim = FolderClaim(folder)
    claim.take_whole()
    try:
        yield
    finally:
        claim.release()
