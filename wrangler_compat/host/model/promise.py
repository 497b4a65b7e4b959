"""Promises, on asyncio's futures."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import Any

from wrangler_compat.host.model.errors import JsAggregateError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, jsnull, python

__all__ = ["JsPromise", "settle_with"]


async def _tried(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    result = function(*args)
    return await result if inspect.isawaitable(result) else result


class JsPromise(JsProxy):
    """A value that is to come. Await it as often as you like."""

    class Statics(JsProxy.Statics):
        """Promise.all and the like."""

        def resolve(value: Any = None) -> JsPromise:
            """Return a promise of ``value``, or itself if it is one."""
            return value if isinstance(value, JsPromise) else JsPromise.resolved(value)

        def reject(error: Any = None) -> JsPromise:
            """Return a promise that fails."""
            return JsPromise.rejected(_as_error(error))

        async def all(values: Iterable[Any]) -> Any:
            """Wait for all; fail with the first that fails."""
            return _array(await asyncio.gather(*map(_future_of, values)))

        async def allSettled(values: Iterable[Any]) -> Any:
            """Wait for all and tell how each ended."""
            ended = await asyncio.gather(*map(_future_of, values), return_exceptions=True)
            return _array(
                JsObject({"status": "rejected", "reason": one})
                if isinstance(one, BaseException)
                else JsObject({"status": "fulfilled", "value": one})
                for one in ended
            )

        async def race(values: Iterable[Any]) -> Any:
            """Settle as the first does."""
            done, _ = await asyncio.wait([_future_of(value) for value in values], return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()

        async def any(values: Iterable[Any]) -> Any:
            """Settle as the first that is kept; fail when none is."""
            errors: list[Any] = []
            for done in asyncio.as_completed([_future_of(value) for value in values]):
                try:
                    return await done
                except Exception as error:
                    errors.append(error)
            raise JsAggregateError(errors, "All promises were rejected")

        def try_(function: Any = None, *args: Any) -> JsPromise:
            """Return the promise of what ``function`` returns or raises."""
            return JsPromise.of(_tried(function, args))

        def withResolvers() -> Any:
            """Return a promise with the functions that settle it."""
            promise = JsPromise()
            return JsObject({"promise": promise, "resolve": promise._resolve, "reject": promise._reject})

    def __init__(self, executor: Callable[..., Any] | None = None) -> None:
        self._future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._future.add_done_callback(_retrieve)
        if executor is not None:
            try:
                executor(self._resolve, self._reject)
            except Exception as error:
                self._reject(error)

    @classmethod
    def of(cls, awaitable: Awaitable[Any]) -> JsPromise:
        """Return the promise of what ``awaitable`` comes to. It runs from now on, awaited or not."""
        if isinstance(awaitable, JsPromise):
            return awaitable
        if isinstance(awaitable, JsProxy) and hasattr(awaitable, "unwrap"):
            awaitable = awaitable.unwrap()  # JavaScript's handle on a task of Python.
        promise = cls.__new__(cls)
        promise._future = future = asyncio.ensure_future(awaitable)
        if future.done():
            _retrieve(future)
        else:
            future.add_done_callback(_retrieve)
        return promise

    @classmethod
    def resolved(cls, value: Any) -> JsPromise:
        """Return a promise that is kept already."""
        promise = cls.__new__(cls)
        promise._future = asyncio.get_running_loop().create_future()
        promise._future.set_result(value)
        return promise

    @classmethod
    def rejected(cls, error: BaseException) -> JsPromise:
        """Return a promise that is broken already."""
        promise = cls()
        promise._future.set_exception(error)
        return promise

    def __await__(self) -> Generator[Any, Any, Any]:
        if self._future.done():
            return self._future.__await__()
        # Whoever awaits may be cancelled; the others still wait.
        return asyncio.shield(self._future).__await__()

    @python
    def then(self, ok: Any = None, bad: Any = None) -> JsPromise:
        """Return the promise of what ``ok`` makes of the value, or ``bad`` of the error."""
        return JsPromise.of(self._then(ok, bad))

    @python
    def catch(self, bad: Any) -> JsPromise:
        """Return the promise of the value, or of what ``bad`` makes of the error."""
        return self.then(None, bad)

    @python
    def finally_(self, after: Callable[[], Any]) -> JsPromise:
        """Return this promise, once ``after`` has run."""

        async def run() -> Any:
            try:
                return await self
            finally:
                await settle_with(after())

        return JsPromise.of(run())

    async def _then(self, ok: Any, bad: Any) -> Any:
        try:
            value = await self
        except Exception as error:
            if not callable(bad):
                raise
            return await settle_with(bad(error))
        return await settle_with(ok(value)) if callable(ok) else value

    def _resolve(self, value: Any = None) -> None:
        if self._future.done():
            return
        if inspect.isawaitable(value):
            asyncio.ensure_future(value).add_done_callback(self._settle_as)
        else:
            self._future.set_result(value)

    def _settle_as(self, other: asyncio.Future[Any]) -> None:
        if other.cancelled():
            self._reject(asyncio.CancelledError())
        elif (error := other.exception()) is not None:
            self._reject(error)
        else:
            self._resolve(other.result())

    def _reject(self, error: Any = None) -> None:
        if not self._future.done():
            self._future.set_exception(_as_error(error))


async def settle_with(value: Any) -> Any:
    """Return ``value``, awaited if it can be: what a callback of Python gives may be either."""
    return await value if inspect.isawaitable(value) else value


def _future_of(value: Any) -> asyncio.Future[Any]:
    if inspect.isawaitable(value):
        return asyncio.ensure_future(value)
    return JsPromise.resolved(value)._future


def _as_error(error: Any) -> BaseException:
    from wrangler_compat.host.model.errors import JsException

    if isinstance(error, BaseException):
        return error
    return JsException("null" if error is jsnull else error)


def _retrieve(future: asyncio.Future[Any]) -> None:
    # That nobody asked a promise how it ended is no fault of the program's.
    if not future.cancelled():
        future.exception()


def _array(items: Iterable[Any]) -> Any:
    from wrangler_compat.host.model.array import JsArray

    return JsArray(items)
