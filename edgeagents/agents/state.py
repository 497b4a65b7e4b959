"""Synced state: one JSON value that an agent keeps, and that all its clients see.

Always the whole value, last write wins. The order of a change is fixed: validated, written, remembered, sent to the
clients, then told to the agent. In a transaction the clients hear of it when that has ended, and of none that was
rolled back. Whoever is told, and how frames are sent, is handed in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from edgeagents.agents import protocol
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.state_type import StateType
from edgeagents.agents.tables import Tables
from edgeagents.errors import AgentError, ReadonlyConnection

if TYPE_CHECKING:
    from edgeagents.agents.connections import Connection

__all__ = ["UNSET", "SyncedState"]

_ROW = "cf_state_row_id"
_REPLACE = "INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES (?, ?)"
_CREATE = "CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)"


class _Unset:
    """No state: neither given nor stored. None is a state like any other."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = _Unset()


class SyncedState(Capability):
    """Keeps the state and passes it on."""

    def __init__(
        self,
        host: CapabilityHost,
        *,
        initial: Callable[[], Any],
        validate: Callable[[Any, Any], object] | None,
        changed: Callable[[Any, Any], object] | None,
        kind: StateType | None = None,
    ) -> None:
        super().__init__(host)
        self._database = database = host.ctx.storage.database
        self._table = Tables(database, "cf_agents_state", _CREATE)
        self._connections = host.connections
        self._logger: logging.Logger = host.ctx.logger
        self._initial, self._validate, self._changed = initial, validate, changed
        self._kind = kind
        self._value: Any = UNSET
        self._is_seeding = False
        self._is_read = False
        # Sync handlers run in a thread: what is written, remembered and sent must stay in one order.
        self._lock = threading.RLock()
        self._loop = asyncio.get_running_loop()
        self._text: str | None = None

    @property
    def value(self) -> Any:
        """The state, or ``UNSET``. Seeded with the initial state when it is first looked at."""
        if self._value is UNSET:
            self._load()
        return self._value

    def get(self) -> Any:
        """Return the state, None also when there is none."""
        return None if self.value is UNSET else self.value

    def to_frame(self) -> str | None:
        """Return the frame that carries the state, or None when there is none."""
        with self._lock:
            value = self.value
            if value is UNSET:
                return None
            if self._text is None:
                self._text = protocol.encode(value)
            return protocol.state_frame(self._text)

    def set(self, value: Any, source: Connection[Any] | Literal["server"] = "server") -> None:
        """Make ``value`` the state. ``source`` is the connection that asked for it, which is not told.

        What JSON only knows in another form, such as a datetime, becomes the state in that form, as it will be when it
        is read back, unless the state has a type. Raises what the validator raises, and TypeError or
        ValueError when the value has no form in JSON, or is not of the state's type.
        """
        if self._kind is not None:
            value = self._kind.read(value)
            text = protocol.encode(value)
        else:
            value, text = protocol.encode_plain(value)
        if self._validate is not None:
            self._validate(value, source)
        with self._lock:
            self._table.insert(_REPLACE, _ROW, text)
            self._value, self._text = value, text
            frame, teller = protocol.state_frame(text), None if isinstance(source, str) else source
            if self._database.held:
                self._database.follow(lambda: self._tell(frame, teller), self._forget)
            else:
                self._tell(frame, teller)
        self.host.emit("state:update")
        if self._changed is not None:
            self._changed(value, source)

    def is_as_kept(self) -> bool:
        """Whether the state still is what was written: not so when it was changed in place. Encodes all of it."""
        with self._lock:
            if self._value is UNSET or self._text is None:
                return True
            try:
                text = protocol.encode(self._value)
            except (TypeError, ValueError):
                return False
            # What is stored may have been written by another hand: with other spaces, or without fields that are new.
            return text == self._text or text == protocol.encode(self._stored(json.loads(self._text)))

    def _forget(self) -> None:
        # A transaction was rolled back: the state is what it was before.
        with self._lock:
            self._value, self._text, self._is_read = UNSET, None, False

    def _tell(self, frame: str, source: Connection[Any] | None) -> None:
        if self.host.ctx.is_on_loop:
            self._connections.broadcast_protocol(frame, source)
        else:
            # A message that a sync handler sends in its thread commits what it wrote so far. The state is no such
            # message: it is one of the handler's writes, and is told when they are kept.
            self._loop.call_soon_threadsafe(self._connections.broadcast_protocol, frame, source)

    async def frame(self, connection: Connection[Any], frame: Mapping[str, Any]) -> bool:
        """Take a client's change of the state."""
        change = protocol.read_state_change(frame)
        if change is None:
            return False
        if connection.is_readonly:
            self._connections.send(connection, protocol.state_error_frame(str(ReadonlyConnection())))
            return True
        try:
            self.set(change.state, connection)
        except Exception as error:
            # What is wrong with it may be no business of the client's.
            self._logger.warning(
                "%s: the state sent by %r was rejected: %s", self.host.title, connection, error, exc_info=error
            )
            self._connections.send(connection, protocol.state_error_frame("State update rejected"))
        return True

    def _load(self) -> None:
        with self._lock:
            if self._value is not UNSET:
                return
            if not self._is_read:
                self._is_read = True
                text = self._read()
                if text is not UNSET:
                    try:
                        value, self._text = json.loads(text), text
                    except (TypeError, ValueError):
                        self._logger.error("The stored state is not JSON: falling back to initial_state.")
                    else:
                        self._value = self._stored(value)
                        return
            initial = self._initial()
            if initial is UNSET:
                return
            if self._is_seeding:
                # A validator looks at the state that it is asked to let in.
                self._value = initial
                return
            self._is_seeding = True
            try:
                # A copy: the initial state belongs to the class, and one agent must not change another's.
                self.set(json.loads(protocol.encode(initial)))
            except BaseException:
                self._value = UNSET
                raise
            finally:
                self._is_seeding = False

    def _stored(self, value: Any) -> Any:
        if self._kind is None:
            return value
        try:
            return self._kind.read(value)
        except ValueError as error:
            # It is whole, only of an older form: to fall back to the initial state would lose it.
            self._is_read = False
            raise AgentError(
                f"The stored state of {self.host.class_name} {self.host.name!r} is not what its type asks for: "
                f"{error}. "
                "Give new fields a default, or mark them NotRequired in a TypedDict; or write the state anew with SQL "
                "in on_start (table cf_agents_state): docs/storage.md, 'When your tables change'."
            ) from error

    def _read(self) -> Any:
        rows = self._table.fetch("SELECT state FROM cf_agents_state WHERE id = ?", _ROW)
        return rows[0][0] if rows else UNSET
