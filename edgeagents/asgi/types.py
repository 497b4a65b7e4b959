"""The shapes of ASGI: what a server calls, and what it is called with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from edgeagents.http import Request, Response

__all__ = ["ASGIApp", "Handle", "Message", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

Handle = Callable[[Request], Awaitable[Response | None]]
"""Answers a request, or returns None when it is somebody else's."""
