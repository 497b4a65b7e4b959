"""Answers that are JSON-RPC errors, in the words that MCP clients know."""

from __future__ import annotations

from typing import Any

from edgeagents.http import Response

__all__ = ["INVALID_REQUEST", "PARSE_ERROR", "SERVER_ERROR", "SESSION_NOT_FOUND", "refuse", "session_not_found"]

SERVER_ERROR = -32000
SESSION_NOT_FOUND = -32001
INVALID_REQUEST = -32600
PARSE_ERROR = -32700


def refuse(status: int, code: int, message: str, data: Any = None) -> Response:
    """Answer with an error that belongs to no request."""
    error = {"code": code, "message": message} if data is None else {"code": code, "message": message, "data": data}
    return Response.from_json({"error": error, "id": None, "jsonrpc": "2.0"}, status=status)


def session_not_found() -> Response:
    """Answer a request with the id of a session that there is not, or not any more."""
    return refuse(404, SESSION_NOT_FOUND, "Session not found")
