"""Services: an entrypoint of a worker, as a binding gives it to another one, or to the same.

``fetch`` sends it a request; its other public methods are called as those of an object are: arguments and results
cross as copies, errors as ``RemoteError``. Each event makes a fresh instance of the entrypoint.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ClassVar

from edgeagents.http import Request, Response
from edgeagents.objects.eager import begin_now
from edgeagents.objects.gates import writes_kept
from edgeagents.objects.rpc import HandedOver, copy_arguments, copy_result, crossing_error

__all__ = ["Service"]

_EVENTS = frozenset({"fetch", "scheduled", "queue", "email", "tail", "trace", "test"})


class Service:
    """The caller's end of an entrypoint. ``entrypoint`` is its class's name, None for the default one."""

    js_name: ClassVar[str] = "Fetcher"

    def __init__(self, runtime: Any, entrypoint: str | None = None, props: Mapping[str, Any] | None = None) -> None:
        self._runtime, self._entrypoint, self._props = runtime, entrypoint, props

    def with_props(self, props: Mapping[str, Any]) -> Service:
        """Return the same service, whose entrypoint finds ``props`` in its ``ctx``."""
        return Service(self._runtime, self._entrypoint, props)

    async def fetch(self, request: Request | str, **init: Any) -> Response:
        """Send a request to ``fetch`` and return its response. ``init`` as for ``Request``."""
        made = request if isinstance(request, Request) and not init else Request(request, **init)

        async def answer() -> Response:
            return await self._runtime.respond(await self._run("fetch", (made,), {}), made)

        return await _apart(answer)

    async def run_event(self, event: str, *args: Any) -> Any:
        """Run the handler of an event that is no request, such as ``scheduled``. Raises what it raises."""

        async def handle() -> Any:
            return await self._run(event, args, {})

        return await _apart(handle)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("_") or name in _EVENTS:
            raise AttributeError(name)
        return functools.partial(self._call, name)

    async def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self._call_with(method, *copy_arguments(args, kwargs))

    async def _call_with(self, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call ``method`` with arguments that are copies already, and may be what only crosses within a process."""
        if method in _EVENTS:
            raise TypeError(f'The RPC receiver does not implement the method "{method}".')

        async def call() -> Any:
            return copy_result(await self._run(method, args, kwargs))

        result = await _apart(call)
        return result.value if isinstance(result, HandedOver) else result

    async def _run(self, event: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        handler = self._runtime.handler(event, entrypoint=self._entrypoint, props=self._props)
        try:
            answer = handler(*args, **kwargs)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            if event == "fetch" or (crossing := crossing_error(error)) is error:
                raise
            raise crossing from error

    def __repr__(self) -> str:
        return f"<Service {self._entrypoint or 'default'}>"


async def _apart(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run ``work`` in a task of its own: what it sets in its context is nothing to the caller."""
    await writes_kept()
    return await begin_now(work())
