"""``process``, as far as it is not about a process of Node's: the environment, and what a program asks it for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.context import current_worker
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsObject, JsProxy
from wrangler_compat.host.web.timers import queue_microtask

__all__ = ["Process"]


class Process(JsProxy):
    """``process``. Its ``env`` are the worker's variables that are text."""

    _js_name = "process"
    title, version, arch, platform, pid, ppid = "workerd", "v22.19.0", "x64", "linux", 1, 0

    def __init__(self) -> None:
        self.argv, self.versions = JsArray(["workerd"]), JsObject({"node": self.version.removeprefix("v")})
        self._began = time.monotonic()

    @property
    def env(self) -> JsObject:
        """The variables. What is set here is seen by nobody else."""
        try:
            found = current_worker().env._props
        except RuntimeError:
            return JsObject()
        return JsObject({name: value for name, value in found.items() if isinstance(value, str)})

    def cwd(self) -> str:
        """Return where the code is."""
        return "/bundle"

    def uptime(self) -> float:
        """Return for how many seconds it has run."""
        return time.monotonic() - self._began

    def nextTick(self, function: Callable[..., Any], *args: Any) -> None:
        """Call ``function`` once the code that runs has ended."""
        queue_microtask(lambda: call_relaxed(function, *args))

    def exit(self, code: Any = None) -> None:
        """Refuse: a worker cannot end the process that it runs in."""
        raise JsException(f"process.exit({code if isinstance(code, int) else ''}) has no meaning in a worker.")

    def _keys(self) -> list[str]:
        return ["title", "version", "versions", "arch", "platform", "argv", "env", "pid"]
