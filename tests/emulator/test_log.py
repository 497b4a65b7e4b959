"""The log: marks, colours, and tracebacks that begin in the developer's own file."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgeagents_emulator.log import LineFormatter, LineHandler, in_a_line, user_traceback

from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.web.url import normal_url


def failing(tmp_path: Path) -> Any:
    file = tmp_path / "entry.py"
    file.write_text("def fetch():\n    return 1 / 0\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    return names["fetch"]


def raised_in_a_pool(function: Callable[[], object]) -> BaseException:
    """Return what ``function`` raised below frames of the standard library, without this test's own frames."""
    with ThreadPoolExecutor() as pool:
        future = pool.submit(function)
        error = future.exception()
    assert error is not None
    return error


def test_a_traceback_begins_in_the_developers_file(tmp_path: Path) -> None:
    error = raised_in_a_pool(failing(tmp_path))
    whole = "".join(traceback.format_exception(error))
    assert "concurrent" in whole
    shown = user_traceback(error)
    assert "concurrent" not in shown
    assert str(tmp_path / "entry.py") in shown
    assert shown.endswith("ZeroDivisionError: division by zero")


def test_the_cause_begins_in_the_developers_file_too(tmp_path: Path) -> None:
    cause = raised_in_a_pool(failing(tmp_path))
    error = RuntimeError("outer")
    error.__cause__ = cause
    assert "concurrent" not in user_traceback(error)


def test_a_traceback_without_the_developers_code_is_whole() -> None:
    assert "concurrent" in user_traceback(raised_in_a_pool(functools.partial(json.loads, "?")))


def test_a_syntax_error_is_its_own_place_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "entry.py"
    error = raised_in_a_pool(functools.partial(compile, "def broken(:\n", str(file), "exec"))
    shown = user_traceback(error)
    assert "concurrent" not in shown
    assert f'File "{file}", line 1' in shown
    assert "SyntaxError" in shown


def test_what_is_said_on_purpose_is_said_without_the_way_to_it() -> None:
    wrong = raised_in_a_pool(functools.partial(normal_url, "no url"))
    assert user_traceback(wrong) == in_a_line(wrong) == "TypeError: Invalid URL: no url"


def test_an_error_of_another_object_is_told_by_what_it_is_and_not_by_how_its_traceback_begins() -> None:
    error = JsException('Traceback (most recent call last):\n  File "entry.py", line 7\nValueError: inside\n')
    assert in_a_line(error) == "ValueError: inside"


def record(level: int, message: str, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("edgeagents", level, "", 0, message, None, None)
    vars(made).update(extra)
    return made


def test_a_cause_that_says_no_more_and_has_no_code_of_the_developers_is_left_out(tmp_path: Path) -> None:
    error = raised_in_a_pool(failing(tmp_path))
    error.args = ("D1_ERROR: no such table",)
    error.__cause__ = RuntimeError("no such table")
    assert "direct cause" not in user_traceback(error)
    error.args = ("less",)
    assert "direct cause" in user_traceback(error)


def test_a_task_that_nobody_awaits_is_told_by_its_traceback(tmp_path: Path) -> None:
    error = raised_in_a_pool(failing(tmp_path))
    text = "Task exception was never retrieved\nfuture: <Task finished name='Task-1' coro=<f() done> exception=X()>"
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, text, None, (type(error), error, error.__traceback__))
    lines = LineFormatter(has_colour=False).format(record).splitlines()
    assert lines[:2] == ["[error] Task exception was never retrieved", "Traceback (most recent call last):"]


def test_what_a_worker_logs_has_no_secrets_whoever_writes_it() -> None:
    code = """
import logging
from edgeagents.redaction import hide
from edgeagents_emulator.log import configure_logging
configure_logging("info")
hide(["a secret"])
logging.getLogger("mine").info("not asked for")
logging.getLogger("mine").warning("told %s", "a secret")
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
logging.getLogger("mine").info("told %s", "a secret")
"""
    path = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "[warning] told [hidden]\nINFO told [hidden]\n"


def test_lines_are_marked_by_what_they_ask_for() -> None:
    plain = LineFormatter(has_colour=False)
    assert plain.format(record(logging.INFO, "ready")) == "ready"
    assert plain.format(record(logging.WARNING, "hm")) == "[warning] hm"
    assert plain.format(record(logging.ERROR, "no")) == "[error] no"


def test_the_status_has_a_colour_where_colours_show() -> None:
    line = record(logging.INFO, "GET / 200 OK (1ms)", status="200 OK")
    assert LineFormatter(has_colour=True).format(line) == "GET / \x1b[32m200 OK\x1b[0m (1ms)"
    assert LineFormatter(has_colour=False).format(line) == "GET / 200 OK (1ms)"


class GoneTerminal(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


async def test_lines_that_can_wait_are_written_with_the_next_turn_of_the_loop() -> None:
    out = io.StringIO()
    handler = LineHandler(out)
    handler.write_soon("first")
    handler.write_soon("second")
    assert out.getvalue() == ""
    await asyncio.sleep(0)
    assert out.getvalue() == "first\nsecond\n"


async def test_what_is_logged_comes_after_the_lines_before_it() -> None:
    out = io.StringIO()
    handler = LineHandler(out)
    handler.write_soon("before")
    handler.handle(record(logging.ERROR, "no"))
    handler.write_soon("after")
    await asyncio.sleep(0)
    assert out.getvalue() == "before\n[error] no\nafter\n"


async def test_lines_that_wait_at_the_end_are_written() -> None:
    out = io.StringIO()
    handler = LineHandler(out)
    handler.write_soon("last")
    handler.close()
    assert out.getvalue() == "last\n"


async def test_lines_for_a_terminal_that_is_gone_are_dropped() -> None:
    handler = LineHandler(GoneTerminal())
    handler.write_soon("nobody")
    await asyncio.sleep(0)
    handler.write_soon("nobody")
    handler.close()
