"""Bindings for people: a row each, with what a person calls it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from edgeagents.bindings import BindingDeclaration

__all__ = ["binding_rows", "resource"]

_RESOURCES = {
    "ai": "AI",
    "analytics_engine": "Analytics Engine",
    "d1": "D1 Database",
    "durable_object_namespace": "Durable Object",
    "json": "Environment Variable",
    "kv_namespace": "KV Namespace",
    "plain_text": "Environment Variable",
    "r2_bucket": "R2 Bucket",
    "ratelimit": "Rate Limit",
    "secret_text": "Environment Variable",
    "secrets_store_secret": "Secrets Store Secret",
    "send_email": "Send Email",
    "service": "Worker",
    "vectorize": "Vectorize Index",
    "worker_loader": "Worker Loader",
}
_WIDEST = 48


def binding_rows(declarations: Iterable[BindingDeclaration]) -> list[tuple[str, str]]:
    """Return for each of those that are in ``env`` what it is called there, and its kind. Texts are not shown."""
    return [(_shown(d), resource(d.kind)) for d in declarations if d.name]


def resource(kind: str) -> str:
    """Return what a person calls a kind of binding."""
    return _RESOURCES.get(kind) or kind.replace("_", " ").title()


def _shown(declaration: BindingDeclaration) -> str:
    detail = _detail(declaration)
    if len(detail) > _WIDEST:
        detail = f"{detail[: _WIDEST - 3]}..."
    return f"env.{declaration.name} ({detail})" if detail else f"env.{declaration.name}"


def _detail(declaration: BindingDeclaration) -> str:
    options = declaration.options
    if declaration.kind == "json":
        return json.dumps(options["value"], default=str)
    if declaration.kind in ("plain_text", "secret_text"):
        # Also what is no secret by its kind: people put keys into vars.
        return '"(hidden)"'
    first = options.get("class_name") or next((v for v in options.values() if isinstance(v, str)), "")
    script = options.get("script_name")
    return f"{first}, of {script}" if script else str(first)
