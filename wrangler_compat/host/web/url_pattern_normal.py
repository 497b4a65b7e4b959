"""The parts of URLs as they are written after parsing, for patterns, which have only some of them."""

from __future__ import annotations

import re
from typing import Final

import ada_url

from wrangler_compat.host.web.url_pattern_parts import refuse

__all__ = [
    "DEFAULT_PORTS",
    "normal_address",
    "normal_hash",
    "normal_hostname",
    "normal_opaque_path",
    "normal_password",
    "normal_pathname",
    "normal_port",
    "normal_protocol",
    "normal_search",
    "normal_username",
]

DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21", "file": ""}
_DUMMY: Final = "https://dummy.test"


def _set(name: str, value: str, url: str = _DUMMY) -> str:
    made = ada_url.URL(url)
    try:
        setattr(made, name, value)
    except ValueError:
        raise refuse() from None
    return getattr(made, name)


def normal_protocol(value: str) -> str:
    """Return a protocol, without its colon."""
    if not value:
        return value
    try:
        return ada_url.URL(f"{value}://dummy.test").protocol.removesuffix(":")
    except ValueError:
        raise refuse() from None


def normal_username(value: str) -> str:
    """Return a user's name."""
    return _set("username", value) if value else value


def normal_password(value: str) -> str:
    """Return a password."""
    return _set("password", value) if value else value


def normal_hostname(value: str) -> str:
    """Return a host's name, or a piece of one."""
    if not value:
        return value
    made = ada_url.URL(_DUMMY)
    try:
        made.hostname = value
    except ValueError:
        # Digits of which there would have to be more to make an address, as those in ``:name.1``.
        if value.strip(".0123456789"):
            raise refuse() from None
        return value
    return made.hostname


def normal_address(value: str) -> str:
    """Return a host's address of IPv6, or a piece of one."""
    if not re.fullmatch(r"[0-9A-Fa-f\[\]:]*", value):
        raise refuse()
    return value.lower()


def normal_port(value: str, protocol: str = "") -> str:
    """Return a port; that of the protocol by default is none."""
    if not value:
        return value
    made = ada_url.URL(f"{protocol}://dummy.test" if protocol in DEFAULT_PORTS else "fake://dummy.test")
    try:
        made.port = value
    except ValueError:
        raise refuse() from None
    return made.port


def normal_pathname(value: str) -> str:
    """Return a path, or a piece of one that need not begin with a slash."""
    if not value:
        return value
    return _set("pathname", value) if value.startswith("/") else _set("pathname", f"/-{value}")[2:]


def normal_opaque_path(value: str) -> str:
    """Return what stands behind a protocol that has no hosts."""
    return ada_url.URL(f"data:{value}").pathname if value else value


def normal_search(value: str) -> str:
    """Return a query, without its question mark."""
    return _set("search", value).removeprefix("?") if value else value


def normal_hash(value: str) -> str:
    """Return a fragment, without its hash."""
    return _set("hash", value).removeprefix("#") if value else value
