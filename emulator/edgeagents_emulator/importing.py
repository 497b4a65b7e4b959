"""``edgeagents import-wrangler-state``: what ``wrangler dev`` has kept, copied into the state folder.

Key-value namespaces, buckets and databases are copied by their plugins, Durable Objects here. They keep their ids: the
class's namespace then has ids in wrangler's form, made from the same names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, StorageError
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.objects.alarms import alarm_to_keep
from edgeagents.objects.ids import HALF, ObjectId, id_from_name, id_from_string
from edgeagents.objects.kv import KeyValueTable
from edgeagents.objects.sqlite import Database
from edgeagents.placement import FolderClaim
from edgeagents.plugins import load_plugins
from edgeagents.state_folder import StateFolder
from edgeagents_emulator.local_state import LocalState, with_local_state
from wrangler_compat.v8_values import NotReadable, read_v8_value
from wrangler_compat.wrangler_state import ForeignObject, WranglerState, copied

__all__ = ["Importing", "import_wrangler_state"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PUT: Final = "INSERT OR REPLACE INTO _cf_METADATA VALUES (?, ?)"
# Under this key some libraries keep the name of an object.
_NAME_KEY: Final = "__ps_name"


class Importing:
    """Where things are copied to. With ``replaces`` they take the place of what is there."""

    def __init__(self, state: LocalState, *, replaces: bool) -> None:
        self._state = state
        self.replaces = replaces
        self.folder, self.stores, self.clock, self.rng = state.folder, state.stores, state.clock, state.rng

    def places(
        self,
        source: WranglerState,
        folder: str,
        kind: str,
        option: str,
        target_of: Callable[[BindingDeclaration], str],
    ) -> list[tuple[str, str]]:
        """Return the resources of a kind that may be in ``source``: their ids there, and here."""
        found = {name: name for name in source.names(folder)}
        for declaration in self._state.declared(kind):
            found[declaration.options.get(option) or declaration.name] = target_of(declaration)
        return sorted(found.items())


@click.command("import-wrangler-state")
@click.option("--from", "folder", metavar="DIR", help="Default: .wrangler/state beside the configuration.")
@click.option("--replace", is_flag=True, help="Put what is copied in the place of what is there.")
@with_local_state
def import_wrangler_state(state: LocalState, folder: str | None, replace: bool) -> None:
    """Copy what `wrangler dev` has kept (KV, R2, D1, Durable Objects) into the state folder.

    What is there already stays, so it can be done again. What could not be read is told.
    """
    source = WranglerState(Path(folder) if folder else state.config.directory / ".wrangler" / "state")
    claim = FolderClaim(state.folder)
    claim.take_whole()
    try:
        importing = Importing(state, replaces=replace)
        load_plugins().hook.import_state(source=source, state=importing)
        _Objects(source, importing).copy()
    finally:
        claim.release()
    source.tell_left()
    for line in source.done:
        click.echo(line)
    for line in source.left:
        click.echo(f"Not read: {line}")
    if not source.done:
        click.echo(f"There was nothing to copy in {source.root}.")


class _Objects:
    def __init__(self, source: WranglerState, state: Importing) -> None:
        self._source, self._state = source, state
        self._folder = StateFolder(state.folder, may_be_made=True)
        self._keys = NamespaceKeys.read(state.folder)

    def copy(self) -> None:
        """Copy all objects, class by class."""
        classes: dict[str, list[ForeignObject]] = {}
        for each in self._source.objects():
            classes.setdefault(each.folder, []).append(each)
        for folder, objects in classes.items():
            worker, _, name = folder.rpartition("-")
            key, before = HALF + folder, self._keys.key(worker, name)
            if before != key and any(self._folder.agents(before)):
                self._source.left.append(
                    f"do {folder}: {name} has objects in {self._state.folder} already, with ids of another form"
                )
                continue
            kept = sum(self._copy(each, key) for each in objects)
            self._keys.keys.setdefault(worker, {})[name] = key
            self._keys.write(self._state.folder)
            self._source.done.append(f"do {folder}: {kept} of {len(objects)} objects copied")

    def _copy(self, found: ForeignObject, key: str) -> bool:
        try:
            object_id = id_from_string(key, found.digits)
            with copied(found.path) as copy:
                named = self._convert(copy, found, key, object_id)
                self._folder.adopt(copy, key, named, replace=self._state.replaces)
                return True
        except ConfigError:
            return False  # It is there.
        except (TypeError, sqlite3.Error, StorageError, NotReadable) as error:
            self._source.left.append(f"do {found.folder} {found.digits}: {error}")
            return False

    def _convert(self, copy: Path, found: ForeignObject, key: str, object_id: ObjectId) -> ObjectId:
        """Put our own tables in the place of those of the other runtime; return the id with the name, if known."""
        with closing(sqlite3.connect(copy)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            pairs = connection.execute("SELECT key, value FROM _cf_KV").fetchall() if "_cf_KV" in tables else []
            alarm = (
                connection.execute("SELECT value FROM _cf_METADATA WHERE key = 1 AND value IS NOT NULL").fetchone()
                if "_cf_METADATA" in tables
                else None
            )
            for table in tables:
                if table.startswith("_cf_"):
                    connection.execute(f'DROP TABLE "{table}"')
            connection.commit()
        values: dict[str, Any] = {}
        for name, data in pairs:
            try:
                values[name] = read_v8_value(data)
            except NotReadable as error:
                self._source.left.append(f"do {found.folder} {found.digits}, key {name!r}: {error}")
        stored_name = values.get(_NAME_KEY)
        if isinstance(stored_name, str) and id_from_name(key, stored_name).equals(object_id):
            object_id = ObjectId(object_id.digits, stored_name)
        database = Database.open(copy)
        try:
            table = KeyValueTable(database)
            for name, value in values.items():
                table.put(name, value)
            if alarm is not None:
                due = _EPOCH + timedelta(microseconds=alarm[0] // 1000)
                database.fetch(_PUT, ("alarm", alarm_to_keep(due)))
            if not values:
                database.fetch(_PUT, ("imported", 1))  # So that our tables are there.
            database.commit()
        finally:
            database.close()
        return object_id
