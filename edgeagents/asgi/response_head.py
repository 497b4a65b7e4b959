"""The head of a response on its way to a server: which fields go out, and which are the server's own."""

from __future__ import annotations

import logging

from edgeagents.http import Response
from edgeagents.http.header_fields import FIELD_NAMES, check_value

__all__ = ["head_fields"]

_log = logging.getLogger("edgeagents.asgi")

# Framing and the connection belong to the server: set twice, they would contradict each other.
SERVER_FIELDS = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def head_fields(response: Response, drop: frozenset[bytes] = frozenset()) -> list[tuple[bytes, bytes]]:
    """Return the header fields to send, without those of the server and those in ``drop``.

    Raises ``ValueError`` for a name or value that no header can have.
    """
    fields: list[tuple[bytes, bytes]] = []
    for name, value in response.headers:
        field = FIELD_NAMES[name]
        if field in SERVER_FIELDS:
            _log.debug("The header %r (%r) of a response is dropped: the server owns it.", name, value)
        elif field not in drop:
            if not value.isprintable():
                check_value(name, value)
            # Some servers end the connection over a blank at either end.
            fields.append((field, _encode(value).strip()))
    return fields


def _encode(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")
