"""CORS: what MCP clients in browsers may send and see."""

from __future__ import annotations

from collections.abc import Mapping

from edgeagents.http import Response

__all__ = ["CorsOptions", "cors_headers", "preflight", "with_cors"]

CorsOptions = Mapping[str, str | int]
"""``origin``, ``headers``, ``methods``, ``expose_headers`` and ``max_age``, each instead of its default."""

_SENT = "Content-Type, Accept, Authorization, mcp-session-id, MCP-Protocol-Version, Mcp-Method, Mcp-Name"


def cors_headers(options: CorsOptions | None) -> dict[str, str]:
    """Return the headers that tell a browser what is allowed. Raises TypeError for an option that there is not."""
    given = dict(options or {})
    headers = {
        "access-control-allow-headers": str(given.pop("headers", _SENT)),
        "access-control-allow-methods": str(given.pop("methods", "GET, POST, DELETE, OPTIONS")),
        "access-control-allow-origin": str(given.pop("origin", "*")),
        "access-control-expose-headers": str(given.pop("expose_headers", "mcp-session-id")),
        "access-control-max-age": str(given.pop("max_age", 86400)),
    }
    if given:
        raise TypeError(
            f"cors_options has {', '.join(map(repr, sorted(given)))}, which MCP does not know. "
            "It knows: expose_headers, headers, max_age, methods, origin."
        )
    return headers


def preflight(headers: Mapping[str, str]) -> Response:
    """Answer a browser that asks what it may send."""
    return Response(headers=headers)


def with_cors(response: Response, headers: Mapping[str, str]) -> Response:
    """Return ``response`` with ``headers``."""
    for name, value in headers.items():
        response.headers[name] = value
    return response
