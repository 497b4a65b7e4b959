"""Limits: what an object and its clients may use. Each has Cloudflare's figure, or a safe one, as its default.

Every error that comes of one names the field here, what it is set to and that it can be set. ``docs/limits.md`` has
them all in a table.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

from edgeagents.errors import ConfigError
from edgeagents.objects.budget import Budget

__all__ = ["Limits"]

_MIB: Final = 1024 * 1024

_CLOUDFLARE: Final[Mapping[str, int]] = {
    "value_bytes": 2 * _MIB,
    "row_bytes": 4 * _MIB,
    "statement_bytes": 100_000,
    "sql_parameters": 100,
    "sql_columns": 100,
    "attachment_bytes": 16_384,
    "auto_response_bytes": 2_048,
    "socket_tags": 10,
    "socket_tag_characters": 256,
}
"""What ``strict`` holds to: a program that goes beyond it would not run there."""


@dataclass(frozen=True)
class Limits:
    """How much is allowed. Bytes and seconds; None means no limit. Raises ``ConfigError`` for what cannot be."""

    # Requests

    body_bytes: int | None = None
    """A whole request body. A stream that is read piece by piece needs no limit to keep memory flat. More: 413."""
    buffered_body_bytes: int = 32 * _MIB
    """A body that a handler reads at once (``json()``, ``text()``, ``bytes()``, ``form()``). More: 413."""
    url_bytes: int = 16 * 1024
    """A request's path and query. More: 414."""
    header_bytes: int = 128 * 1024
    """The names and values of a request's headers together. More: 431."""
    headers: int = 256
    """How many headers a request may have. More: 431."""
    json_depth: int | None = 250
    """How deep JSON from a client may nest: no deeper than what is stored. Deeper: 400, close code 1009 for a frame."""

    # WebSockets

    frame_bytes: int = 32 * _MIB
    """One WebSocket message from a client, after inflation. More: close code 1009."""
    send_queue_bytes: int = 16 * _MIB
    """What may wait for one client that reads slowly. More: close code 1013."""
    send_queue_frames: int = 4096
    """How many messages may wait for one client. More: close code 1013."""
    sockets_per_object: int = 32_768
    """WebSockets of one object. More: close code 1013."""
    sockets_per_address: int | None = None
    """WebSockets from one client address, in one process. More: 429. Behind a proxy it may be the address of all."""
    messages_in_flight: int = 64
    """Messages of one socket that may be handled at once before no more are read from it."""
    attachment_bytes: int = 16_384
    """What stays with a WebSocket while its object is not in memory. More: ``ValueError``."""
    auto_response_bytes: int = 2_048
    """An automatic request or response. More: ``ValueError``."""
    socket_tags: int = 10
    """Tags of one WebSocket. More: ``ValueError``."""
    socket_tag_characters: int = 256
    """The length of a tag. More: ``ValueError``."""

    # Objects

    events_per_object: int = 10_000
    """Events that may be with one object at once. More: ``ObjectOverloaded``, 503, or close code 1013."""
    idle_seconds: float = 10.0
    """How long an object without anything to do stays in memory."""
    critical_section_seconds: float | None = 30.0
    """How long a start, ``block_concurrency_while`` or ``transaction`` may take before the object is reset."""
    blocked_seconds: float | None = 1.0
    """How long an object's code may keep the event loop for itself before that is reported."""
    alarms_at_once: int = 64
    """Alarms that run at the same time in one process; more of them wait their turn."""
    object_name_bytes: int = 2_048
    """The name of an object."""
    budget: Budget | None = None
    """How much an agent may spend on models, unless its class says so in ``options``. More: ``BudgetExceeded``, 429."""
    facet_depth: int = 16
    """How many facets may stand below one another. A path that a client sends may ask for many."""

    # Storage

    strict: bool = True
    """Whether storage and sockets have no more than Cloudflare's figures. False: they may be set higher."""
    value_bytes: int = _CLOUDFLARE["value_bytes"]
    """A key and its value together. More: ``StorageLimitError``."""
    row_bytes: int = _CLOUDFLARE["row_bytes"]
    """A row, text or blob of SQL. More: ``SqlError`` with SQLITE_TOOBIG."""
    statement_bytes: int = _CLOUDFLARE["statement_bytes"]
    """The text of a SQL statement. More: ``SqlError`` with SQLITE_TOOBIG."""
    sql_parameters: int = _CLOUDFLARE["sql_parameters"]
    """Values bound to one SQL statement. More: ``SqlError``."""
    sql_columns: int = _CLOUDFLARE["sql_columns"]
    """Columns of a table, index or result. More: ``SqlError``."""
    sql_rows: int | None = 1_000_000
    """Rows that are fetched at once (``to_array()``, ``agent.sql()``). More: ``SqlLimitError``; iterate instead."""
    sql_seconds: float | None = 30.0
    """How long SQLite may work without a pause. Longer: ``SqlLimitError``."""
    open_databases: int | None = None
    """Database files that a process has open. More: the one unused for longest is closed, and opened when it is
    needed. None: what an eighth of the file descriptors that the process may open allows, at most 4096.
    """

    def __post_init__(self) -> None:
        for name, kinds in _kinds().items():
            value = getattr(self, name)
            if type(value) not in kinds and not (type(value) is int and float in kinds):
                raise ConfigError(f"Limits({name}={value!r}): it is {' or '.join(map(_in_words, kinds))}.")
            if isinstance(value, int | float) and not value >= 0:
                raise ConfigError(f"Limits({name}={value!r}): a limit is not negative.")
        if self.value_bytes > self.row_bytes:
            raise ConfigError(
                f"Limits(value_bytes={self.value_bytes}, row_bytes={self.row_bytes}): a value is kept in a row, "
                "so it cannot be larger."
            )
        if not self.strict:
            return
        for name, figure in _CLOUDFLARE.items():
            if getattr(self, name) > figure:
                raise ConfigError(
                    f"Limits({name}={getattr(self, name)}) is more than Cloudflare's {figure}. "
                    f"Say that you mean it: Limits({name}={getattr(self, name)}, strict=False)."
                )

    @classmethod
    def read(cls, texts: Mapping[str, str]) -> Limits:
        """Return the limits that ``texts`` say by name, as a command line or environment variable has them."""
        values: dict[str, Any] = {}
        for name, text in texts.items():
            if name not in _FIELDS_READ:
                raise ConfigError(f"There is no limit {name!r}. There are: {', '.join(sorted(_FIELDS_READ))}.")
            values[name] = _read(name, text, _kinds()[name])
        return cls(**values)


_FIELDS_READ: Final = frozenset(field.name for field in fields(Limits)) - {"budget"}


@cache
def _kinds() -> Mapping[str, tuple[type, ...]]:
    hints = typing.get_type_hints(Limits).items()
    return {name: typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,) for name, hint in hints}


def _in_words(kind: type) -> str:
    words = {int: "a whole number", float: "a number", bool: "True or False", types.NoneType: "None"}
    return words.get(kind, f"a {kind.__name__}")


def _read(name: str, text: str, kinds: tuple[type, ...]) -> Any:
    lower = text.strip().lower()
    if type(None) in kinds and lower in ("none", ""):
        return None
    if bool in kinds and lower in ("true", "false"):
        return lower == "true"
    number = float if float in kinds else int
    if number in kinds:
        with suppress(ValueError):
            return number(lower.replace("_", ""))
    raise ConfigError(f"The limit {name!r} cannot be {text!r}.")
