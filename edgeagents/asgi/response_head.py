"""The head of a response on its way to a server: which fields go out, and which are the server's own."""

from __future__ import annotations

import logging

from edgeagents.http import Response

__all__ = ["head_fields"]

_log = logging.getLogger("edgeagents.asgi")

# Framing and the connection belong to the server: set twice, they would contradict each other.
SERVER_FIELDS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def head_fields(response: Response, drop: frozenset[str] = frozenset()) -> list[tuple[bytes, bytes]]:
    """Return the header fields to send, without those of the server and those in ``drop``."""
    fields: list[tuple[bytes, bytes]] = []
    for name, value in response.headers:
        name = name.lower()
        if name in SERVER_FIELDS:
            _log.debug("The header %r (%r) of a response is dropped: the server owns it.", name, value)
        elif name not in drop:
            fields.append((name.encode("latin-1", "replace"), _encode(value)))
    return fields


def _encode(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
