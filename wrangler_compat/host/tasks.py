"""Tasks of a worker's code: ``run_sync`` works below each of them, as below a handler.

Who makes a task is not known beforehand, a framework as well as the worker, so the event loop is told how to do it.
Coroutines of the house itself, which run no code of the worker's but through ``Suspendable``, are left alone, and
those of the server, which makes tasks while it sends a worker's answer.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, cast

import edgeagents
import wrangler_compat
from wrangler_compat.host.context import is_within_worker
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.run_sync import Suspendable

__all__ = ["PyodideFuture", "PyodideTask", "drive_tasks", "driven"]

_HOUSE = tuple(
    str(Path(cast("str", module.__file__)).parent) + os.sep for module in (edgeagents, wrangler_compat, asyncio)
)
_ASYNCIO = _HOUSE[-1]
_SERVERS = ("hypercorn", "uvicorn", "granian")
_is_house: dict[str, bool] = {}


def driven(coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that comes to what ``coroutine`` does, below which ``run_sync`` works."""
    return _Driven(coroutine)


class _Driven(Coroutine[Any, Any, Any]):
    """Goes by the name of the coroutine that it drives, in the repr and the stack of its task."""

    __slots__ = ("_coroutine", "_drive", "send")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine, self._drive = coroutine, _drive(coroutine)
        self.send = self._drive.send

    def throw(self, *error: Any) -> Any:
        try:
            return self._drive.throw(*error)
        finally:
            if self._drive.cr_frame is None:
                # Cancelled before its first step, it never came to await the coroutine. To leave that to whoever
                # collects them both would be too late: the error's traceback may hold them until a cycle goes, and
                # then the coroutine may go first, with a warning that nobody awaited it.
                self._coroutine.close()

    def close(self) -> None:
        self._drive.close()
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._drive.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)


async def _drive(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await Suspendable(coroutine)


class _Promising:
    """What Pyodide's futures have of a promise."""

    def then(self, ok: Any = None, bad: Any = None) -> JsPromise:
        """Return the promise of what ``ok`` makes of the value, or ``bad`` of the error."""
        return JsPromise.of(cast("Any", self)).then(ok, bad)

    def catch(self, bad: Any) -> JsPromise:
        """Return the promise of the value, or of what ``bad`` makes of the error."""
        return JsPromise.of(cast("Any", self)).catch(bad)

    def finally_(self, after: Any) -> JsPromise:
        """Return the promise of the same, once ``after`` has run."""
        return JsPromise.of(cast("Any", self)).finally_(after)


class PyodideFuture(_Promising, asyncio.Future[Any]):
    """A future, which is a promise too."""


class PyodideTask(_Promising, asyncio.Task[Any]):
    """A task of a worker's code, which is a promise too."""


def drive_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Let tasks that workers make on ``loop`` be driven, from now on."""
    before = loop.get_task_factory()
    if isinstance(before, _Factory):
        return
    loop.set_task_factory(cast("Any", _Factory(before)))


class _Factory:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        kind: type[asyncio.Task[Any]] = asyncio.Task
        if is_within_worker() and asyncio.iscoroutine(coro):
            if not _is_of_the_house(coro):
                coro, kind = driven(coro), PyodideTask
            elif cast("Any", coro).cr_code.co_filename.startswith(_ASYNCIO):
                kind = PyodideTask  # Such as asyncio.sleep(), which needs no driving.
        if self._before is not None:
            return self._before(loop, coro, **options)
        return kind(coro, loop=loop, **options)


def _is_of_the_house(coroutine: Any) -> bool:
    if isinstance(coroutine, _Driven):
        return True
    code = getattr(coroutine, "cr_code", None)
    if code is None:
        return False
    known = _is_house.get(code.co_filename)
    if known is None:
        known = _is_house[code.co_filename] = code.co_filename.startswith((*_HOUSE, *_folders_of_servers()))
    return known


def _folders_of_servers() -> list[str]:
    files = [getattr(sys.modules.get(name), "__file__", None) for name in _SERVERS]
    return [str(Path(file).parent) + os.sep for file in files if file]
