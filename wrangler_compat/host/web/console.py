"""``console``: lines of the worker's output, at once."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.proxy import JsObject, JsProxy

__all__ = ["Console"]


class Console(JsProxy):
    """``console``."""

    _js_name = "console"

    def __init__(self) -> None:
        self._timers: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    def log(self, *values: Any) -> None:
        """Write the values on one line."""
        print(*map(_shown, values), flush=True)

    info = debug = trace = dir = dirxml = timeStamp = log

    def warn(self, *values: Any) -> None:
        """Write the values on one line of the error output."""
        print(*map(_shown, values), file=sys.stderr, flush=True)

    error = warn

    def assert_(self, condition: Any = None, *values: Any) -> None:
        """Write the values unless ``condition`` holds."""
        if not condition:
            self.warn("Assertion failed:", *values)

    def table(self, value: Any) -> None:
        """Write the value."""
        self.log(value)

    def time(self, label: Any = "default") -> None:
        """Begin to measure."""
        self._timers[to_text(label)] = time.monotonic()

    def timeLog(self, label: Any = "default", *values: Any) -> None:
        """Write how long it took since ``time``, so far."""
        began = self._timers.get(to_text(label))
        if began is not None:
            self.log(f"{to_text(label)}: {(time.monotonic() - began) * 1000:.0f}ms", *values)

    def count(self, label: Any = "default") -> None:
        """Write how often it was called."""
        self._counts[to_text(label)] += 1
        self.log(f"{to_text(label)}: {self._counts[to_text(label)]}")

    def countReset(self, label: Any = "default") -> None:
        """Count from the beginning."""
        self._counts[to_text(label)] = 0

    def timeEnd(self, label: Any = "default") -> None:
        """Write how long it took since ``time``."""
        began = self._timers.pop(to_text(label), None)
        if began is not None:
            self.log(f"{to_text(label)}: {(time.monotonic() - began) * 1000:.0f}ms")

    def group(self, *values: Any) -> None:
        """Write the values."""
        self.log(*values)

    groupCollapsed = group

    def groupEnd(self) -> None:
        """End what ``group`` began: nothing is indented."""

    def clear(self) -> None:
        """Do nothing: what was written stays."""


def _shown(value: Any) -> str:
    if isinstance(value, JsObject | JsArray):
        try:
            return stringify(value) or "undefined"
        except Exception:
            return to_text(value)
    if isinstance(value, BaseException) and not isinstance(value, JsProxy):
        # As JavaScript shows an error: what it is, and where it was raised.
        return "".join(traceback.format_exception(value)).rstrip()
    return to_text(value)
