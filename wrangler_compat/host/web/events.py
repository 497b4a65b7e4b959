"""Events and their targets."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from wrangler_compat.host.aborting import is_abort
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull, properties

__all__ = ["CloseEvent", "CustomEvent", "ErrorEvent", "Event", "EventTarget", "MessageEvent", "schedule"]

_log = logging.getLogger("edgeagents.worker")
_running: set[asyncio.Future[Any]] = set()


def schedule(result: Any) -> None:
    """Let go on what a callback returned, if it can be awaited. Its error is logged."""
    if not inspect.isawaitable(result):
        return
    future = asyncio.ensure_future(result)
    _running.add(future)
    future.add_done_callback(_ended)


def _ended(future: asyncio.Future[Any]) -> None:
    _running.discard(future)
    if not future.cancelled() and (error := future.exception()) is not None and not is_abort(error):
        _log.error("A callback failed", exc_info=error)


class Event(JsProxy):
    """``Event``."""

    def __init__(self, type: Any, init: Any = None) -> None:
        self.type = to_text(type)
        self.defaultPrevented = self.bubbles = self.cancelable = self.composed = self.isTrusted = False
        self.timeStamp = 0
        self.target: Any = jsnull
        for name, value in properties(init).items():
            setattr(self, name, value)

    def preventDefault(self) -> None:
        """Say that what would follow is not wanted."""
        self.defaultPrevented = True

    def stopPropagation(self) -> None:
        """Do nothing: there is nowhere to go on to."""

    def stopImmediatePropagation(self) -> None:
        """Tell no other listener."""
        self._stopped = True


class MessageEvent(Event):
    """``MessageEvent``: has ``data``."""

    data: Any = None


class CloseEvent(Event):
    """``CloseEvent``: has ``code``, ``reason`` and ``wasClean``."""

    code, reason, wasClean = 0, "", False


class ErrorEvent(Event):
    """``ErrorEvent``: has ``message`` and ``error``."""

    message: str = ""
    error: Any = None


class CustomEvent(Event):
    """``CustomEvent``: has ``detail``."""

    detail: Any = jsnull


class EventTarget(JsProxy):
    """``EventTarget``: tells its listeners, and what is set as ``onmessage`` and the like."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[tuple[Any, bool]]] = {}

    def addEventListener(self, type: Any, listener: Any, options: Any = None) -> None:
        """Tell ``listener`` of each event; with ``{once: true}`` of the next."""
        if is_nullish(listener):
            return
        once = properties(options).get("once") is True
        listeners = self._listeners.setdefault(to_text(type), [])
        if not any(known is listener for known, _ in listeners):
            listeners.append((listener, once))

    def removeEventListener(self, type: Any, listener: Any, options: Any = None) -> None:
        """Tell ``listener`` no more."""
        kept = [entry for entry in self._listeners.get(to_text(type), ()) if entry[0] is not listener]
        self._listeners[to_text(type)] = kept

    def dispatchEvent(self, event: Event) -> bool:
        """Tell the listeners now. Return whether none of them prevented the default."""
        event.target = self
        listeners = list(self._listeners.get(event.type, ()))
        handler = self.__dict__.get(f"on{event.type}")
        if callable(handler):
            listeners.append((handler, False))
        for listener, once in listeners:
            if once:
                self.removeEventListener(event.type, listener)
            call: Callable[..., Any] = listener if callable(listener) else listener.handleEvent
            try:
                schedule(call_relaxed(call, event))
            except Exception as error:
                # The others are told all the same.
                _log.error("A listener of %r failed", event.type, exc_info=error)
            except BaseException as error:
                if not is_abort(error):
                    raise
            if getattr(event, "_stopped", False):
                break
        return not event.defaultPrevented

    def _keys(self) -> list[str]:
        return []
