"""Hyperdrive: what a driver needs to reach a database. Here that is the local one, and nothing stands between."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from edgeagents.errors import ConfigError, EdgeAgentsError

__all__ = ["Hyperdrive", "HyperdriveError", "hyperdrive_of"]

_PORTS: Final = {"postgres": 5432, "postgresql": 5432, "mysql": 3306}
_VARIABLES: Final = (
    "CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
    "WRANGLER_HYPERDRIVE_LOCAL_CONNECTION_STRING_",
)


class HyperdriveError(EdgeAgentsError):
    """Hyperdrive cannot do this here."""


class Hyperdrive:
    """A database: a connection string and its parts."""

    js_name: ClassVar[str] = "Hyperdrive"

    def __init__(self, connection_string: str) -> None:
        """Raises ValueError, which says what is wrong, for a string that names no database."""
        self._text = connection_string
        self._parts = _checked(connection_string)

    @property
    def connection_string(self) -> str:
        """All of it, such as ``postgres://user:password@localhost:5432/name``."""
        return self._text

    @property
    def host(self) -> str:
        """The host."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """The port; that of the kind of database when the string has none."""
        return self._parts.port or _PORTS[self._parts.scheme]

    @property
    def user(self) -> str:
        """The name to log in with."""
        return unquote(self._parts.username or "")

    @property
    def password(self) -> str:
        """The password to log in with."""
        return unquote(self._parts.password or "")

    @property
    def database(self) -> str:
        """The name of the database."""
        return unquote(self._parts.path[1:])

    def connect(self) -> NoReturn:
        """Raise: there is no socket of Cloudflare's here."""
        raise HyperdriveError(
            "connect() gives a socket of Cloudflare's runtime, which is not there. "
            "Let the database's driver connect to host and port."
        )

    def __repr__(self) -> str:
        return f"<Hyperdrive {self._parts.scheme} at {self.host}:{self.port}>"


def _checked(text: str) -> SplitResult:
    parts = urlsplit(text)
    if parts.scheme not in _PORTS:
        kinds = ", ".join(f"{kind}:" for kind in _PORTS)
        raise ValueError(f"it begins with one of {kinds}")
    _ = parts.port  # Raises ValueError for a port that is none.
    missing = {
        "a host": parts.hostname,
        "a user": parts.username,
        "a password": parts.password,
        "the name of a database": parts.path.strip("/"),
    }
    for what, value in missing.items():
        if not value:
            raise ValueError(f"it has no {what.partition(' ')[2]}")
    return parts


def hyperdrive_of(name: str, options: Mapping[str, Any]) -> Hyperdrive:
    """Return what a binding declares. The variable of the process goes before ``localConnectionString``."""
    variables = [f"{prefix}{name}" for prefix in _VARIABLES]
    text = next((os.environ[variable] for variable in variables if os.environ.get(variable)), None)
    text = text or options.get("localConnectionString")
    if not text:
        raise ConfigError(
            f"The Hyperdrive {name!r} has no local database. Set its localConnectionString, or the variable "
            f"{variables[0]}, to a string such as postgres://user:password@localhost:5432/name."
        )
    try:
        return Hyperdrive(str(text))
    except ValueError as error:
        # The string has a password in it: it is not shown.
        raise ConfigError(f"The connection string of the Hyperdrive {name!r} cannot be used: {error}.") from None
