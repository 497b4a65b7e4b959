"""Errors on their way through a stub: what the caller, in JavaScript's terms, sees of what went wrong at the end."""

from __future__ import annotations

import sysconfig
import traceback
from typing import Any

from edgeagents.errors import EdgeAgentsError, ObjectError, ObjectReset, RemoteError
from edgeagents.objects.rpc import crossing_error
from wrangler_compat.host.model.errors import ERRORS, DomException, JsException

__all__ = ["crossing", "named_error", "python_error", "received_error"]

_BY_NAME = {kind._js_name: kind for kind in ERRORS}
_STDLIB = sysconfig.get_path("stdlib")
_NOT_THEIRS = ("/wrangler_compat/", "/edgeagents/", "/site-packages/workers/")


def named_error(name: str, message: str) -> JsException:
    """Return the error that JavaScript calls ``name``."""
    kind = _BY_NAME.get(name)
    if kind is not None:
        return kind(message)
    if name == "DataCloneError":
        return DomException(message, name)
    error = JsException(message)
    error.name = name
    error.stack = str(error)
    return error


def python_error(error: BaseException) -> tuple[str, str]:
    """Return the name and the message that an exception of Python has in JavaScript: its traceback, as text.

    It begins in the worker's own code, and ends with the type and the message.
    """
    report = traceback.TracebackException.from_exception(error)
    frames = list(report.stack)
    first = next((n for n, frame in enumerate(frames) if _is_theirs(frame.filename)), len(frames))
    report.stack = traceback.StackSummary.from_list(frames[first:])
    report.__cause__ = report.__context__ = None
    return "PythonError", "".join(report.format(chain=False)).rstrip()


def _is_theirs(file: str) -> bool:
    return not file.startswith((_STDLIB, "<frozen")) and not any(part in file for part in _NOT_THEIRS)


def crossing(error: BaseException) -> BaseException:
    """Return what leaves an object or entrypoint for ``error`` of its code.

    Callers in Python see an error of the type that was raised, callers in JavaScript's terms its name and message.
    """
    if isinstance(error, EdgeAgentsError) and not isinstance(error, RemoteError):
        return error
    if isinstance(error, JsException):
        name, message = error.name, error.message
        made = RemoteError(message, name)
    else:
        name, message = python_error(error)
        made = crossing_error(error)
        if made is error:
            return error
    made.__dict__["js_error"] = (name, message)
    return made


def received_error(error: BaseException) -> BaseException:
    """Return what the caller of a stub sees for what the call has raised. Its cause is what the other end raised."""
    if isinstance(error, JsException) or not isinstance(error, Exception):
        return error
    made = _seen_as(error)
    made.__cause__ = error.__cause__ if isinstance(error, RemoteError) and error.__cause__ is not None else error
    return made


def _seen_as(error: Exception) -> JsException:
    js_error: tuple[str, str] | None = getattr(error, "js_error", None)
    made: Any
    if js_error is not None:
        made = named_error(*js_error)
    elif isinstance(error, RemoteError):
        made = named_error("PythonError", f"Traceback (most recent call last):\n{error.type_name}: {error}")
    elif isinstance(error, TypeError):
        made = named_error("DataCloneError" if type(error).__name__ == "DataCloneError" else "TypeError", str(error))
    else:
        made = JsException(str(error))
    if isinstance(error, ObjectError):
        made.remote, made.retryable, made.overloaded = error.remote, error.retryable, error.overloaded
        made.durableObjectReset = isinstance(error, ObjectReset)
    return made
