"""What a log is told of an exception: what the program itself raised, from the program's first line on."""

from __future__ import annotations

from types import FrameType, TracebackType
from typing import Final

from edgeagents.errors import RemoteError

__all__ = ["as_raised"]

# What runs a program's code, and tells nobody where its fault is.
_OF_RUNNING: Final = frozenset({"edgeagents", "asyncio", "concurrent", "threading"})


def as_raised(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Return ``error`` as ``exc_info`` of a log, without the frames that led to the program's code.

    Of an error that came to an object's caller in the same process it is what the object raised. One that no code of
    the program had a part in keeps all its frames.
    """
    while isinstance(error, RemoteError) and error.__cause__ is not None:
        error = error.__cause__
    trace = error.__traceback__
    while trace is not None and _is_of_running(trace.tb_frame):
        trace = trace.tb_next
    return type(error), error, trace or error.__traceback__


def _is_of_running(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OF_RUNNING
