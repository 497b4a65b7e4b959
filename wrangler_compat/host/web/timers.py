"""Timers, microtasks and clocks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsProxy, js_function, properties
from wrangler_compat.host.web.events import schedule

__all__ = ["TIMERS", "performance", "scheduler"]

_numbers = itertools.count(1)
_running: dict[int, asyncio.TimerHandle] = {}


def _milliseconds(delay: Any) -> float:
    return max(float(delay), 0.0) / 1000 if isinstance(delay, int | float) else 0.0


@js_function
def set_timeout(function: Callable[..., Any], delay: Any = 0, *args: Any) -> int:
    """Call ``function`` after ``delay`` ms; return a number by which it can be cleared."""
    number = next(_numbers)

    def run() -> None:
        _running.pop(number, None)
        schedule(call_relaxed(function, *args))

    _running[number] = asyncio.get_running_loop().call_later(_milliseconds(delay), run)
    return number


@js_function
def set_interval(function: Callable[..., Any], delay: Any = 0, *args: Any) -> int:
    """Call ``function`` every ``delay`` ms; return a number by which it can be cleared."""
    number, loop = next(_numbers), asyncio.get_running_loop()

    def run() -> None:
        _running[number] = loop.call_later(_milliseconds(delay), run)
        schedule(call_relaxed(function, *args))

    _running[number] = loop.call_later(_milliseconds(delay), run)
    return number


@js_function
def clear_timer(number: Any = None) -> None:
    """Do not call what ``number`` stands for."""
    timer = _running.pop(number, None)
    if timer is not None:
        timer.cancel()


@js_function
def queue_microtask(function: Callable[..., Any]) -> None:
    """Call ``function`` once the code that runs has ended."""
    asyncio.get_running_loop().call_soon(lambda: schedule(call_relaxed(function)))


class _Performance(JsProxy):
    _js_name = "Performance"
    timeOrigin = 0

    def now(self) -> float:
        """Return the milliseconds since 1970, as workerd does."""
        return time.time_ns() // 1_000_000


class _Scheduler(JsProxy):
    _js_name = "Scheduler"

    def wait(self, delay: Any, options: Any = None) -> JsPromise:
        """Return a promise that is kept after ``delay`` ms."""
        signal = properties(options).get("signal")
        if signal is None:
            return JsPromise.of(asyncio.sleep(_milliseconds(delay)))
        return JsPromise.of(_unless_given(signal, _milliseconds(delay)))


async def _unless_given(signal: Any, seconds: float) -> None:
    signal.throwIfAborted()
    given = asyncio.Event()

    def give(_: Any) -> None:
        given.set()

    signal.addEventListener("abort", give)
    try:
        await asyncio.wait_for(given.wait(), seconds)
    except TimeoutError:
        return
    finally:
        signal.removeEventListener("abort", give)
    signal.throwIfAborted()


performance, scheduler = _Performance(), _Scheduler()

TIMERS: dict[str, Callable[..., Any]] = {
    "setTimeout": set_timeout,
    "setInterval": set_interval,
    "clearTimeout": clear_timer,
    "clearInterval": clear_timer,
    "queueMicrotask": queue_microtask,
}
