"""``WorkerLoader`` as JavaScript has it, around the native one: ``env.LOADER.get(id, callback)``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from edgeagents.errors import ConfigError
from wrangler_compat.dynamic_workers import DynamicWorker, NoNetwork, WorkerCode
from wrangler_compat.dynamic_workers import WorkerLoader as NativeLoader
from wrangler_compat.host.clone import to_data
from wrangler_compat.host.durable_namespace import DurableObjectNamespace
from wrangler_compat.host.facade import from_js, js_error
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.json_object import stringify
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull, properties
from wrangler_compat.host.rpc_service import Fetcher

__all__ = ["DurableObjectClass", "WorkerLoader", "WorkerStub"]

_KINDS: Final = ("js", "cjs", "text", "data", "json", "py", "wasm")


class WorkerLoader(JsProxy):
    """Makes workers of code that comes while this one runs."""

    def __init__(self, native: NativeLoader) -> None:
        self._native = native

    def get(self, id: Any, callback: Any = None) -> WorkerStub:
        """Return the worker ``id``. ``callback`` gives its code, at once or as a promise, when it has to be loaded."""
        if not callable(callback):
            raise JsTypeError("Failed to execute 'get' on 'WorkerLoader': parameter 2 is not of type 'Function'.")

        async def source() -> WorkerCode:
            told = callback()
            return _code_of(await told if inspect.isawaitable(told) else told)

        return WorkerStub(self._native.get(None if is_nullish(id) else to_text(id), source))

    def load(self, code: Any = None) -> WorkerStub:
        """Return a new worker of ``code``."""
        return WorkerStub(self._native.load(_code_of(code)))


class WorkerStub(JsProxy):
    """A dynamic worker. It is loaded when something of it is used."""

    def __init__(self, native: DynamicWorker) -> None:
        self._native = native

    def getEntrypoint(self, name: Any = None, options: Any = None) -> Fetcher:
        """Return the entrypoint ``name``, by default ``Default``; ``options`` may have ``props`` for it."""
        props = to_data(properties(options).get("props"))
        return Fetcher(self._native.entrypoint(None if is_nullish(name) else to_text(name), props or {}))

    def getDurableObjectClass(self, name: Any = None, options: Any = None) -> DurableObjectClass:
        """Return an object class of it, which ``ctx.facets.get`` of an object takes."""
        return DurableObjectClass(self._native, "Default" if is_nullish(name) else to_text(name))


class DurableObjectClass(JsProxy):
    """A class of objects in another worker, to be the class of a facet."""

    def __init__(self, worker: DynamicWorker, name: str) -> None:
        self._worker, self._class_name = worker, name

    async def _load_class(self) -> type:
        return await self._worker.object_class(self._class_name)


def _code_of(value: Any) -> WorkerCode:
    if is_nullish(value):
        raise JsTypeError("The code of a dynamic worker is a WorkerCode, and not undefined or null.")
    given = properties(value)
    if is_nullish(given.get("compatibilityDate")):
        raise JsException("Invalid compatibility date: undefined")
    for name in ("mainModule", "modules"):
        if is_nullish(given.get(name)):
            raise JsTypeError(
                f"Incorrect type for the '{name}' field on 'WorkerCode': the provided value is not of type "
                f"'{'string' if name == 'mainModule' else 'object'}'."
            )
    outbound = given.get("globalOutbound")
    flags: Any = given.get("compatibilityFlags")
    try:
        return WorkerCode(
            main_module=to_text(given["mainModule"]),
            modules={name: _content(name, module) for name, module in properties(given["modules"]).items()},
            compatibility_date=to_text(given["compatibilityDate"]),
            compatibility_flags=[] if is_nullish(flags) else list(map(to_text, flags)),
            env={name: _given(item) for name, item in properties(given.get("env")).items()},
            network=NoNetwork() if outbound is jsnull else outbound,
        )
    except (TypeError, ConfigError) as error:
        raise js_error(error) from None


def _content(name: str, module: Any) -> str | bytes:
    if isinstance(module, str):
        if PurePosixPath(name).suffix not in (".py", ".js"):
            raise JsTypeError(
                "Module name must end with '.js' or '.py' (or the content must be an object indicating the type "
                f"explicitly). Got: {name}"
            )
        return module
    kinds: Mapping[str, Any] = {key: item for key, item in properties(module).items() if key in _KINDS}
    if len(kinds) != 1:
        *others, last = map(repr, _KINDS)
        raise JsTypeError(
            f"Each module must contain exactly one of {', '.join(others)}, or {last}. "
            f"Module {name!r} contained {len(kinds)} properties."
        )
    ((kind, content),) = kinds.items()
    if kind == "json":
        return stringify(content) or "null"
    data = from_js(content)
    if not isinstance(data, str | bytes):
        raise JsTypeError(f"The content of the module {name} must be text or bytes.")
    return data


def _given(value: Any) -> Any:
    """Return what the dynamic worker's ``env`` has for a value of its parent's."""
    if isinstance(value, Fetcher | DurableObjectNamespace):
        return value._native
    if isinstance(value, JsProxy) and hasattr(value, "_native"):
        return from_js(value)
    return to_data(value)
