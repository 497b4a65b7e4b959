"""``env`` as JavaScript has it: the runtime's bindings, each under its name."""

from __future__ import annotations

from typing import Any

from edgeagents.objects import Namespace
from edgeagents.worker import Env
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.durable_namespace import DurableObjectNamespace
from wrangler_compat.host.facade import to_js_value
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["binding_of", "js_env"]


def js_env(env: Env, worker: WorkerContext) -> JsObject:
    """Return the worker's environment; made once, for the runtime's ``env``."""
    if worker.native_env is not env:
        worker.native_env = env
        worker.env._props.clear()
        worker.env._props.update((name, binding_of(value)) for name, value in env.items())
    return worker.env


def binding_of(value: Any) -> Any:
    """Return a binding of the runtime's as JavaScript has it."""
    return DurableObjectNamespace(value) if isinstance(value, Namespace) else to_js_value(value)
