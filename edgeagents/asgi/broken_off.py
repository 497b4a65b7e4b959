"""Responses that end before their end: how a server is made to cut them, and what its log says of that.

A body that was cut off must not look complete. ASGI has one way to say so which middlewares pass on: to raise. Servers
log what is raised as a failure of the application, with all its frames; in the log of those that are known it becomes
a line, which is no error when the cut was planned.
"""

from __future__ import annotations

import logging
from typing import Final

__all__ = ["BrokenOff", "CutOff", "log_as_lines"]

# Of uvicorn, Hypercorn and granian.
_LOGGERS: Final = ("uvicorn.error", "hypercorn.error", "_granian.utils")


class BrokenOff(Exception):
    """A response ended before its end. It is raised to the server, which must not end the response properly."""


class CutOff(BrokenOff):
    """A response was ended because the server stops."""


_KINDS: Final = frozenset({BrokenOff.__name__, CutOff.__name__})


def log_as_lines() -> None:
    """Have servers log what is raised here as a line. Harmless when it was called before."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_as_line)


def _as_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BrokenOff):
        _reword(record, str(error), is_planned=isinstance(error, CutOff))
    elif record.exc_info is None and isinstance(record.msg, str):
        # granian writes the traceback itself, and ends it with the error's plain name.
        kind, _, words = record.msg.rstrip().rpartition("\n")[2].partition(": ")
        if kind in _KINDS:
            _reword(record, words, is_planned=kind == CutOff.__name__)
    return True


def _reword(record: logging.LogRecord, words: str, *, is_planned: bool) -> None:
    record.msg, record.args, record.exc_info, record.exc_text = words, (), None, None
    if is_planned:
        record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
