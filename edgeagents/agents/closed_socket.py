"""A WebSocket that is accepted only to say why it is closed: browsers show nothing of a refused handshake."""

from __future__ import annotations

import json
import traceback

from edgeagents.agents.told_errors import told
from edgeagents.http import Response
from edgeagents.objects.websocket import web_socket_pair
from edgeagents.redaction import redact

__all__ = ["closed_socket", "failed_session"]

_SETUP_FAILED = "Uncaught exception during session setup"


def closed_socket(code: int, reason: str, message: str | None = None) -> Response:
    """Answer a handshake with a socket that is closed, after ``message`` if there is one."""
    client, server = web_socket_pair()
    server.accept()
    if message is not None:
        server.send(message)
    server.close(code, reason)
    return Response(status=101, websocket=client)


def failed_session(error: Exception, *, debug: bool) -> Response:
    """Answer a handshake that ``error`` has cut short. Only with ``debug`` the client sees where it comes from."""
    text = redact("".join(traceback.format_exception(error))) if debug else told(error)
    return closed_socket(1011, _SETUP_FAILED, json.dumps({"error": text}))
