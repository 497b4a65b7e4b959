"""Origins: which web pages may use an agent, and under which names a server answers.

A browser sends cookies with what any page asks of it, and lets any page open a WebSocket. So a handshake, and a request
that changes something, is refused when a browser says that it comes from a page of another site: by ``Sec-Fetch-Site``,
which no page can forge and no proxy changes, or else by ``Origin``, which must have the host of the request. A client
that sends neither is no browser, and is not what this is about: it has nobody's cookies.

A page may also make its own name lead to this machine, and is then of the same origin (DNS rebinding). Against that
helps only to know one's own names: ``Hosts``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Literal

from edgeagents.errors import ConfigError
from edgeagents.http.request import Request
from edgeagents.http.response import Response

__all__ = ["SAFE_METHODS", "AllowedOrigins", "Hosts", "Origins", "is_loopback"]

AllowedOrigins = Iterable[str] | Literal["*"] | None
"""Origins such as ``https://app.example.com``; ``"*"`` is every site, None is a server's own pages alone."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN = frozenset({"same-origin", "none"})
_TELLING = ("sec-fetch-site", "origin", "host", "cookie")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+")


class Origins:
    """Whose pages may change something or open a WebSocket.

    ``cors`` are headers of answers. Where they let every site read (``*``), a page of any site may use the agents
    too, but without its visitor's cookies, as with CORS itself; an origin that they name is allowed in full.
    """

    def __init__(self, allowed: AllowedOrigins = None, *, cors: Mapping[str, str] | None = None) -> None:
        if isinstance(allowed, str) and allowed != "*":
            raise ConfigError(f"allowed_origins is a list of origins, None or '*', not {allowed!r}.")
        self.allows_all = allowed == "*"
        names = [] if allowed is None or self.allows_all else list(allowed)
        named = next((value for name, value in (cors or {}).items() if name.lower() == _ALLOW_ORIGIN), "")
        self._is_open_without_cookies = named == "*"
        if named not in ("", "*", "null"):
            names.append(named)
        self._allowed = frozenset(map(_origin, names))

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a page that may not do this, else None. Ask it for handshakes and unsafe methods."""
        return None if self.allows_all else self._refusal(request)

    def _refusal(self, request: Request) -> Response | None:
        told = request.headers_named(_TELLING)
        site, origin = told.get("sec-fetch-site"), told.get("origin")
        if site in _OWN or (site is None and origin is None):
            return None
        if origin is not None:
            origin = origin.lower()
            if origin in self._allowed:
                return None
        host = told["host"] if "host" in told else request.url.partition("://")[2].partition("/")[0]
        host = host.lower()
        if origin is not None and site != "cross-site":
            from_host = origin.partition("://")[2]
            if site is None and from_host == host:
                return None
            # Two servers of one machine, as a front end's development server and this one.
            if is_loopback(from_host) and is_loopback(host):
                return None
        if self._is_open_without_cookies and "cookie" not in told:
            return None
        return Response(f"Pages of {_shown(origin)} may not use this agent.", status=403)


_ALLOW_ORIGIN = "access-control-allow-origin"


class Hosts:
    """The names that a server answers to: ``example.com``, ``.example.com`` with all below it, or ``*`` for any."""

    def __init__(self, allowed: Iterable[str]) -> None:
        if isinstance(allowed, str):
            raise ConfigError(f"allowed_hosts is a list of names, not {allowed!r}.")
        names = [name.lower() for name in allowed]
        self.allows_all = "*" in names
        self._names = frozenset(name.removeprefix(".") for name in names)
        self._below = tuple(name for name in names if name.startswith("."))

    def allows(self, host: str) -> bool:
        """Return whether ``host``, with or without a port, is one of the names."""
        name = _without_port(host).lower().removesuffix(".")
        return self.allows_all or name in self._names or (bool(self._below) and name.endswith(self._below))


def is_loopback(host: str) -> bool:
    """Return whether ``host``, with or without a port, is this machine by a name that cannot lead anywhere else."""
    name = _without_port(host).lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _origin(text: str) -> str:
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ConfigError(f"{text!r} is not an origin: it is a scheme and a host, such as 'https://app.example.com'.")
    scheme, _, host = origin.partition("://")
    return origin.removesuffix({"http": ":80", "https": ":443"}.get(scheme, "/")) if host else origin


def _shown(origin: str | None) -> str:
    return "another site" if origin is None or not _ORIGIN.fullmatch(origin) else origin
