"""What the running code belongs to: a worker, by which the host answers for it.

The modules of the host (``js``, ``pyodide``, ``cloudflare:workers``) are one for the whole process. What differs from
worker to worker, such as ``env`` and the compatibility flags, is found by the worker that the current task runs for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from wrangler_compat.host.model.proxy import JsObject

__all__ = [
    "JsEnv",
    "NoSuchBinding",
    "WorkerContext",
    "current_worker",
    "enter",
    "is_within_worker",
    "outbound_here",
    "register",
    "running_for",
    "unregister",
    "wait_until",
]


class NoSuchBinding(AttributeError):
    """The code asks ``env`` for what it does not have."""


class JsEnv(JsObject):
    """``env``: a plain object that tells what it has when it is asked for what it has not."""

    __slots__ = ()
    _js_name = "Object"

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            known = ", ".join(sorted(self._props)) or "nothing"
            raise NoSuchBinding(f"env has no {name!r}. It has: {known}.") from None


@dataclass
class WorkerContext:
    """One worker, as the host's modules see it."""

    name: str
    flags: frozenset[str] = frozenset()
    """The compatibility flags that are on, by date or by name."""
    env: JsObject = field(default_factory=JsEnv)
    """Raw: what ``cloudflare:workers`` has as ``env``."""
    exports: JsObject = field(default_factory=JsObject)
    native_env: Any = None
    """The runtime's environment that ``env`` was made of."""
    native_exports: Any = None
    outbound: Any = None
    """What answers its ``fetch`` in place of the network: has a method ``fetch``, which may refuse."""
    containers: frozenset[str] = frozenset()
    """The object classes whose objects have a container each."""
    scope: Any = None
    """Who listens to events of the worker itself, if anybody does."""


_current: ContextVar[WorkerContext | None] = ContextVar("edgeagents_worker", default=None)
wait_until: ContextVar[Callable[[Any], None] | None] = ContextVar("edgeagents_wait_until", default=None)
"""How the event that runs lets something go on after its answer."""
_last: list[WorkerContext] = []


def current_worker() -> WorkerContext:
    """Return the worker that the running code belongs to."""
    worker = _current.get()
    if worker is not None:
        return worker
    # A thread or callback that began outside of any event: with one worker there is no doubt.
    if len(_last) == 1:
        return _last[0]
    raise RuntimeError("No worker runs here.")


def is_within_worker() -> bool:
    """Return whether the running code belongs to a worker."""
    return _current.get() is not None


def outbound_here() -> Any:
    """Return what answers ``fetch`` of the running code in place of the network, or None."""
    worker = _current.get()
    return worker.outbound if worker is not None else None


@contextmanager
def running_for(worker: WorkerContext) -> Generator[None]:
    """Let the code of the ``with`` block belong to ``worker``."""
    token = _current.set(worker)
    try:
        yield
    finally:
        _current.reset(token)


def enter(worker: WorkerContext, waits: Callable[[Any], None] | None) -> None:
    """Let the rest of the current task belong to ``worker``, and to an event that can wait by ``waits``."""
    _current.set(worker)
    wait_until.set(waits)


def register(worker: WorkerContext) -> None:
    """Note that ``worker`` was loaded."""
    _last.append(worker)


def unregister(worker: WorkerContext) -> None:
    """Note that ``worker`` is gone."""
    if worker in _last:
        _last.remove(worker)
