"""What a developer reads: request lines, warnings, and tracebacks that begin in the developer's own file."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import edgeagents
import wrangler_compat.own_modules
from edgeagents.errors import EdgeAgentsError, RemoteError
from edgeagents.redaction import redact
from wrangler_compat.host.model.errors import JsException

__all__ = [
    "LineFormatter",
    "LineHandler",
    "configure_logging",
    "in_a_line",
    "line_handler",
    "user_traceback",
]

_ours = logging.getLogger("edgeagents")
_of_tasks = logging.getLogger("asyncio")

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "log": logging.INFO, "warn": logging.WARNING,
           "warning": logging.WARNING, "error": logging.ERROR, "none": logging.CRITICAL + 1}  # fmt: skip


def _package_folder(module: object) -> str:
    return str(Path(str(getattr(module, "__file__", ""))).parent)


_OUR_FOLDERS = (_package_folder(edgeagents), _package_folder(wrangler_compat), str(Path(__file__).parent))
# Frames in these say how a call came to the developer's code, which is not what failed.
_NOT_THEIRS = tuple(
    {
        *_OUR_FOLDERS,
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
        "<frozen",
    }
)

_ON_PURPOSE = (SyntaxError, EdgeAgentsError)
_TASK = re.compile(r"\n(?:future|task): <.*")
_TRACEBACK = "Traceback (most recent call last):\n"
# The host's errors have the names that they have in Pyodide; one of JavaScript's says its name itself.
_NAMES_OF_THE_HOST = re.compile(r"^wrangler_compat\.[\w.]+\.(?:(?:Js\w+|DomException): )?", re.MULTILINE)

# An import of a worker's own module goes through these, also in the middle of a traceback.
_OF_IMPORTS = ("<frozen importlib", str(Path(wrangler_compat.own_modules.__file__)))


def user_traceback(error: BaseException) -> str:
    """Return the traceback of ``error``, from the first frame of the developer's own code on.

    What is raised on purpose says all in its words: how the code came to the place that says it is left out.
    """
    error = _own_error(error)
    report = traceback.TracebackException.from_exception(error)
    _trim(report, error, (*_OUR_FOLDERS, *_folders_of_plugins()), set())
    return _NAMES_OF_THE_HOST.sub("", "".join(report.format())).rstrip()


def in_a_line(error: BaseException) -> str:
    """Return what ``error`` is, in one line."""
    error = _own_error(error)
    text = str(error) if isinstance(error, JsException) else f"{type(error).__name__}: {error}"
    # One that comes from another object brings its traceback, which ends with what it is.
    return text.rstrip().rpartition("\n")[2] if _TRACEBACK in text else text.partition("\n")[0]


def _own_error(error: BaseException) -> BaseException:
    """Return what the developer's code raised, where ``error`` is only how an object's caller sees that."""
    while isinstance(error, RemoteError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _trim(report: traceback.TracebackException, error: BaseException, ours: tuple[str, ...], seen: set[int]) -> None:
    if id(report) in seen:
        return
    seen.add(id(report))
    frames = [frame for frame in report.stack if not frame.filename.startswith(_OF_IMPORTS)]
    theirs = [number for number, frame in enumerate(frames) if _is_theirs(frame.filename, ours)]
    first, end = theirs[0] if theirs else 0, len(frames)
    if isinstance(error, _ON_PURPOSE) or type(error).__module__.startswith("wrangler_compat."):
        # A syntax error is in no frame: it names the file itself.
        end = theirs[-1] + 1 if theirs else 0
    report.stack = traceback.StackSummary.from_list(frames[first:end])
    reports = (report.__cause__, report.__context__, *(report.exceptions or ()))
    errors = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    for inner, cause in zip(reports, errors, strict=False):
        if inner is not None and cause is not None:
            _trim(inner, cause, ours, seen)
    if _says_no_more(error.__cause__, error, ours):
        report.__cause__ = None
    if _says_no_more(error.__context__, error, ours):
        report.__context__ = None


def _says_no_more(cause: BaseException | None, error: BaseException, ours: tuple[str, ...]) -> bool:
    """Whether ``cause`` and all behind it came by no code but ours, and ``error`` has all the words of it."""
    if cause is None:
        return True
    frames = traceback.extract_tb(cause.__traceback__)
    return (
        str(cause) in str(error)
        # A driver that is written in C has lines of it in its tracebacks.
        and all(frame.filename.startswith(ours) or frame.filename.endswith(".c") for frame in frames)
        and _says_no_more(cause.__cause__, error, ours)
        and _says_no_more(cause.__context__, error, ours)
    )


def _folders_of_plugins() -> Iterator[str]:
    for name, module in list(sys.modules.items()):
        if name.startswith("edgeagents_") and "." not in name and getattr(module, "__path__", None):
            yield _package_folder(module)


def _is_theirs(file: str, ours: tuple[str, ...]) -> bool:
    return not file.startswith((*_NOT_THEIRS, *ours)) and "site-packages" not in file


class LineFormatter(logging.Formatter):
    """A line a record: plain for information, marked for what needs attention. Colours only where they show."""

    def __init__(self, *, has_colour: bool) -> None:
        super().__init__()
        self._has_colour = has_colour

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.name == _of_tasks.name and record.exc_info:
            # What its traceback tells better.
            text = _TASK.sub("", text)
        if record.levelno >= logging.ERROR:
            text = f"{self.paint('[error]', 'red')} {text}"
        elif record.levelno >= logging.WARNING:
            text = f"{self.paint('[warning]', 'yellow')} {text}"
        elif record.levelno < logging.INFO:
            text = f"[debug] {text}"
        status = getattr(record, "status", None)
        text = self.shown(text, status if isinstance(status, str) else None)
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}\n{redact(user_traceback(record.exc_info[1]))}"
        return text

    def shown(self, text: str, status: str | None) -> str:
        """Return ``text`` without secrets, with the ``status`` in it in its colour."""
        text = redact(text)
        return text if status is None else text.replace(status, self.paint(status, _status_colour(status)), 1)

    def paint(self, text: str, colour: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._has_colour else text


def _status_colour(status: str) -> str:
    return {"1": "cyan", "2": "green", "3": "cyan", "4": "yellow"}.get(status[:1], "red")


class _RedactedRecord(logging.LogRecord):
    """What somebody logs, without secrets, whoever writes it."""

    def getMessage(self) -> str:
        return redact(super().getMessage())


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines to the developer's terminal, or where else its output goes."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.lines = LineFormatter(has_colour=stream.isatty())
        self.setFormatter(self.lines)
        self._waiting: list[str] = []

    def write_soon(self, line: str) -> None:
        """Write ``line`` with the next turn of the running loop, together with the others of this turn.

        To write takes longer than to answer a small request. What is logged meanwhile comes after it.
        """
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write_waiting)
        self._waiting.append(line)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of ``record``."""
        self._write_waiting()
        super().emit(record)

    def close(self) -> None:
        """Write what waits."""
        self._write_waiting()
        super().close()

    def _write_waiting(self) -> None:
        self.acquire()
        try:
            if self._waiting:
                text, self._waiting = "\n".join([*self._waiting, ""]), []
                self.stream.write(text)
                self.flush()
        except (OSError, ValueError):
            # Nobody reads any more, as when a pipe was closed. The worker serves on.
            return
        finally:
            self.release()


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Show what edgeagents logs, unless the program that we are in has decided about logging already."""
    if _ours.handlers or logging.getLogger().handlers:
        return
    handler = LineHandler(stream or sys.stderr)
    _ours.addHandler(handler)
    if not _of_tasks.handlers:
        # What asyncio says of the developer's tasks, such as that one failed and nobody asked how it ended.
        _of_tasks.addHandler(handler)
    _ours.setLevel(_LEVELS.get(level, logging.INFO))
    # What a worker logs goes where it says, and else here: from warnings on, as everywhere in Python.
    logging.setLogRecordFactory(_RedactedRecord)
    last = LineHandler(handler.stream)
    last.setLevel(max(logging.WARNING, _ours.level))
    logging.lastResort = last
    # A worker that asks for lines of its own, as with logging.basicConfig(), would have each of ours twice.
    _ours.propagate = False


def line_handler(logger: logging.Logger) -> LineHandler | None:
    """Return the handler that writes what ``logger``, one of edgeagents' own, logs; None if others are told too."""
    handlers = _ours.handlers
    if len(handlers) == 1 and isinstance(handlers[0], LineHandler) and not _ours.propagate and not logger.handlers:
        return handlers[0]
    return None
