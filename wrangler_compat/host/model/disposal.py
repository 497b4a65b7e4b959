"""What is to be done at the end: ``DisposableStack``, and the error that hides another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from wrangler_compat.host.model.errors import JsException, JsReferenceError, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.promise import settle_with
from wrangler_compat.host.model.properties import (
    get,
)
from wrangler_compat.host.model.proxy import JsProxy, is_nullish
from wrangler_compat.host.model.symbol import WELL_KNOWN, JsSymbol

__all__ = ["JsAsyncDisposableStack", "JsDisposableStack", "JsSuppressedError"]


class JsSuppressedError(JsException):
    """``SuppressedError``: the ``error`` that came up while ``suppressed`` was on its way."""

    def __init__(self, error: Any = None, suppressed: Any = None, message: Any = None) -> None:
        super().__init__(message)
        self.error, self.suppressed = error, suppressed


class _Stack(JsProxy):
    _symbol: JsSymbol

    def __init__(self) -> None:
        self._steps: list[Callable[[], Any]] = []
        self.disposed = False

    def _put(self, name: str, step: Callable[[], Any]) -> None:
        if self.disposed:
            raise JsReferenceError(
                f"Cannot call {self._js_name}.prototype.{name} on an already-disposed {self._js_name}"
            )
        self._steps.append(step)

    def use(self, value: Any) -> Any:
        """Dispose of ``value`` at the end, by its ``Symbol.dispose``; return it."""
        if is_nullish(value):
            return value
        dispose = get(value, self._symbol) or get(value, WELL_KNOWN["dispose"])
        if not callable(dispose):
            raise JsTypeError(f"{self._symbol} is not a function")
        self._put("use", lambda: call_relaxed(dispose))
        return value

    def adopt(self, value: Any, dispose: Callable[..., Any]) -> Any:
        """Call ``dispose`` with ``value`` at the end; return ``value``."""
        self._put("adopt", lambda: call_relaxed(dispose, value))
        return value

    def defer(self, work: Callable[..., Any]) -> None:
        """Call ``work`` at the end."""
        self._put("defer", lambda: call_relaxed(work))

    def move(self) -> Self:
        """Return a stack with all that this one has to do; this one is disposed of."""
        made = type(self)()
        made._steps = self._taken()
        return made

    def _taken(self) -> list[Callable[[], Any]]:
        steps, self._steps, self.disposed = self._steps, [], True
        return steps

    def _keys(self) -> list[str]:
        return []


class JsDisposableStack(_Stack):
    """``DisposableStack``: what is to be disposed of at the end, the last first. Python's ``with`` ends it too."""

    _symbol = WELL_KNOWN["dispose"]

    def dispose(self) -> None:
        """Do it now. What fails does not keep the rest from being done."""
        error: Exception | None = None
        for step in reversed(self._taken()):
            try:
                step()
            except Exception as fault:
                error = fault if error is None else JsSuppressedError(fault, error)
        if error is not None:
            raise error

    def __enter__(self) -> JsDisposableStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()


class JsAsyncDisposableStack(_Stack):
    """``AsyncDisposableStack``: the same for what takes its time; ``async with`` ends it too."""

    _symbol = WELL_KNOWN["asyncDispose"]

    async def disposeAsync(self) -> None:
        """Do it now, one after the other. What fails does not keep the rest from being done."""
        error: Exception | None = None
        for step in reversed(self._taken()):
            try:
                await settle_with(step())
            except Exception as fault:
                error = fault if error is None else JsSuppressedError(fault, error)
        if error is not None:
            raise error

    async def __aenter__(self) -> JsAsyncDisposableStack:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disposeAsync()
