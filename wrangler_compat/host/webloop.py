"""``pyodide.webloop``: the one event loop, as code finds it that thinks it is in Pyodide."""

from __future__ import annotations

import asyncio
import types

__all__ = ["webloop_module"]


class WebLoop(asyncio.SelectorEventLoop):
    """The event loop that is there already. Programs assign to its class, so it is one of our own."""

    def __new__(cls) -> asyncio.AbstractEventLoop:  # type: ignore[misc]
        """Return the loop that runs."""
        return asyncio.get_running_loop()


class WebLoopPolicy(asyncio.DefaultEventLoopPolicy):
    """The policy under which code asks for a loop."""


def webloop_module() -> types.ModuleType:
    """Return the module ``pyodide.webloop``."""
    module = types.ModuleType("pyodide.webloop")
    vars(module).update(
        WebLoop=WebLoop, WebLoopPolicy=WebLoopPolicy, PyodideFuture=asyncio.Future, PyodideTask=asyncio.Task
    )
    return module
