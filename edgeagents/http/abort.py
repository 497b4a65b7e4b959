"""Abort signals: telling whoever works on something that nobody waits for it any more.

A signal only says so. Nothing is cancelled by it: what listens decides what to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

__all__ = ["AbortController", "AbortSignal"]


class AbortSignal:
    """Says whether something was aborted, and why."""

    __slots__ = ("_listeners", "aborted", "reason")

    def __init__(self) -> None:
        self.aborted = False
        self.reason: BaseException | str | None = None
        self._listeners: list[Callable[[], object]] = []

    def add_listener(self, fn: Callable[[], object]) -> Callable[[], None]:
        """Call ``fn`` once when this is aborted, at once if it is already. Return what takes ``fn`` away again."""
        if self.aborted:
            fn()
            return _nothing
        self._listeners.append(fn)

        def remove() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(fn)

        return remove

    async def wait(self) -> None:
        """Return once this is aborted."""
        if self.aborted:
            return
        loop = asyncio.get_running_loop()
        aborted = asyncio.Event()
        # A handler in a thread may abort too, and an event of asyncio is set on its loop only.
        remove = self.add_listener(lambda: loop.call_soon_threadsafe(aborted.set))
        try:
            await aborted.wait()
        finally:
            remove()

    def _abort(self, reason: BaseException | str | None) -> None:
        if self.aborted:
            return
        self.reason = reason
        self.aborted = True
        listeners, self._listeners = self._listeners, []
        failures: list[Exception] = []
        for fn in listeners:
            try:
                fn()
            except Exception as error:
                failures.append(error)
        if failures:
            # Everybody is told first; one listener's fault is not the others'.
            raise failures[0]

    def __repr__(self) -> str:
        return f"<AbortSignal aborted={self.aborted}>"


class AbortController:
    """Owns a signal and may abort it."""

    __slots__ = ("signal",)

    def __init__(self) -> None:
        self.signal = AbortSignal()

    def abort(self, reason: BaseException | str | None = None) -> None:
        """Abort. Only the first call counts, with its reason."""
        self.signal._abort(reason)


def _nothing() -> None:
    return
