"""Failures: what a client is told when its request could not be answered, and what the log is."""

from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Final

from edgeagents.errors import ClientDisconnected, HttpError, ObjectError, OwnershipLost, StorageUnavailable
from edgeagents.http import Request, Response
from edgeagents.own_errors import as_raised
from edgeagents.redaction import redact

__all__ = ["answer_failure", "cancelled_by_itself"]

# The error names files.
_UNAVAILABLE: Final = "The storage of this agent is unavailable. Try again later."

_log = logging.getLogger("edgeagents.asgi")


def answer_failure(error: Exception, request: Request, *, debug: bool) -> Response:
    """Return the answer to a request whose handler raised ``error``, and log what the client does not see."""
    if isinstance(error, HttpError):
        _log.debug("%s %s was refused: %s", request.method, request.path, error)
        return Response(str(error), status=error.status)
    if isinstance(error, OwnershipLost) or (isinstance(error, ObjectError) and error.overloaded):
        _log.warning("%s %s was refused: %s", request.method, request.path, error)
        return Response(str(error), status=503, headers={"retry-after": "1"})
    if isinstance(error, StorageUnavailable):
        _log.error("%s %s was refused: %s", request.method, request.path, error)
        return Response(_UNAVAILABLE, status=503, headers={"retry-after": "5"})
    if isinstance(error, ClientDisconnected):
        _log.debug("%s %s: the client left before it was answered", request.method, request.path)
        return Response(status=499)
    _log.error("%s %s: the handler failed", request.method, request.path, exc_info=as_raised(error))
    if debug:
        return Response(redact("".join(traceback.format_exception(error))), status=500)
    return Response("Internal Server Error", status=500)


def cancelled_by_itself(error: asyncio.CancelledError) -> Exception:
    """Return what to answer when a handler ended with ``error``. Raises it when it is this task that is cancelled."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    failure = RuntimeError("The handler was cancelled by what it waited for.")
    failure.__cause__ = error
    return failure
