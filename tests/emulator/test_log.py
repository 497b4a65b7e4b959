"""The log: marks, colours, and tracebacks that begin in the developer's own file."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from edgeagents_emulator.log import LineFormatter, user_traceback


def failing(tmp_path: Path) -> Any:
    file = tmp_path / "entry.py"
    file.write_text("def fetch():\n    return 1 / 0\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    return names["fetch"]


def raised_by(function: Any) -> BaseException:
    async def call() -> None:
        # Through the event loop and a thread, as sync handlers are.
        await asyncio.to_thread(function)

    try:
        asyncio.new_event_loop().run_until_complete(call())
    except ZeroDivisionError as error:
        # The frame of this test is none of the standard library's: leave it out, as the runtime's are.
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        return error
    raise AssertionError


def test_a_traceback_begins_in_the_developers_file(tmp_path: Path) -> None:
    error = raised_by(failing(tmp_path))
    lines = user_traceback(error).splitlines()
    assert "asyncio" in str(error.__traceback__.tb_frame.f_code.co_filename)  # type: ignore[union-attr]
    frames = [line for line in lines if line.startswith('  File "')]
    assert str(Path(__file__)) in frames[0] or str(tmp_path) in frames[0]
    assert "concurrent" not in frames[0]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_traceback_without_the_developers_code_is_whole() -> None:
    try:
        asyncio.new_event_loop().run_until_complete(asyncio.sleep("x"))  # type: ignore[arg-type]
    except TypeError as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        assert "asyncio" in user_traceback(error)


def record(level: int, message: str, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("edgeagents", level, "", 0, message, None, None)
    vars(made).update(extra)
    return made


def test_lines_are_marked_by_what_they_ask_for() -> None:
    plain = LineFormatter(has_colour=False)
    assert plain.format(record(logging.INFO, "ready")) == "ready"
    assert plain.format(record(logging.WARNING, "hm")) == "[warning] hm"
    assert plain.format(record(logging.ERROR, "no")) == "[error] no"


def test_the_status_has_a_colour_where_colours_show() -> None:
    line = record(logging.INFO, "GET / 200 OK (1ms)", status="200 OK")
    assert LineFormatter(has_colour=True).format(line) == "GET / \x1b[32m200 OK\x1b[0m (1ms)"
    assert LineFormatter(has_colour=False).format(line) == "GET / 200 OK (1ms)"
