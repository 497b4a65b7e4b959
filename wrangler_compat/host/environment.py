"""``env`` as JavaScript has it: the runtime's bindings, each under its name."""

from __future__ import annotations

from edgeagents.worker import Env
from wrangler_compat.host.context import WorkerContext
from wrangler_compat.host.facade import to_js_value
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["js_env"]


def js_env(env: Env, worker: WorkerContext) -> JsObject:
    """Return the worker's environment; made once, for the runtime's ``env``."""
    if worker.native_env is not env:
        worker.native_env = env
        worker.env._props.clear()
        worker.env._props.update((name, to_js_value(value)) for name, value in env.items())
    return worker.env
