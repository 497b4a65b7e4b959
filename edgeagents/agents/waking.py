"""What a parent tells a sub-agent of a handshake: whether it woke the sub-agent.

It stands in the request's scope, which never leaves the process, so no client can forge it.
"""

from __future__ import annotations

from edgeagents.http import Request

__all__ = ["is_waking", "with_waking"]

_KEY = "edgeagents.wakes"


def with_waking(request: Request, wakes: bool) -> Request:
    """Return ``request`` such that it tells whether it came to a sub-agent that was not awake."""
    if wakes == is_waking(request):
        return request
    return Request(request, scope={**(request.scope or {}), _KEY: wakes})


def is_waking(request: Request) -> bool:
    """Return whether ``request`` came to a sub-agent that was not awake."""
    return bool(request.scope and request.scope.get(_KEY))
