"""A state folder from outside: its agents listed, copied, carried elsewhere and set back, without a runtime.

What only reads, and what makes an agent that is not there yet, works beside servers that use the folder, in a process
of its own. What replaces
something needs the folder for itself, and says so. A copy of an agent is its whole database, those of its facets, and
its alarms; its history stays where it is.

This is what ``edgeagents agent``, ``edgeagents backup`` and ``edgeagents restore`` do.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import ConfigError, StorageError, StorageUnavailable
from edgeagents.held_files import HeldFiles, database_of, folders_of
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.objects.alarms import AlarmIndex, kept_alarm
from edgeagents.objects.backend import FolderStorage
from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents.objects.history import History, history_folder
from edgeagents.objects.ids import ObjectId, id_from_name, id_from_string
from edgeagents.objects.kv import KeyValueTable
from edgeagents.objects.namespace_folders import namespace_of_folder
from edgeagents.objects.sqlite import Database
from edgeagents.objects.whole_files import WholeFiles
from edgeagents.placement import FolderClaim
from edgeagents.workshop import workshop_in

__all__ = ["StateFolder", "StoredAgent"]

_log = logging.getLogger("edgeagents.storage")

_DIGITS: Final = re.compile(r"[0-9a-f]{64}")
_IN_ARCHIVE: Final = re.compile(r"agent(\.facets/[0-9a-f]{64})*\.sqlite")
# The objects, which are copied in their own way, and what tells servers who owns them.
_OF_SERVERS: Final = frozenset({"objects", "owners"})
_MANIFEST: Final = "agent.json"
_FORMAT: Final = 1
# What belongs to the place that a database is in, and not to what it holds.
_FORGET_PLACE: Final = "DELETE FROM _cf_METADATA WHERE key IN ('owner', 'restores', 'name')"
_PUT_NAME: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES ('name', ?)"
_GET: Final = "SELECT value FROM _cf_METADATA WHERE key = ?"
_WITHOUT_END: Final = History(days=36_500, bytes=1 << 50)


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
        return _tree(self.path)

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


class StateFolder:
    """The state folder at ``path``. Raises ``ConfigError`` if it is not there, unless it ``may_be_made``."""

    def __init__(self, path: str | os.PathLike[str], *, may_be_made: bool = False) -> None:
        self.path = Path(path)
        if not may_be_made and not (self.path / "objects").is_dir():
            raise ConfigError(f"{self.path} is not a state folder, or nothing was stored in it yet.")
        self._files = WholeFiles()
        self._storage = FolderStorage(self.path)
        self._keys = NamespaceKeys.read(self.path)

    # What is there

    def agents(self, class_name: str | None = None) -> Iterator[StoredAgent]:
        """Yield the agents, all or those of one class, by class and id."""
        objects = self.path / "objects"
        for folder in sorted(objects.iterdir()) if objects.is_dir() else ():
            namespace = namespace_of_folder(folder)
            if class_name in (None, namespace, self._class_of(namespace)) and folder.is_dir():
                for path in sorted(folder.glob("*.sqlite")):
                    if _DIGITS.fullmatch(path.stem) and path.stat().st_size:
                        yield self._stored(namespace, ObjectId(path.stem, self._name(path)), path)

    def find(self, class_name: str, name: str) -> StoredAgent:
        """Return the agent of this class with this name, or these 64 digits. Raises ``ConfigError`` without one.

        A class may also be named as its folder is, with the worker's name before it.
        """
        namespaces = self._namespaces(class_name)
        if not namespaces:
            raise ConfigError(f"There is no class {class_name!r} in {self.path}. It has: {self._known() or 'none'}.")
        for namespace in namespaces:
            digits = name if _DIGITS.fullmatch(name) else id_from_name(namespace, name).digits
            path = self._storage.path(namespace, ObjectId(digits))
            if path.exists():
                return self._stored(namespace, ObjectId(digits, self._name(path)), path)
        raise ConfigError(f"There is no {class_name} named {name!r} in {self.path}.")

    def alarm(self, agent: StoredAgent) -> datetime | None:
        """Return when the alarm of the agent is due, if one is set."""
        value = self._metadata(agent.path, "alarm")
        return None if value is None else kept_alarm(value)

    def _all_namespaces(self) -> list[str]:
        objects = self.path / "objects"
        return [namespace_of_folder(folder) for folder in objects.iterdir()] if objects.is_dir() else []

    def _known(self) -> str:
        return ", ".join(sorted({self._class_of(namespace) for namespace in self._all_namespaces()}))

    def _namespaces(self, class_name: str) -> list[str]:
        known = self._all_namespaces()
        found = [key for key in known if key == class_name] or [
            key for key in known if self._class_of(key) == class_name
        ]
        if len(found) > 1:
            raise ConfigError(f"There are several classes {class_name}: say {' or '.join(sorted(found))}.")
        return found

    def _stored(self, namespace: str, object_id: ObjectId, path: Path) -> StoredAgent:
        return StoredAgent(namespace, object_id, path, self._class_of(namespace))

    def _class_of(self, namespace: str) -> str:
        key = namespace.partition(":")[0]
        return self._keys.class_of(key) or key.rpartition("-")[2]

    def _name(self, path: Path) -> str | None:
        return self._metadata(path, "name")

    def _metadata(self, path: Path, key: str) -> Any:
        with self._files.beside_others(path) as driver:
            rows = driver.execute(_GET, (key,)).fetchall()
        return rows[0][0] if rows else None

    # Copies

    def fork(self, agent: StoredAgent, name: str) -> StoredAgent:
        """Make the agent ``name`` of the same class with everything that ``agent`` holds, and return it.

        Raises ``ConfigError`` if it is there already.
        """
        made = self._put(agent.path, agent.namespace, id_from_name(agent.namespace, name), replace=False)
        with self._alarms() as index:
            self._note_alarms(made, index)
            index.sync()
        return made

    def export(self, agent: StoredAgent, file: str | os.PathLike[str]) -> None:
        """Write ``agent`` into one file, a zip archive, in place of one that is there."""
        with workshop_in(self.path) as workshop:
            self._copy_tree(agent.path, workshop / "agent.sqlite", None)
            made = Path(f"{os.fspath(file)}.new")
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                about = {"format": _FORMAT, "namespace": agent.namespace, "id": agent.id.digits, "name": agent.id.name}
                archive.writestr(_MANIFEST, json.dumps(about, indent=2))
                for path in _tree(workshop / "agent.sqlite"):
                    archive.write(path, path.relative_to(workshop).as_posix())
            made.chmod(0o600)
            os.replace(made, file)

    def load(
        self,
        file: str | os.PathLike[str],
        *,
        class_name: str | None = None,
        name: str | None = None,
        replace: bool = False,
    ) -> StoredAgent:
        """Make an agent of what ``export`` wrote, with another name or class if one is given, and return it.

        With ``replace`` it takes the place of one that is there; then nobody may use the folder meanwhile. What that
        one held can be had again with ``rewind``, if it has a past.
        """
        with workshop_in(self.path) as workshop:
            about = _unpack(Path(file), workshop)
            namespace: str = about["namespace"]
            if class_name is not None:
                namespace = next(iter(self._namespaces(class_name)), class_name)
            if name is not None:
                object_id = id_from_name(namespace, name)
            elif about["name"] is not None:
                object_id = id_from_name(namespace, about["name"])
            elif namespace == about["namespace"]:
                object_id = id_from_string(namespace, about["id"])
            else:
                raise ConfigError("An agent without a name can only be loaded into its own class. Give it a name.")
            for path in _tree(workshop / "agent.sqlite"):
                fault = self._files.check(path)
                if fault is not None:
                    raise StorageError(f"{file} is damaged: {path.relative_to(workshop)}: {fault}")
            with self._for_itself() if replace else nullcontext(), self._alarms() as index:
                made = self._put(workshop / "agent.sqlite", namespace, object_id, replace=replace)
                self._note_alarms(made, index)
                index.sync()
            return made

    def adopt(self, database: Path, namespace: str, object_id: ObjectId, *, replace: bool = False) -> StoredAgent:
        """Make an object of ``database``, a file in our format that nobody uses, and return it.

        Raises ``ConfigError`` if it is there already and is not to be replaced.
        """
        made = self._put(database, namespace, object_id, replace=replace)
        with self._alarms() as index:
            self._note_alarms(made, index)
            index.sync()
        return made

    def backup(self, target: str | os.PathLike[str], agents: Iterable[StoredAgent] | None = None) -> int:
        """Copy everything, or the given agents, into the folder ``target``, which is a state folder then. Return how
        many agents there were.

        Each agent, and each other database in the folder with the files that it names, is copied as of one commit, and
        synced. What is in
        ``target`` already is replaced: a backup can be brought up to date.
        """
        other = StateFolder(target, may_be_made=True)
        if self.path.resolve() in (other.path.resolve(), *other.path.resolve().parents):
            raise ConfigError("A folder cannot be backed up into itself.")
        if agents is None:
            other._take_others(self)
        return other._take_over(self.agents() if agents is None else agents, replace=True, keeps_past=False)

    def restore(
        self, source: str | os.PathLike[str], agents: Iterable[StoredAgent] | None = None, *, replace: bool = False
    ) -> int:
        """Copy everything in the state folder ``source``, or the given agents of it, into this one. Return how many
        agents there were.

        Raises ``ConfigError`` when one, or what a binding keeps, is there already, before anything is changed, unless
        they are to ``replace`` those. What agents held can be had again with ``rewind``, if they have a past. Nobody
        may use this folder meanwhile.
        """
        backup = StateFolder(source)
        chosen = list(backup.agents() if agents is None else agents)
        if not replace:
            for agent in chosen:
                self._refuse_existing(self._storage.path(agent.namespace, agent.id), agent.id, agent.namespace)
            for path in backup._others() if agents is None else ():
                kept = self.path / path.relative_to(backup.path)
                # What stands in no folder of its own tells which classes there are, and is the same.
                if kept.parent != self.path and kept.exists():
                    raise ConfigError(f"There is a {kept} already.")
        count = self._take_over(chosen, replace=replace)
        if agents is None:
            with self._for_itself():
                self._take_others(backup)
        return count

    def _take_others(self, source: StateFolder) -> None:
        """Copy what is in ``source`` beside the objects: what bindings keep."""
        for path in source._others():
            target = self.path / path.relative_to(source.path)
            if _is_database(path):
                with workshop_in(source.path) as workshop:
                    self._take_database(path, target, HeldFiles(path, workshop))
            elif database_of(path.parent) is None:  # What a database names was copied with it.
                _copy_file(path, target)

    def _take_database(self, path: Path, target: Path, named: HeldFiles) -> None:
        """Copy a database of a binding's and the files that it names, all as of one commit."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = target.with_name(f"{target.name}.new")
        made.unlink(missing_ok=True)
        named.hold()
        self._files.copy(path, made, named.hold)
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

    def _others(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self.path):
            at = Path(folder)
            if at == self.path:
                folders[:] = [name for name in folders if name not in _OF_SERVERS and not name.startswith(".")]
                files = [name for name in files if not name.startswith(("owner.lock", "alarms.sqlite"))]
            for name in sorted(files):
                if not name.endswith(("-wal", "-shm", "-journal", ".new")) and (at / name).is_file():
                    yield at / name

    def _take_over(self, agents: Iterable[StoredAgent], *, replace: bool, keeps_past: bool = True) -> int:
        count = 0
        with self._for_itself(), self._alarms() as index:
            for agent in agents:
                made = self._put(agent.path, agent.namespace, agent.id, replace=replace, keeps_past=keeps_past)
                self._note_alarms(made, index)
                count += 1
            index.sync()
        return count

    def _put(
        self, source: Path, namespace: str, object_id: ObjectId, *, replace: bool, keeps_past: bool = True
    ) -> StoredAgent:
        target = self._storage.path(namespace, object_id)
        if not replace:
            self._refuse_existing(target, object_id, namespace)
        with workshop_in(self.path) as workshop:
            made = workshop / target.name
            self._copy_tree(source, made, object_id.name)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not replace:
                self._put_in_free_place(made, target, object_id, namespace)
            elif not (keeps_past and self._put_upon_past(made, target, workshop)):
                _put_in_place(made, target)
        sync_folder(target.parent)
        return self._stored(namespace, object_id, target)

    def _refuse_existing(self, target: Path, object_id: ObjectId, namespace: str) -> None:
        if target.exists() and target.stat().st_size:
            who = object_id.digits if object_id.name is None else repr(object_id.name)
            raise ConfigError(f"There is a {self._class_of(namespace)} {who} in {self.path} already.")

    def _put_in_free_place(self, made: Path, target: Path, object_id: ObjectId, namespace: str) -> None:
        facets = target.with_suffix(".facets")
        if made.with_suffix(".facets").exists():
            if facets.exists():
                shutil.rmtree(facets)
            os.rename(made.with_suffix(".facets"), facets)
        try:
            # A link, unlike a rename, never takes the place of a file that is there.
            os.link(made, target)
        except FileExistsError:
            self._refuse_existing(target, object_id, namespace)
            _put_in_place(made, target)

    def _put_upon_past(self, made: Path, target: Path, workshop: Path) -> bool:
        """Give the databases that are there another content, so that what they held becomes their past.

        Return False, with all as it was, when they have no past, or are too damaged to have one.
        """
        if not self._keeps_past(target):
            return False
        wanted = {path.relative_to(made.parent): path for path in _tree(made)}
        # A facet that comes was empty before, and one that goes is empty from now on.
        empty = workshop / "empty.sqlite"
        self._make_empty(empty)
        targets = {target.parent / path: content for path, content in wanted.items()}
        targets = {**dict.fromkeys(_tree(target), empty), **targets}
        new = [path for path in targets if not path.exists()]
        try:
            for path in new:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make_empty(path)
            self._overwrite({path: partial(_prepare, content=content) for path, content in targets.items()})
        except StorageUnavailable:
            raise
        except StorageError as error:
            _log.warning("The past of %s is given up: %s", target, error)
            return False
        return True

    def _keeps_past(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            database = self._with_history(path)
            try:
                _ = database.driver
                timeline = database.past.timeline
            finally:
                database.close()
        except StorageUnavailable:
            raise
        except StorageError:
            return False  # It is damaged, which may be why it is replaced.
        return timeline is not None and (timeline.is_untouched or history_folder(path).is_dir())

    def _make_empty(self, path: Path) -> None:
        database = Database.open(path)
        database.past.keep(_WITHOUT_END, time.time)
        _ = database.driver
        database.close()

    def _overwrite(self, changes: Mapping[Path, Callable[[Database], object]]) -> None:
        """Let each change prepare what a database begins with the next time; when all have, let them begin."""
        try:
            for path, prepare in changes.items():
                database = self._with_history(path)
                try:
                    prepare(database)
                finally:
                    database.close()
        except BaseException:
            for path in changes:
                (history_folder(path) / "restore.sqlite").unlink(missing_ok=True)
            raise
        for path in changes:
            database = self._with_history(path)
            _ = database.driver
            database.close()

    def _copy_tree(self, source: Path, target: Path, name: str | None) -> None:
        """Copy the database and those of all facets, with no trace of where they were."""
        target.parent.mkdir(mode=0o700, exist_ok=True)
        self._files.copy(source, target)
        with self._files.alone(target) as driver:
            rows = driver.execute(_GET, ("name",)).fetchall()
            driver.execute(_FORGET_PLACE, ()).fetchall()
            kept = name if name is not None else rows[0][0] if rows else None
            if kept is not None:
                driver.execute(_PUT_NAME, (kept,)).fetchall()
        sync_file(target)
        for facet in _facets(source):
            self._copy_tree(facet, target.with_suffix(".facets") / facet.name, None)

    @contextmanager
    def _alarms(self) -> Generator[AlarmIndex]:
        index = AlarmIndex.open(self.path / "alarms.sqlite")
        try:
            yield index
        finally:
            index.close()

    def _note_alarms(self, agent: StoredAgent, index: AlarmIndex) -> None:
        index.remove(agent.namespace, agent.id)
        index.remove_facets(agent.namespace, agent.id)
        self._note_alarms_below(agent, agent.path, (), index)

    def _note_alarms_below(self, agent: StoredAgent, path: Path, facets: tuple[str, ...], index: AlarmIndex) -> None:
        alarm = self._metadata(path, "alarm")
        if alarm is not None:
            index.set(agent.namespace, agent.id, kept_alarm(alarm), facets)
        for below in _facets(path):
            name = self._name(below)
            if name is not None:
                self._note_alarms_below(agent, below, (*facets, name), index)

    # The past

    def rewind(self, agent: StoredAgent, to: datetime | str) -> datetime:
        """Make ``agent`` what it was at a time, with its facets, or at a bookmark of its own database.

        Return the time to go back to when it is to be undone. Nobody may use the folder meanwhile. Raises
        ``StorageError``, before anything is changed, when that state is not kept.
        """
        with self._for_itself():
            before = datetime.now(UTC) - timedelta(milliseconds=1)
            paths = [agent.path] if isinstance(to, str) else list(agent.databases)

            def set_back(database: Database) -> None:
                database.past.restore_at_next_start(to if isinstance(to, str) else _bookmark(database, to))

            self._overwrite(dict.fromkeys(paths, set_back))
            with self._alarms() as index:
                self._note_alarms(agent, index)
                index.sync()
            return before

    def bookmark(self, agent: StoredAgent, at: datetime) -> str:
        """Return the bookmark of the database of ``agent`` at a time. Nobody may use the folder meanwhile."""
        with self._for_itself():
            database = self._with_history(agent.path)
            try:
                return _bookmark(database, at)
            finally:
                database.close()

    def forget(self, agent: StoredAgent, key: str) -> Any:
        """Forget what ``agent`` keeps under ``key``, and return it; None when it keeps nothing there.

        Nobody may use the folder meanwhile.
        """
        with self._for_itself():
            database = self._with_history(agent.path)
            try:
                table = KeyValueTable(database)
                kept = table.get(key)
                if table.delete(key):
                    database.commit()
                    database.sync()
                return kept
            finally:
                database.close()

    def _with_history(self, path: Path) -> Database:
        database = Database.open(path)
        database.set_identity(self._name(path))
        database.past.keep(_WITHOUT_END, time.time)
        return database

    # The folder

    @contextmanager
    def _for_itself(self) -> Generator[None]:
        claim = FolderClaim(self.path)
        claim.take_whole()
        try:
            yield
        finally:
            claim.release()


def _facets(path: Path) -> list[Path]:
    folder = path.with_suffix(".facets")
    return sorted(folder.glob("*.sqlite")) if folder.is_dir() else []


def _tree(path: Path) -> Iterator[Path]:
    yield path
    for facet in _facets(path):
        yield from _tree(facet)


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


def _put_in_place(made: Path, target: Path) -> None:
    """Put a database and those of its facets in the place of what is there, which nobody uses."""
    facets, history = target.with_suffix(".facets"), history_folder(target)
    # Without its log a database is old, with another's it is damaged: so the file goes first.
    for remains in (target, *(Path(f"{target}{end}") for end in ("-wal", "-shm", "-journal"))):
        remains.unlink(missing_ok=True)
    for folder in (facets, history):
        if folder.exists():
            shutil.rmtree(folder)
    if made.with_suffix(".facets").exists():
        os.rename(made.with_suffix(".facets"), facets)
    os.rename(made, target)


def _unpack(file: Path, workshop: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(_MANIFEST))
            if not isinstance(about, dict) or about.get("format") != _FORMAT:
                raise ConfigError(f"{file} was written by a newer edgeagents. Update edgeagents.")
            names = [name for name in archive.namelist() if name != _MANIFEST]
            if "agent.sqlite" not in names or not all(map(_IN_ARCHIVE.fullmatch, names)):
                raise KeyError("agent.sqlite")
            for name in names:
                (workshop / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with archive.open(name) as source, (workshop / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            # The archive may be a stranger's: an id that is none would be a path.
            if about["name"] is None:
                id_from_string(about["namespace"], about["id"])
            else:
                id_from_name(about["namespace"], about["name"])
            if not about["namespace"]:
                raise ValueError
            return about
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not an agent that was exported.") from error


def _prepare(database: Database, *, content: Path) -> None:
    database.past.replace_at_next_start(content)


def _bookmark(database: Database, at: datetime) -> str:
    bookmark = database.past.bookmark_at(at.timestamp())
    assert bookmark is not None, "nobody else writes"
    return bookmark
