"""Neighbours: the workers that run in one process, each found by its name when another one calls it.

Each has a runtime of its own, and they start in any order: who binds to a neighbour looks for it with each call. One
that does not run answers requests with 503, as Cloudflare's own tools do.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from edgeagents.errors import ConfigError, WorkerNotFound
from edgeagents.http import Request, Response
from edgeagents.namespace_keys import NamespaceKeys
from edgeagents.objects import Address, Event, Limits, Namespace
from edgeagents.objects.events import FetchEvent
from edgeagents.objects.rpc import UnknownClass, exported_names
from edgeagents.objects.spellings import did_you_mean
from edgeagents.services import Service

__all__ = ["Neighbours"]


class Neighbours:
    """The runtimes of one process. Each runtime adds itself when it is made."""

    def __init__(self) -> None:
        self._runtimes: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Any]:
        return iter(self._runtimes.values())

    def add(self, runtime: Any) -> None:
        """Let ``runtime`` be found by the name of its worker. Raises ``ConfigError`` when there is one of that name."""
        name = runtime.worker.name
        if name in self._runtimes:
            raise ConfigError(f"Two workers are called {name!r}. Give each a name of its own.")
        self._runtimes[name] = runtime

    def find(self, name: str) -> Any:
        """Return the runtime of the worker ``name``. Raises ``WorkerNotFound`` unless it runs."""
        runtime = self._runtimes.get(name)
        if runtime is None or runtime.state != "running":
            raise WorkerNotFound(name)
        return runtime

    def service(self, name: str, entrypoint: str | None, props: Mapping[str, Any] | None) -> Service:
        """Return the caller's end of an entrypoint of the worker ``name``.

        Raises ``ConfigError`` when that worker is here and has no such entrypoint.
        """
        runtime = self._runtimes.get(name)
        if runtime is not None and entrypoint not in (None, "default"):
            check_named(entrypoint or "", runtime.worker.entrypoints, "an entrypoint", f"the worker {name!r}")
        return Service(_Elsewhere(self, name), entrypoint, props)

    def namespace(self, name: str, class_name: str, rng: Any, capabilities: tuple[type, ...] = ()) -> Namespace[Any]:
        """Return the objects of a class of the worker ``name``. Raises ``ConfigError`` when it has no such class."""
        runtime = self._runtimes.get(name)
        cls: type = UnknownClass
        if runtime is not None:
            check_named(class_name, runtime.worker.classes, "a class", f"the worker {name!r}")
            cls = runtime.worker.classes[class_name]
        key_name = class_name if cls is UnknownClass else cls.__name__
        return self.namespace_of(cls, key_name, name, rng, exported_names(cls, capabilities))

    def namespace_of(
        self, cls: type, key_name: str, name: str, rng: Any, exported: frozenset[str] = frozenset()
    ) -> Namespace[Any]:
        """Return the objects of ``cls`` that the worker ``name`` has under ``key_name``."""
        runtime = self._runtimes.get(name)
        keys = NamespaceKeys() if runtime is None else runtime.namespace_keys
        namespace = Namespace(keys.key(name, key_name), cls, self._deliver_to(name), rng, exported)
        namespace.name_bytes = (Limits() if runtime is None else runtime.limits).object_name_bytes
        return namespace

    def _deliver_to(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def deliver(address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
            try:
                runtime = self.find(name)
            except WorkerNotFound as fault:
                if isinstance(event, FetchEvent):
                    return Response(str(fault), status=fault.status)
                raise
            return await runtime.send(address, event, props)

        return deliver


class _Elsewhere:
    """What a ``Service`` needs of a runtime, of one that is looked for with each call."""

    def __init__(self, neighbours: Neighbours, name: str) -> None:
        self._neighbours, self._name = neighbours, name

    def handler(
        self, event: str, *, entrypoint: str | None = None, props: Mapping[str, Any] | None = None
    ) -> Callable[..., Any]:
        try:
            runtime = self._neighbours.find(self._name)
        except WorkerNotFound as fault:
            if event != "fetch":
                raise
            absent = Response(str(fault), status=fault.status)
            return lambda request: absent
        if event == "fetch" and entrypoint in (None, "default"):
            return functools.partial(runtime.fetch_for_neighbour, props=props)
        return runtime.handler(event, entrypoint=entrypoint, props=props)

    async def respond(self, answer: Any, request: Request) -> Response:
        if isinstance(answer, Response):
            return answer
        return await self._neighbours.find(self._name).respond(answer, request)


def check_named(name: str, known: Mapping[str, Any], what: str, where: str) -> None:
    """Raise ``ConfigError`` unless ``name`` is among ``known``."""
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f"{where[0].upper()}{where[1:]} has not {what} {name!r}, which a binding names.{hint}")
