"""Abort controllers and signals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from edgeagents.http import AbortSignal as NativeSignal
from wrangler_compat.host.model.errors import DomException
from wrangler_compat.host.model.proxy import JsProxy
from wrangler_compat.host.web.events import Event, EventTarget

__all__ = ["AbortController", "AbortSignal"]


class AbortSignal(EventTarget):
    """``AbortSignal``."""

    class Statics(EventTarget.Statics):
        """AbortSignal.abort, timeout and any."""

        def abort(reason: Any = None) -> AbortSignal:
            """Return a signal that has been given."""
            signal = AbortSignal()
            signal._abort(reason)
            return signal

        def timeout(milliseconds: Any = 0) -> AbortSignal:
            """Return a signal that is given after so long."""
            signal = AbortSignal()
            late = DomException("The operation was aborted due to timeout", "TimeoutError")
            asyncio.get_running_loop().call_later(milliseconds / 1000, signal._abort, late)
            return signal

        def any(signals: Iterable[AbortSignal]) -> AbortSignal:
            """Return a signal that is given with the first of ``signals``."""
            signal = AbortSignal()
            for one in signals:
                if one.aborted:
                    signal._abort(one.reason)
                else:
                    one.addEventListener("abort", lambda event: signal._abort(event.target.reason))
            return signal

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.reason: Any = None

    @classmethod
    def of(cls, native: NativeSignal | None) -> AbortSignal:
        """Return a signal that is given with ``native``."""
        signal = cls()
        if native is not None:
            native.add_listener(lambda: signal._abort(None))
        return signal

    def _abort(self, reason: Any) -> None:
        if not self.aborted:
            self.aborted = True
            self.reason = DomException("The operation was aborted", "AbortError") if reason is None else reason
            self.dispatchEvent(Event("abort"))

    def throwIfAborted(self) -> None:
        """Raise the reason if it has been given."""
        if self.aborted:
            raise self.reason if isinstance(self.reason, BaseException) else DomException(self.reason, "AbortError")


class AbortController(JsProxy):
    """``AbortController``."""

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: Any = None) -> None:
        """Give the signal."""
        self.signal._abort(reason)
