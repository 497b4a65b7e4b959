"""``pyodide.webloop``: the one event loop, as code finds it that thinks it is in Pyodide.

There, a loop that a program makes is the one that runs, and ``run_until_complete``, ``asyncio.run`` and ``Runner.run``
wait as ``run_sync`` does, wherever they are called. There are no threads: what an executor is given runs on the loop,
where it may use bindings and ``run_sync``. So it is here within an event of a worker; all other code, our own bindings
too, finds ``asyncio`` as it always is.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.events
import asyncio.runners
import asyncio.threads
import functools
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, cast

from wrangler_compat.host.context import is_within_worker
from wrangler_compat.host.run_sync import can_run_sync, run_sync
from wrangler_compat.host.tasks import PyodideFuture, PyodideTask, driven

__all__ = ["WebLoop", "let_loops_nest", "webloop_module"]

_ASYNCIO = str(Path(asyncio.__file__).parent) + os.sep


class WebLoop(asyncio.AbstractEventLoop):
    """The event loop that runs already. What would start, stop or close it does nothing."""

    def __init__(self) -> None:
        self._real = asyncio.get_running_loop()

    def run_until_complete(self, future: Any) -> Any:
        """Wait for ``future`` and return what it comes to."""
        return run_sync(_suspendable(future))

    def run_forever(self) -> None:
        """Do nothing: it runs."""

    def stop(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def is_running(self) -> bool:
        """It does."""
        return True

    def is_closed(self) -> bool:
        """It is not."""
        return False

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: they are others' too."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Do nothing."""

    def set_debug(self, enabled: bool) -> None:
        """Do nothing."""

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Run ``coro``, below which ``run_sync`` works."""
        return self._real.create_task(_suspendable(coro), **options)


def _of_the_real_one(name: str) -> Callable[..., Any]:
    def call(self: WebLoop, *args: Any, **options: Any) -> Any:
        return getattr(self._real, name)(*args, **options)

    call.__name__ = name
    return call


for _name in [name for name in vars(asyncio.AbstractEventLoop) if name[0] != "_" and name not in vars(WebLoop)]:
    setattr(WebLoop, _name, _of_the_real_one(_name))


class WebLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """The policy under which code asks for a loop."""


def _suspendable(awaitable: Any) -> Any:
    return driven(awaitable) if asyncio.iscoroutine(awaitable) else awaitable


async def _called(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return function(*args)


def _keeps_its_thread(frame: FrameType, function: Any) -> bool:
    """Return whether a job is the loop's own, such as to look up an address, or that of one of our bindings."""
    if frame.f_code.co_filename == asyncio.base_events.__file__:
        return True
    asking: FrameType | None = frame
    if frame.f_code.co_filename == asyncio.threads.__file__:
        asking = frame.f_back
        # What to_thread() was given is within what it gives.
        function = function.args[0] if isinstance(function, functools.partial) else function
    if asking is None or asking.f_code.co_filename.startswith(_ASYNCIO):
        name = getattr(function, "__module__", None) or ""
    else:
        name = str(asking.f_globals.get("__name__", ""))
    return name.startswith(("edgeagents", "wrangler_compat"))


@functools.cache
def let_loops_nest() -> None:
    """Let the ways to run a loop wait for it within a worker's events."""
    new_event_loop, run = asyncio.new_event_loop, asyncio.run
    run_of_runner = asyncio.Runner.run
    run_until_complete = asyncio.base_events.BaseEventLoop.run_until_complete
    run_in_executor = asyncio.base_events.BaseEventLoop.run_in_executor

    @functools.wraps(new_event_loop)
    def new_loop() -> Any:
        return WebLoop() if can_run_sync() else new_event_loop()

    @functools.wraps(run)
    def run_main(main: Any, **options: Any) -> Any:
        return run_sync(_suspendable(main)) if can_run_sync() else run(main, **options)

    @functools.wraps(run_of_runner)
    def run_in_runner(self: asyncio.Runner, coro: Any, *, context: Any = None) -> Any:
        if not can_run_sync():
            return run_of_runner(self, coro, context=context)
        own = cast("Any", self)
        task = self.get_loop().create_task(coro, context=own._context if context is None else context)
        return run_sync(task)

    @functools.wraps(run_until_complete)
    def run_loop(self: Any, future: Any) -> Any:
        if self.is_running() and can_run_sync():
            return run_sync(_suspendable(future))
        return run_until_complete(self, future)

    @functools.wraps(run_in_executor)
    def run_inline(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        if is_within_worker() and not _keeps_its_thread(sys._getframe(1), func):
            return self.create_task(driven(_called(func, args)))
        return run_in_executor(self, executor, func, *args)

    for module in (asyncio, asyncio.events):
        cast("Any", module).new_event_loop = new_loop
    for module in (asyncio, asyncio.runners):
        cast("Any", module).run = run_main
    cast("Any", asyncio.Runner).run = run_in_runner
    cast("Any", asyncio.base_events.BaseEventLoop).run_until_complete = run_loop
    cast("Any", asyncio.base_events.BaseEventLoop).run_in_executor = run_inline


def webloop_module() -> types.ModuleType:
    """Return the module ``pyodide.webloop``."""
    let_loops_nest()
    module = types.ModuleType("pyodide.webloop")
    vars(module).update(
        WebLoop=WebLoop, WebLoopPolicy=WebLoopPolicy, PyodideFuture=PyodideFuture, PyodideTask=PyodideTask
    )
    return module
