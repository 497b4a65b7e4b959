"""``MessageChannel``: two ports, each of which hears what the other is told."""

from __future__ import annotations

import asyncio
from typing import Any

from wrangler_compat.host.clone import structured_clone
from wrangler_compat.host.model.proxy import JsProxy
from wrangler_compat.host.web.events import EventTarget, MessageEvent

__all__ = ["MessageChannel", "MessagePort"]


class MessagePort(EventTarget):
    """``MessagePort``. It hears once it is started, which setting ``onmessage`` does."""

    _is_made_by_host = True

    def __init__(self) -> None:
        super().__init__()
        self._other: MessagePort | None = None
        self._waiting: list[Any] | None = []

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "onmessage":
            self.start()

    def postMessage(self, value: Any, options: Any = None) -> None:
        """Let the other port hear a copy of ``value``. Raises ``DataCloneError`` for what cannot be copied."""
        copy = structured_clone(value)
        if self._other is not None:
            self._other._receive(copy)

    def _receive(self, value: Any) -> None:
        if self._waiting is not None:
            self._waiting.append(value)
        else:
            asyncio.get_running_loop().call_soon(self._tell, value)

    def _tell(self, value: Any) -> None:
        if self._other is not None:
            self.dispatchEvent(MessageEvent("message", {"data": value}))

    def start(self) -> None:
        """Hear from now on, and what has come before."""
        waiting, self._waiting = self._waiting or (), None
        for value in waiting:
            self._receive(value)

    def close(self) -> None:
        """Let neither port hear any more."""
        if self._other is not None:
            self._other._other = self._other = None


class MessageChannel(JsProxy):
    """``MessageChannel``: has ``port1`` and ``port2``."""

    def __init__(self) -> None:
        self.port1, self.port2 = MessagePort(), MessagePort()
        self.port1._other, self.port2._other = self.port2, self.port1
