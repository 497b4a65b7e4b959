"""Hosts: a server that only this machine can reach answers to this machine's names alone.

Any web page can have a name of its own lead to 127.0.0.1, and is then, for the browser, of the same origin as what
answers there (DNS rebinding). It cannot change under which name the browser asks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from edgeagents.asgi.http import serve_http
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import ASGIApp, Receive, Scope, Send
from edgeagents.asgi.websocket import serve_websocket
from edgeagents.http import Request, Response
from edgeagents.http.origins import Hosts, is_loopback

__all__ = ["came_over_loopback", "with_own_hosts"]

_log = logging.getLogger("edgeagents.emulator")


def with_own_hosts(app: ASGIApp, hosts: Hosts) -> ASGIApp:
    """Return ``app``, reached over loopback under the names of this machine and those of ``hosts`` only."""
    if hosts.allows_all:
        _log.warning("Every host is allowed: a web page that has its own name lead to this machine reaches the worker.")
        return app

    @lru_cache(maxsize=256)
    def is_ours(host: bytes) -> bool:
        name = host.decode("latin-1")
        return is_loopback(name) or _is_address(name) or hosts.allows(name)

    def serve(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket") and came_over_loopback(scope):
            for name, value in scope["headers"]:
                if name == b"host":
                    if not is_ours(value):
                        return _refuse(scope, receive, send)
                    break
        return app(scope, receive, send)

    return serve


def came_over_loopback(scope: Mapping[str, Any]) -> bool:
    """Whether a request was made on this machine, as far as the server knows."""
    server = scope.get("server")
    return bool(server) and server[1] is not None and (server[0].startswith("127.") or server[0] == "::1")


def _is_address(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    serve = serve_http if scope["type"] == "http" else serve_websocket
    await serve(scope, receive, send, _refusal, Settings())


async def _refusal(request: Request) -> Response:
    _tell_of_refusal(request.headers.get("host", ""))
    return Response("This host is not allowed here.", status=403)


@lru_cache(maxsize=256)
def _tell_of_refusal(host: str) -> None:
    _log.warning(
        "A request for the host %.100r was refused. If that name is yours, say so: EDGEAGENTS_ALLOWED_HOSTS, or "
        "--allow-host.",
        host,
    )
