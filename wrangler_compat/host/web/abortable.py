"""Requests that can be given up: before there is an answer, and while its body is still to come."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine
from typing import Any

from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import is_nullish
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import ReadableStream

__all__ = ["unless_aborted"]


async def unless_aborted(signal: Any, answering: Coroutine[Any, Any, Response]) -> Response:
    """Return what ``answering`` comes to. It, or the body of its answer, ends with the reason of ``signal``."""
    if is_nullish(signal):
        return await answering
    if signal.aborted:
        answering.close()
        signal.throwIfAborted()
    task = asyncio.ensure_future(answering)

    def give_up(_: Any) -> None:
        task.cancel()

    signal.addEventListener("abort", give_up)
    try:
        response = await task
    except asyncio.CancelledError:
        task.cancel()
        if signal.aborted:
            signal.throwIfAborted()
        raise
    finally:
        signal.removeEventListener("abort", give_up)
    _end_with(signal, response)
    return response


def _end_with(signal: Any, response: Response) -> None:
    """Let the body of ``response`` fail when ``signal`` is given, as long as there is one who could read it."""
    body: Response | ReadableStream = response if response._stream is None else response._stream
    kept = weakref.ref(body)

    def give_up(_: Any) -> None:
        body = kept()
        stream = body.body if isinstance(body, Response) and not body.bodyUsed else body
        if isinstance(stream, ReadableStream):
            stream._give_up(_error_of(signal.reason))

    signal.addEventListener("abort", give_up)
    weakref.finalize(body, signal.removeEventListener, "abort", give_up).atexit = False


def _error_of(reason: Any) -> BaseException:
    return reason if isinstance(reason, BaseException) else JsException(reason)
