"""The face of a state folder: which agents there are, and what can be done with them."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import ConfigError, StorageError
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.objects.alarms import AlarmIndex
from edgeagents.objects.backend import FolderStorage
from edgeagents.objects.ids import ObjectId, id_from_name
from edgeagents.objects.kv import KeyValueTable
from edgeagents.objects.namespace_folders import namespace_of_folder
from edgeagents.objects.sqlite import Database
from edgeagents.placement import FolderClaim
from edgeagents.state_folder.archive import DATABASE, pack, unpack
from edgeagents.state_folder.databases import Databases
from edgeagents.state_folder.others import Others
from edgeagents.state_folder.past import Past, bookmark_at
from edgeagents.state_folder.place import Place, Taken
from edgeagents.state_folder.stored_agent import StoredAgent, facets_of, tree_of
from edgeagents.workshop import workshop_in

__all__ = ["StateFolder"]

_DIGITS: Final = re.compile(r"[0-9a-f]{64}")


class StateFolder:
    """The state folder at ``path``. Raises ``ConfigError`` if it is not there, unless it ``may_be_made``."""

    def __init__(self, path: str | os.PathLike[str], *, may_be_made: bool = False) -> None:
        self.path = Path(path)
        if not may_be_made and not (self.path / "objects").is_dir():
            raise ConfigError(f"{self.path} is not a state folder, or nothing was stored in it yet.")
        self._databases = Databases()
        self._past = Past(self._databases)
        self._others = Others(self.path, self._databases)
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
                        yield self._stored(namespace, ObjectId(path.stem, self._databases.name(path)), path)

    def find(self, class_name: str, name: str) -> StoredAgent:
        """Return the agent of this class with this name, or these 64 digits. Raises ``ConfigError`` without one.

        A class may also be named as its folder is, with the worker's name before it.
        """
        self.check_class(class_name)
        for namespace in self._namespaces(class_name):
            digits = name if _DIGITS.fullmatch(name) else id_from_name(namespace, name).digits
            path = self._storage.path(namespace, ObjectId(digits))
            if path.exists():
                return self._stored(namespace, ObjectId(digits, self._databases.name(path)), path)
        raise ConfigError(f"There is no {class_name} named {name!r} in {self.path}.")

    def check_class(self, class_name: str) -> None:
        """Raise ``ConfigError``, with those that there are, for a class of which nothing is kept."""
        if not self._namespaces(class_name):
            raise ConfigError(f"There is no class {class_name!r} in {self.path}. It has: {self._known() or 'none'}.")

    def alarm(self, agent: StoredAgent) -> datetime | None:
        """Return when the alarm of the agent is due, if one is set."""
        return self._databases.alarm(agent.path)

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

    # Copies

    def fork(self, agent: StoredAgent, name: str) -> StoredAgent:
        """Make the agent ``name`` of the same class with everything that ``agent`` holds, and return it.

        Raises ``ConfigError`` if it is there already.
        """
        return self._put_with_alarms(agent.path, agent.namespace, id_from_name(agent.namespace, name), Taken.REFUSES)

    def export(self, agent: StoredAgent, file: str | os.PathLike[str]) -> None:
        """Write ``agent`` into one file, a zip archive, in place of one that is there."""
        with workshop_in(self.path) as workshop:
            self._databases.copy_tree(agent.path, workshop / DATABASE, None)
            pack(agent, workshop, file)

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
            described = unpack(Path(file), workshop)
            namespace, object_id = described
            if class_name is not None:
                namespace = next(iter(self._namespaces(class_name)), class_name)
            if name is None:
                name = object_id.name
            if name is not None:
                object_id = id_from_name(namespace, name)
            elif namespace != described.namespace:
                raise ConfigError("An agent without a name can only be loaded into its own class. Give it a name.")
            for path in tree_of(workshop / DATABASE):
                fault = self._databases.fault(path)
                if fault is not None:
                    raise StorageError(f"{file} is damaged: {path.relative_to(workshop)}: {fault}")
            with self._for_itself() if replace else nullcontext():
                return self._put_with_alarms(workshop / DATABASE, namespace, object_id, _taken(replace))

    def adopt(self, database: Path, namespace: str, object_id: ObjectId, *, replace: bool = False) -> StoredAgent:
        """Make an object of ``database``, a file in our format that nobody uses, and return it.

        Raises ``ConfigError`` if it is there already and is not to be replaced.
        """
        return self._put_with_alarms(database, namespace, object_id, _taken(replace))

    def backup(self, target: str | os.PathLike[str], agents: Iterable[StoredAgent] | None = None) -> int:
        """Copy everything, or the given agents, into the folder ``target``, which is a state folder then. Return how
        many agents there were.

        Each agent, and each other database in the folder with the files that it names, is copied as of one commit, and
        synced. What is in ``target`` already is replaced: a backup can be brought up to date.
        """
        other = StateFolder(target, may_be_made=True)
        if self.path.resolve() in (other.path.resolve(), *other.path.resolve().parents):
            raise ConfigError("A folder cannot be backed up into itself.")
        if agents is None:
            self._others.copy_into(other.path)
        return other._take_over(self.agents() if agents is None else agents, Taken.GOES)

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
                self._refuse_taken(self._place(agent.namespace, agent.id), agent.namespace, agent.id)
            if agents is None:
                backup._others.refuse_any_in(self.path)
        count = self._take_over(chosen, _taken(replace))
        if agents is None:
            with self._for_itself():
                backup._others.copy_into(self.path)
        return count

    def _take_over(self, agents: Iterable[StoredAgent], taken: Taken) -> int:
        count = 0
        with self._for_itself(), self._alarms() as index:
            for agent in agents:
                self._note_alarms(self._put(agent.path, agent.namespace, agent.id, taken), index)
                count += 1
            index.sync()
        return count

    def _put_with_alarms(self, source: Path, namespace: str, object_id: ObjectId, taken: Taken) -> StoredAgent:
        made = self._put(source, namespace, object_id, taken)
        with self._alarms() as index:
            self._note_alarms(made, index)
            index.sync()
        return made

    def _put(self, source: Path, namespace: str, object_id: ObjectId, taken: Taken) -> StoredAgent:
        place = self._place(namespace, object_id)
        if taken is Taken.REFUSES:
            self._refuse_taken(place, namespace, object_id)
        with workshop_in(self.path) as workshop:
            made = workshop / place.path.name
            self._databases.copy_tree(source, made, object_id.name)
            place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                place.put(made, taken, workshop)
            except FileExistsError:
                self._refuse_taken(place, namespace, object_id)
                raise
        return self._stored(namespace, object_id, place.path)

    def _place(self, namespace: str, object_id: ObjectId) -> Place:
        return Place(self._storage.path(namespace, object_id), self._past)

    def _refuse_taken(self, place: Place, namespace: str, object_id: ObjectId) -> None:
        if place.is_taken:
            who = object_id.digits if object_id.name is None else repr(object_id.name)
            raise ConfigError(f"There is a {self._class_of(namespace)} {who} in {self.path} already.")

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
        alarm = self._databases.alarm(path)
        if alarm is not None:
            index.set(agent.namespace, agent.id, alarm, facets)
        for below in facets_of(path):
            name = self._databases.name(below)
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
                database.past.restore_at_next_start(to if isinstance(to, str) else bookmark_at(database, to))

            self._past.change(dict.fromkeys(paths, set_back))
            with self._alarms() as index:
                self._note_alarms(agent, index)
                index.sync()
            return before

    def bookmark(self, agent: StoredAgent, at: datetime) -> str:
        """Return the bookmark of the database of ``agent`` at a time. Nobody may use the folder meanwhile."""
        with self._for_itself(), self._past.opened(agent.path) as database:
            return bookmark_at(database, at)

    def forget(self, agent: StoredAgent, key: str) -> Any:
        """Forget what ``agent`` keeps under ``key``, and return it; None when it keeps nothing there.

        Nobody may use the folder meanwhile.
        """
        with self._for_itself(), self._past.opened(agent.path) as database:
            table = KeyValueTable(database)
            kept = table.get(key)
            if table.delete(key):
                database.commit()
                database.sync()
            return kept

    # The folder

    @contextmanager
    def _for_itself(self) -> Generator[None]:
        claim = FolderClaim(self.path)
        claim.take_whole()
        try:
            yield
        finally:
            claim.release()


def _taken(replace: bool) -> Taken:
    return Taken.BECOMES_PAST if replace else Taken.REFUSES
