"""``env`` and ``exports`` as JavaScript has them: the runtime's bindings, each under its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeagents.objects import Namespace
from edgeagents.services import Service
from edgeagents.worker import Env
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.durable_namespace import DurableObjectNamespace
from wrangler_compat.host.facade import to_js_value
from wrangler_compat.host.hyperdrive import Hyperdrive
from wrangler_compat.host.model.proxy import JsObject
from wrangler_compat.host.native_fetcher import NativeFetcher
from wrangler_compat.host.rpc_service import Fetcher, LoopbackFetcher
from wrangler_compat.host.send_email import SendEmail

__all__ = ["binding_of", "exports_of", "js_env"]


def js_env(env: Env, worker: WorkerContext) -> JsObject:
    """Return the worker's environment; made once, for the runtime's ``env``."""
    if worker.native_env is not env:
        worker.native_env = env
        worker.env._props.clear()
        worker.env._props.update((name, binding_of(value)) for name, value in env.items())
    return worker.env


def exports_of(exports: Mapping[str, Any], worker: WorkerContext) -> JsObject:
    """Return the worker's own entrypoints and object classes as stubs; made once."""
    if worker.native_exports is not exports:
        worker.native_exports = exports
        worker.exports._props.clear()
        worker.exports._props.update(
            (name, LoopbackFetcher(value) if isinstance(value, Service) else binding_of(value))
            for name, value in exports.items()
        )
    return worker.exports


def binding_of(value: Any) -> Any:
    """Return a binding of the runtime's as JavaScript has it."""
    if isinstance(value, Namespace):
        return DurableObjectNamespace(value)
    if isinstance(value, Service):
        return Fetcher(value)
    js_name = getattr(value, "js_name", None)
    if js_name == "WorkerLoader":
        from wrangler_compat.host.worker_loader_binding import WorkerLoader

        return WorkerLoader(value)
    if js_name == "SendEmail":
        return SendEmail(value)
    if js_name == "Hyperdrive":
        return Hyperdrive(value)
    return NativeFetcher(value) if js_name == "Fetcher" else to_js_value(value)
