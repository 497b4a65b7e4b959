"""A clock that is moved by hand and a provider that says what it is told, for tests of models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from edgeagents.http import AbortSignal
from edgeagents.models import FinishStep, ModelRegistry, ModelRequest, Part, TextDelta, Usage


async def settle(rounds: int = 30) -> None:
    """Let everything that is ready on the event loop run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, due: float, fn: Callable[[], object]) -> None:
        self.due, self.fn = due, fn
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class HandClock:
    """Stands still until ``advance`` is called."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._timers: list[_Timer] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def call_later(self, seconds: float, fn: Callable[[], object]) -> _Timer:
        timer = _Timer(self.elapsed + seconds, fn)
        self._timers.append(timer)
        return timer

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    async def advance(self, seconds: float) -> None:
        await settle()
        until = self.elapsed + seconds
        while due := sorted((t for t in self._timers if not t.is_cancelled and t.due <= until), key=lambda t: t.due):
            self._timers.remove(due[0])
            self.elapsed = max(self.elapsed, due[0].due)
            due[0].fn()
            await settle()
        self.elapsed = until
        await settle()

    @property
    def waits(self) -> bool:
        """Whether somebody waits for this clock."""
        return any(not timer.is_cancelled for timer in self._timers)


def said(*words: str, reason: Any = "stop") -> list[Part]:
    """Return what a provider yields to say ``words``."""
    return [*(TextDelta("t", word) for word in words), FinishStep(reason, Usage(1, len(words), 1 + len(words)))]


class ScriptedProvider:
    """Says one script a call. An exception in a script is raised, a future awaited."""

    name = "scripted"

    def __init__(self, *scripts: Sequence[Any], continues: bool = False) -> None:
        self.scripts = list(scripts)
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self.continues = continues

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        self.requests.append(request)
        try:
            for part in self.scripts[len(self.requests) - 1]:
                if isinstance(part, BaseException):
                    raise part
                if isinstance(part, asyncio.Future):
                    await part
                else:
                    yield part
        finally:
            self.closed += 1

    def registry(self) -> ModelRegistry:
        return ModelRegistry([self])
