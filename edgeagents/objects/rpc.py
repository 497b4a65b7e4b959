"""Calls through a stub: which methods may be called, and how values and errors cross.

Arguments and results cross as copies, so two objects never share memory; requests, responses and the items of an
async generator are handed over. Errors cross as ``RemoteError``.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Collection, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from edgeagents.errors import DataCloneError, EdgeAgentsError, ObjectReset, RemoteError
from edgeagents.http import Request, Response
from edgeagents.http.closing import close
from edgeagents.objects.values import clone

__all__ = [
    "HandedOver",
    "UnknownClass",
    "anothers_reset",
    "copy_arguments",
    "copy_result",
    "crossing_error",
    "exported_names",
    "is_callable_name",
    "rebuilt",
    "remote_error",
]

ErrorT = TypeVar("ErrorT", bound=BaseException)

_HANDLERS = frozenset({"alarm", "fetch", "web_socket_message", "web_socket_close", "web_socket_error"})


class HandedOver:
    """A result that was copied already and crosses as it is, with parts that are no data, such as functions.

    Within one process only. The caller of a stub gets the ``value``.
    """

    __slots__ = ("value",)
    _stays_here = True

    def __init__(self, value: Any) -> None:
        self.value = value


class UnknownClass:
    """Stands for the class of an object that is only known when it starts: every public name may be a method."""


def is_callable_name(cls: type, name: str, exported: Collection[str] = ()) -> bool:
    """Return whether a stub may call ``name`` on an object of ``cls``: a public method that is no handler.

    ``exported`` are names of methods that such objects have beside those of their class.
    """
    if name.startswith("_") or name in _HANDLERS:
        return False
    return cls is UnknownClass or callable(getattr(cls, name, None)) or name in exported


def exported_names(cls: type, capabilities: tuple[type, ...]) -> frozenset[str]:
    """Return the names of the methods that objects of ``cls`` have of the parts that they are composed of.

    ``capabilities`` are the parts that all agents of the runtime have; an object that is no agent has none.
    """
    find = getattr(cls, "_edgeagents_exported_names", None)
    return frozenset() if find is None else find(capabilities)


def copy_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return copies for the called object. Raises ``DataCloneError`` for what cannot be sent."""
    return tuple(map(_copy, args)), {name: _copy(value) for name, value in kwargs.items()} if kwargs else kwargs


def copy_result(value: Any) -> Any:
    """Return a copy of ``value`` for the caller; an async iterator gives copies of its items."""
    return _copies(value) if isinstance(value, AsyncIterator) else _copy(value)


def crossing_error(error: BaseException) -> BaseException:
    """Return what the caller of an object sees of ``error``.

    Errors of edgeagents itself stay what they are. A builtin exception becomes a ``RemoteError`` that is an instance of
    that builtin too.
    """
    if isinstance(error, EdgeAgentsError):
        return error
    if isinstance(error, asyncio.CancelledError):
        return RemoteError("The object's code awaited something that was cancelled.", "CancelledError")
    if not isinstance(error, Exception):
        return ObjectReset(f"The object stopped while it handled the call: {type(error).__name__}.")
    kind = next(kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    return remote_error(kind, _text(error), type(error).__name__)


def anothers_reset(error: ObjectReset) -> ObjectReset:
    """Return what the caller of an object sees when the object's code has met the reset of another one.

    It is ``remote``: the object itself was not reset, so the caller's stub goes on.
    """
    return rebuilt(type(error), error.args, {**vars(error), "remote": True})


def rebuilt(kind: type[ErrorT], args: tuple[Any, ...], attributes: Mapping[str, Any]) -> ErrorT:
    """Return the error of ``kind`` that has these ``args`` and ``attributes``."""
    # Not by its __init__, which takes other arguments than it keeps.
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


def remote_error(kind: type[Exception], text: str, type_name: str) -> RemoteError:
    """Return the error of an object whose code raised the builtin ``kind``, or a subclass of it named ``type_name``."""
    if kind is Exception:
        return RemoteError(text, type_name)
    try:
        return _remote(kind)(text, type_name)
    except TypeError:  # One that is made of more than a text, such as UnicodeEncodeError: it is of its base.
        return remote_error(cast("type[Exception]", kind.__base__), text, type_name)


@cache
def _remote(kind: type[Exception]) -> type[RemoteError]:
    try:
        return type(f"Remote{kind.__name__}", (RemoteError, kind), {"__doc__": RemoteError.__doc__})
    except TypeError:  # A builtin whose layout does not combine.
        return RemoteError


def _text(error: BaseException) -> str:
    # The argument itself: str(KeyError("x")) has quotes that were not in the message.
    if len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0]
    return str(error)


def _copy(value: Any) -> Any:
    if isinstance(value, Request | Response | HandedOver):
        return value
    try:
        return clone(value)
    except DataCloneError as error:
        raise DataCloneError(f"{error} Only data crosses between objects, and requests and responses.") from error


async def _copies(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    try:
        async for item in items:
            yield _copy(item)
    finally:
        await close(items)
