"""Running a worker's code: in its own context, and so that ``run_sync`` works anywhere below it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.context import WorkerContext, enter
from wrangler_compat.host.inline_threads import run_threads_inline
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.run_sync import Suspendable
from wrangler_compat.host.tasks import drive_tasks
from wrangler_compat.host.web.response import Response

__all__ = ["called", "native_response", "run_coroutine", "run_for"]


async def run_for(
    worker: WorkerContext,
    function: Callable[..., Any],
    *args: Any,
    relaxed: bool = True,
    waits: Callable[[Any], None] | None = None,
) -> Any:
    """Call ``function`` of the worker's code, await what it returns, and return that.

    ``waits`` is what ``waitUntil`` of the event does, ``relaxed`` drops arguments too many.
    """
    return await run_coroutine(worker, called(function, *args, relaxed=relaxed), waits)


async def run_coroutine(
    worker: WorkerContext, coroutine: Coroutine[Any, Any, Any], waits: Callable[[Any], None] | None
) -> Any:
    """Run ``coroutine``, which calls the worker's code, and return what it comes to."""
    enter(worker, waits)
    drive_tasks(asyncio.get_running_loop())
    run_threads_inline()
    return await Suspendable(coroutine)


async def called(function: Callable[..., Any], *args: Any, relaxed: bool = True) -> Any:
    """Call ``function`` and await what it returns, if it can be."""
    result = call_relaxed(function, *args) if relaxed else function(*args)
    # The usual answer first: isawaitable() is slow to say what most handlers return.
    return await result if type(result) is CoroutineType or inspect.isawaitable(result) else result


def native_response(result: Any, request: NativeRequest) -> NativeResponse:
    """Return the runtime's response for what a handler gave to ``request``: one of the SDK's, or of JavaScript's."""
    made = getattr(result, "js_response", None) or getattr(result, "js_object", result)
    if not isinstance(made, Response):
        raise JsTypeError(f"Expected a Response from the handler, but got {type(result).__name__}.")
    answer = made.to_native()
    if answer.websocket is not None and not request.is_websocket_upgrade:
        raise JsTypeError(
            "Worker tried to return WebSocket in a response to a request which did not contain the header "
            '"Upgrade: websocket".'
        )
    return answer
