"""Addresses: the URL that a client asked for, and the path that routing looks at, out of a scope.

Nothing is decoded, and nothing here fails: a scope without ``raw_path``, a ``host`` that is no host and bytes that
no URL may hold all give the nearest URL. Servers and frameworks differ in what they do to a path that is mounted
under a ``root_path``: most leave it in ``path``, some take it out, and ``raw_path`` may follow or not.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from edgeagents.asgi.types import Scope

__all__ = ["full_url", "route_path"]

_NOT_IN_A_URL = re.compile(rb"[^\x21-\x7e]")
_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEMES = {"ws": "http", "wss": "https"}
_SAFE = "/:@!$&'()*+,;=-._~"


def route_path(scope: Scope) -> str:
    """Return the path below the mount point, percent-encoded as it was sent."""
    raw = _raw_path(scope)
    root = scope.get("root_path")
    if not root:
        return raw
    end = _end_of_root(raw, root)
    return raw if end is None else raw[end:] or "/"


def full_url(scope: Scope) -> str:
    """Return the URL that the client asked for, percent-encoded as it was sent. WebSockets have ``http`` URLs."""
    scheme = scope.get("scheme") or "http"
    scheme = _SCHEMES.get(scheme, scheme)
    path = _raw_path(scope)
    root = scope.get("root_path")
    if root and _end_of_root(path, root) is None:
        path = quote(root, safe=_SAFE, errors="replace").rstrip("/") + path
    query = scope.get("query_string")
    url = f"{scheme}://{_authority(scope, scheme)}{path}"
    return f"{url}?{_text(query)}" if query else url


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path")
    if raw:
        path = _text(raw)
        if "?" in path:
            path = path.partition("?")[0]
    else:
        path = quote(scope.get("path") or "/", safe=_SAFE, errors="replace")
    if path.startswith("/"):
        return path
    # A request to a proxy names the whole URL.
    _, scheme, rest = path.partition("://")
    return f"/{rest.partition('/')[2]}" if scheme else f"/{path}"


def _end_of_root(raw: str, root: str) -> int | None:
    """Return where ``root`` ends in ``raw``, or None when it does not begin with it."""
    root = root.rstrip("/")
    end = len(root)
    if raw.startswith(root) and raw[end : end + 1] in ("", "/"):
        return end
    if "%" not in raw:
        return None
    # The mount point may have been sent percent-encoded: see which of the first segments decode to it.
    end = raw.find("/", 1)
    while True:
        head = raw if end < 0 else raw[:end]
        decoded = unquote(head)
        if decoded == root:
            return len(head)
        if end < 0 or len(decoded) > len(root):
            return None
        end = raw.find("/", end + 1)


def _authority(scope: Scope, scheme: str) -> str:
    for name, value in scope.get("headers") or ():
        if name == b"host":
            if _HOST.fullmatch(value):
                return value.decode("ascii")
            break
    server: Any = scope.get("server")
    if not server or not server[0] or server[1] is None:
        return "localhost"
    host, port = server[0], server[1]
    if ":" in host:
        host = f"[{host}]"
    return host if port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


def _text(raw: bytes) -> str:
    if _NOT_IN_A_URL.search(raw):
        raw = _NOT_IN_A_URL.sub(lambda found: b"%%%02X" % found.group()[0], raw)
    return raw.decode("ascii")
