"""The host's modules, put where ``import`` finds them: ``js``, ``pyodide.*``, ``_cloudflare*`` and the like.

They are one for the process and answer for the worker that asks (``context``). They come into ``sys.modules`` when a
worker needs Cloudflare's SDK, and stay.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

from wrangler_compat.host import ffi
from wrangler_compat.host.context import current_worker, wait_until
from wrangler_compat.host.js_module import js_module
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.functions import call_relaxed, relaxed
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, properties
from wrangler_compat.host.pyodide_http import http_module
from wrangler_compat.host.webloop import webloop_module

__all__ = ["install", "is_installed"]

PYODIDE_VERSION = "0.28.2"


def is_installed() -> bool:
    """Whether the host's modules are there."""
    return "_pyodide_entrypoint_helper" in sys.modules


def install(names: dict[str, Any], es_modules: dict[str, Any]) -> None:
    """Put the modules in place. ``names`` are added to ``js``, ``es_modules`` can be imported from JavaScript."""
    if is_installed():
        return
    js = js_module(names)
    pyodide = types.ModuleType("pyodide")
    pyodide.__path__ = []  # A package: its submodules are there already.
    pyodide_code = types.ModuleType("pyodide.code")
    vars(pyodide_code).update(relaxed_call=call_relaxed, relaxed_wrap=relaxed, run_js=_run_js)
    submodules = {
        "ffi": ffi.module(_register_js_module, _unregister_js_module),
        "code": pyodide_code,
        "http": http_module(js),
        "webloop": webloop_module(),
    }
    vars(pyodide).update(submodules, __version__=PYODIDE_VERSION)
    sys.modules |= {
        "js": js,
        "pyodide": pyodide,
        **{f"pyodide.{name}": module for name, module in submodules.items()},
        "_cloudflare_compat_flags": _Flags("_cloudflare_compat_flags"),
        **_cloudflare(),
        "_pyodide_entrypoint_helper": _entrypoint_helper(es_modules),
    }


class _Flags(types.ModuleType):
    """Answers for each compatibility flag whether the current worker has it."""

    def __getattr__(self, name: str) -> bool:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return name in current_worker().flags
        except RuntimeError:
            return False


class CloudflareWorkersModule(JsProxy):
    """``cloudflare:workers``."""

    _js_name = "Module"

    def __init__(self, names: dict[str, Any]) -> None:
        vars(self).update(names)

    @property
    def env(self) -> JsObject:
        """The raw environment of the current worker."""
        return current_worker().env

    @property
    def exports(self) -> JsObject:
        """The current worker's own entrypoints, as stubs."""
        return current_worker().exports

    def waitUntil(self, awaitable: Any) -> None:
        """Let ``awaitable`` go on after the answer was sent."""
        wait = wait_until.get()
        if wait is None:
            raise JsException("waitUntil() can only be called while an event is handled.")
        wait(JsPromise.of(awaitable))

    def withEnv(self, env: Any, function: Callable[[], Any]) -> Any:
        """Call ``function`` with another environment."""
        with _overlaid(properties(env), replace=True):
            return call_relaxed(function)


@contextlib.contextmanager
def _overlaid(values: Any, *, replace: bool = False) -> Generator[None]:
    env = current_worker().env._props
    before = dict(env)
    if replace:
        env.clear()
    env.update(values)
    try:
        yield
    finally:
        env.clear()
        env.update(before)


def _patch_env(values: Any) -> Generator[None]:
    with _overlaid(properties(values)):
        yield


def _entrypoint_helper(es_modules: dict[str, Any]) -> types.ModuleType:
    workers = CloudflareWorkersModule(es_modules.get("cloudflare:workers", {}))
    sockets = JsObject(es_modules.get("cloudflare:sockets", {}))
    known: dict[str, Any] = {name: JsObject(content) for name, content in es_modules.items()}
    known |= {
        "cloudflare:workers": workers,
        "cloudflare:sockets": sockets,
        "python_modules/workers/workflows.js": JsObject({"wrapWorkflowStep": lambda step: step}),
    }

    def import_module(name: str) -> JsPromise:
        if name not in known:
            return JsPromise.rejected(JsException(f"No such module {name!r}."))
        return JsPromise.resolved(known[name])

    helper = types.ModuleType("_pyodide_entrypoint_helper")
    vars(helper).update(
        cloudflareWorkersModule=workers,
        cloudflareSocketsModule=sockets,
        doAnImport=import_module,
        patchWaitUntil=lambda ctx: None,
        patch_env_helper=_patch_env,
        workerEntrypoint=object,
    )
    return helper


def _cloudflare() -> dict[str, types.ModuleType]:
    """Return what the SDK's patches of packages ask for. Nothing has to be patched on CPython."""
    package = types.ModuleType("_cloudflare")
    package.__path__ = []
    entropy = types.ModuleType("_cloudflare.allow_entropy")
    vars(entropy)["allow_bad_entropy_calls"] = lambda count: contextlib.nullcontext()
    patches = types.ModuleType("_cloudflare.import_patch_manager")
    register = _decorator
    vars(patches).update(
        register_exec_patch=register,
        register_create_patch=register,
        register_before_first_request=register,
        register_after_snapshot=register,
        block_calls=lambda module, allowlist=(): None,
    )
    vars(package).update(allow_entropy=entropy, import_patch_manager=patches)
    return {
        "_cloudflare": package,
        "_cloudflare.allow_entropy": entropy,
        "_cloudflare.import_patch_manager": patches,
    }


def _decorator(*args: Any, **_: Any) -> Any:
    if args and callable(args[0]):
        return args[0]
    return lambda function: function


def _run_js(source: str) -> Any:
    raise NotImplementedError("No JavaScript runs here: pyodide.code.run_js() has no counterpart on CPython.")


def _register_js_module(name: str, content: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(properties(content))
    sys.modules[name] = module


def _unregister_js_module(name: str) -> None:
    if name not in sys.modules:
        raise ValueError(f"Cannot unregister {name!r}: no known JavaScript module with that name.")
    del sys.modules[name]
