"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_browser.binding import Browser
from edgeagents_browser.sessions import Sessions

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime

_sessions: WeakKeyDictionary[Any, Sessions] = WeakKeyDictionary()


class BrowserType:
    """``browser``. It has no options. Nothing is started before it is used."""

    kind = "browser"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return Browser(_sessions.setdefault(runtime, Sessions(runtime.clock)))


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``browser``."""
    return [BrowserType()]


@hookimpl
async def shutdown(runtime: Runtime) -> None:
    """End the browsers."""
    sessions = _sessions.pop(runtime, None)
    if sessions is not None:
        await sessions.stop()
