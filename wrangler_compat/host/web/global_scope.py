"""The global scope itself: its events, what tells a worker where it runs, and classes of which it makes no instance."""

from __future__ import annotations

import logging
from typing import Any, Final

from wrangler_compat.host.context import current_worker, wait_until
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsProxy, js_function
from wrangler_compat.host.web.events import ErrorEvent, Event, EventTarget
from wrangler_compat.host.web.fetching import fetch

__all__ = ["GLOBAL_FUNCTIONS", "NEVER_MADE", "Cloudflare", "Navigator", "ServiceWorkerGlobalScope", "WorkerGlobalScope"]

_log = logging.getLogger("edgeagents.worker")


class WorkerGlobalScope(EventTarget):
    """``WorkerGlobalScope``."""

    _is_made_by_host = True


class ServiceWorkerGlobalScope(WorkerGlobalScope):
    """``ServiceWorkerGlobalScope``: what ``globalThis`` is. Each worker has its own listeners."""

    _is_made_by_host = True


def _scope() -> ServiceWorkerGlobalScope:
    worker = current_worker()
    if worker.scope is None:
        worker.scope = ServiceWorkerGlobalScope()
    return worker.scope


@js_function
def add_event_listener(type: Any, listener: Any, options: Any = None) -> None:
    """Tell ``listener`` of events of the worker: of ``error``, which ``reportError`` tells of."""
    _scope().addEventListener(type, listener, options)


@js_function
def remove_event_listener(type: Any, listener: Any, options: Any = None) -> None:
    """Tell ``listener`` no more."""
    _scope().removeEventListener(type, listener, options)


@js_function
def dispatch_event(event: Event) -> bool:
    """Tell the worker's listeners; return whether none of them prevented the default."""
    return _scope().dispatchEvent(event)


@js_function
def report_error(error: Any = None) -> None:
    """Tell the worker's listeners of ``error``, and the log unless one of them prevents that."""
    message = f"Uncaught {error}"
    if _scope().dispatchEvent(ErrorEvent("error", {"message": message, "error": error, "cancelable": True})):
        _log.error(message, exc_info=error if isinstance(error, BaseException) else None)


GLOBAL_FUNCTIONS: Final = {
    "addEventListener": add_event_listener,
    "removeEventListener": remove_event_listener,
    "dispatchEvent": dispatch_event,
    "reportError": report_error,
}


class Navigator(JsProxy):
    """``Navigator``: what ``navigator`` is."""

    _is_made_by_host = True
    userAgent, language, platform, hardwareConcurrency = "Cloudflare-Workers", "en", "", 1

    @property
    def languages(self) -> JsArray:
        """The languages that are spoken here."""
        return JsArray([self.language])

    def sendBeacon(self, url: Any, body: Any = None) -> bool:
        """Post ``body``, and go on before there is an answer, which nobody sees."""
        sent = fetch(url, {"method": "POST", "body": body})
        wait = wait_until.get()
        if wait is None:
            raise JsException("sendBeacon() can only be called while an event is handled.")
        wait(JsPromise.of(sent).catch(lambda error: _log.warning("A beacon failed: %s", error)))
        return True


class _Flags(JsProxy):
    _js_name = "Object"

    def __getattr__(self, name: str) -> bool:
        if name.startswith("_"):
            raise AttributeError(name)
        return name in current_worker().flags

    def _keys(self) -> list[str]:
        return sorted(current_worker().flags)


class Cloudflare(JsProxy):
    """``Cloudflare``: its ``compatibilityFlags`` say which flags the worker has."""

    def __init__(self) -> None:
        self.compatibilityFlags = _Flags()


def _never_made(name: str, base: type[JsProxy]) -> type[JsProxy]:
    return type(name, (base,), {"_is_made_by_host": True, "__doc__": f"``{name}``: never made here."})


NEVER_MADE: Final = (
    *(
        _never_made(name, Event)
        for name in (
            *("ExtendableEvent", "FetchEvent", "PromiseRejectionEvent"),
            *("ScheduledEvent", "TailEvent", "TraceEvent"),
        )
    ),
    *(
        _never_made(name, JsProxy)
        for name in (
            *("ReadableByteStreamController", "ReadableStreamBYOBRequest"),
            *("WritableStreamDefaultController", "TransformStreamDefaultController"),
        )
    ),
)
"""Classes that are there to be asked for, and have no instances: handlers and sources are given other objects."""
