"""Stubs: the caller's end of a function or an object at the other end of a call.

Whatever is called through one, its arguments and results are copied as between two workers, although both ends are in
this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edgeagents.objects.eager import begin_now
from wrangler_compat.host.context import WorkerContext, current_worker
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, python
from wrangler_compat.host.rpc_errors import crossing, received_error
from wrangler_compat.host.running import run_for

__all__ = ["JsRpcPromise", "JsRpcStub", "RpcTarget", "is_remote_name", "remote_call", "remote_method"]

_NO_METHODS = frozenset({"then", "constructor", "toJSON", "js_object", "js_response", "getBuffer"})


def is_remote_name(name: str) -> bool:
    """Whether a stub takes ``name`` for a method of the other end."""
    return not name.startswith("_") and name not in _NO_METHODS


class RpcTarget(JsProxy):
    """``RpcTarget``: an object that is sent by reference. Its public methods can be called through the stub."""


class JsRpcPromise(JsPromise):
    """A promise of a result. What is called on it is called on the result, once it is there."""

    _js_name = "JsRpcPromise"

    def __getattr__(self, name: str) -> Any:
        if not is_remote_name(name):
            raise AttributeError(name)

        async def wait(args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
            return await getattr(await self, name)(*args, **keywords)

        return lambda *args, **keywords: JsRpcPromise.of(wait(args, keywords))


def remote_method(name: str, send: Callable[[str, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]) -> Any:
    """Return what JavaScript calls for the method ``name`` of a stub whose calls ``send`` makes."""

    def call(*args: Any, **keywords: Any) -> JsPromise:
        return remote_call(send(name, args, keywords))

    return call


def remote_call(answer: Awaitable[Any]) -> JsPromise:
    """Return the promise of a call's answer, whose errors are those that a caller sees. It has begun on return."""
    return JsRpcPromise.of(begin_now(_settled(answer)))


async def _settled(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except Exception as error:
        raise received_error(error)  # noqa: B904  (it has a cause)


class JsRpcStub(JsProxy):
    """``RpcStub``: stands for a function, or for an object whose methods can be called. It may be passed on."""

    _js_name = "JsRpcStub"
    _stays_here = True

    def __init__(self, target: Any) -> None:
        self._target = target
        self._worker = _worker()
        self._is_disposed = False

    @python
    def __call__(self, *args: Any, **keywords: Any) -> JsPromise:
        return remote_call(self._call(None, args, keywords))

    def __getattr__(self, name: str) -> Any:
        if not is_remote_name(name):
            raise AttributeError(name)
        return remote_method(name, self._call)

    def __bool__(self) -> bool:
        return True

    @python
    def dup(self) -> JsRpcStub:
        """Return another stub for the same."""
        return JsRpcStub(self._own())

    @python
    def destroy(self) -> None:
        """Dispose of it: a use after this raises."""
        self._is_disposed = True

    def _own(self) -> Any:
        if self._is_disposed:
            raise JsException("RPC stub used after being disposed.")
        return self._target

    async def _call(self, name: str | None, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        from wrangler_compat.host.rpc_values import received, sent, sent_result

        target = self._own()
        function = target if name is None else getattr(target, name, None) if is_remote_name(name) else None
        if not callable(function):
            raise JsTypeError(f'The RPC receiver does not implement the method "{name}".')
        given = [sent(value) for value in args]
        if keywords:
            given.append(sent(JsObject(keywords)))

        async def run() -> Any:
            try:
                return sent_result(await _in_its_worker(self._worker, function, *map(received, given)))
            except Exception as error:
                raise crossing(error) from error

        # A task of its own: the other end's context is not the caller's.
        return received(await begin_now(run()))


def _worker() -> WorkerContext | None:
    try:
        return current_worker()
    except RuntimeError:
        return None


async def _in_its_worker(worker: WorkerContext | None, function: Callable[..., Any], *args: Any) -> Any:
    if worker is None:
        result = function(*args)
        return await result if hasattr(result, "__await__") else result
    return await run_for(worker, function, *args, relaxed=False)
