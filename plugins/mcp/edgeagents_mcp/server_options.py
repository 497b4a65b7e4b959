"""What a server is added with: its id and URL in their one spelling, and the options that there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from edgeagents_mcp.errors import McpServerError

__all__ = ["LONGEST_SERVER_ID", "check_options", "normal_url", "normalize_server_id"]

LONGEST_SERVER_ID: Final = 64
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_KNOWN: Final = {
    "transport": ("headers", "type"),
    "client": ("client_info", "log_level", "mode", "read_timeout_seconds"),
}
_TRANSPORTS: Final = ("auto", "streamable-http", "sse")


def normalize_server_id(id: str) -> str:
    """Return the form that an id has in tables and names of tools: small letters, digits, ``-`` and ``_``."""
    found = re.sub(r"-+", "-", re.sub(r"[^a-z0-9_-]+", "-", id.lower()))
    found = re.sub(r"^[-_]+|[-_]+$", "", found)
    if not re.match("[a-z]", found):
        found = f"id-{found}".rstrip("-")
    return found[:LONGEST_SERVER_ID].rstrip("-")


def normal_url(url: str) -> str:
    """Return a URL as browsers write it, so that two spellings are one server. Raises ``McpServerError`` for none."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not parts.scheme or not host:
        raise McpServerError(f"Invalid URL: {url!r} is not the URL of an MCP server.")
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, f"{login}{host}", parts.path or "/", parts.query, ""))


def check_options(transport: Mapping[str, Any], client: Mapping[str, Any]) -> None:
    """Raise TypeError for an option that there is not."""
    for name, given in (("transport", transport), ("client", client)):
        known = _KNOWN[name]
        if unknown := given.keys() - set(known):
            raise TypeError(
                f"{name}= of add_mcp_server() has {', '.join(map(repr, sorted(unknown)))}, which is not known. "
                f"Known: {', '.join(known)}."
            )
    if transport.get("type", "auto") not in _TRANSPORTS:
        raise TypeError(f"The type of a transport is one of {', '.join(_TRANSPORTS)}, not {transport['type']!r}.")
