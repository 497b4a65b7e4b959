"""The kinds of binding that a configuration can declare, as a table.

What a kind means is known to the plugin that provides it; here stands only how it is written: the key, the fields of
an entry, which of them names the binding, and wrangler's word for the type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.shapes import (
    ANYTHING,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    Checked,
    ListOf,
    Number,
    OneOf,
    Shape,
    Text,
    record,
)

__all__ = ["BINDING_KINDS", "QUEUE_CONSUMER", "WORKFLOW_FIELDS", "BindingKind", "entries_shape"]


@dataclass(frozen=True)
class BindingKind:
    """How one kind of binding is written.

    ``key`` is the path of the list or object in the configuration; ``name`` the field that names the binding.
    """

    key: tuple[str, ...]
    kind: str
    entry: Shape
    name: str = "binding"
    is_list: bool = True
    counts_for_uniqueness: bool = True


def _kind(
    key: str,
    kind: str,
    fields: Mapping[str, Shape],
    *,
    name: str = "binding",
    is_list: bool = True,
    unique: bool = True,
    is_open: bool = False,
    rule: Callable[[Mapping[str, Any], Diagnostics], bool] | None = None,
) -> BindingKind:
    entry: Shape = record({f"{name}!": TEXT, **fields}, unknown="pass" if is_open else "warn")
    entry = entry if rule is None else Checked(entry, rule)
    return BindingKind(tuple(key.split(".")), kind, entry, name, is_list, unique)


def _of_another_worker(entry: Mapping[str, Any], here: Diagnostics) -> bool:
    if "environment" in entry and "script_name" not in entry:
        here.at("environment").error("invalid", "is for a class of another worker: name that one in script_name")
        return False
    return True


def _one_network(entry: Mapping[str, Any], here: Diagnostics) -> bool:
    if ("tunnel_id" in entry) == ("network_id" in entry):
        here.error("invalid", "expected either tunnel_id or network_id")
        return False
    return True


_FILLED = Text(r"(?s).+", "a string that is not empty")
_BUCKET = Text(r"[a-z0-9-]{2,62}[a-z0-9]", "3 to 63 letters a-z, digits or dashes, the last one no dash")
_REMOTE: Mapping[str, Shape] = {"remote": FLAG}
_JURISDICTION = OneOf(("eu", "fedramp", "us"))
_RETENTION = Number(least=1, whole=True)

WORKFLOW_FIELDS: Mapping[str, Shape] = {
    "name!": Text(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", "1 to 64 letters, digits, _ or -, the first one no dash"),
    "limits": record({"steps": Number(least=1, whole=True)}),
    "concurrency": record({"limit": Number(least=1, whole=True)}),
    "schedules": ANYTHING,
    "default_retention": record({"success_retention": ANYTHING, "error_retention": ANYTHING}),
    "jurisdiction": _JURISDICTION,
}

_CREDENTIALS = record({"accessKeyId!": TEXT, "secretAccessKey!": TEXT})

BINDING_KINDS: tuple[BindingKind, ...] = (
    _kind(
        "durable_objects.bindings",
        "durable_object_namespace",
        {"class_name!": TEXT, "script_name": TEXT, "environment": TEXT},
        name="name",
        rule=_of_another_worker,
    ),
    _kind("kv_namespaces", "kv_namespace", {"id": _FILLED, "preview_id": TEXT, **_REMOTE}),
    _kind(
        "r2_buckets",
        "r2_bucket",
        {
            "bucket_name": _BUCKET,
            "preview_bucket_name": _BUCKET,
            "jurisdiction": TEXT,
            "local_dev": record({"experimental_s3_credentials": _CREDENTIALS}),
            **_REMOTE,
        },
    ),
    _kind(
        "d1_databases",
        "d1",
        {
            "database_name": TEXT,
            "database_id": TEXT,
            "preview_database_id": TEXT,
            "migrations_dir": TEXT,
            "migrations_table": TEXT,
            "migrations_pattern": TEXT,
            "jurisdiction": TEXT,
            "database_internal_env": TEXT,
            **_REMOTE,
        },
    ),
    _kind("workflows", "workflow", {"class_name!": TEXT, "script_name": TEXT, **WORKFLOW_FIELDS, **_REMOTE}),
    _kind("queues.producers", "queue", {"queue": _FILLED, "delivery_delay": NUMBER, **_REMOTE}),
    _kind(
        "services",
        "service",
        {
            "service!": TEXT,
            "environment": TEXT,
            "entrypoint": TEXT,
            "props": ANYTHING,
            "dev": record({"plugin!": record({"package!": TEXT, "name!": TEXT}), "options": ANYTHING}),
            **_REMOTE,
        },
        is_open=True,
    ),
    _kind(
        "send_email",
        "send_email",
        {
            "binding": ANYTHING,
            "destination_address": TEXT,
            "allowed_destination_addresses": TEXTS,
            "allowed_sender_addresses": TEXTS,
            **_REMOTE,
        },
        name="name",
        unique=False,
    ),
    _kind(
        "ratelimits",
        "ratelimit",
        {"namespace_id!": TEXT, "simple!": record({"limit!": NUMBER, "period!": OneOf((10, 60))})},
        name="name",
        unique=False,
    ),
    _kind("analytics_engine_datasets", "analytics_engine", {"dataset": _FILLED, **_REMOTE}),
    _kind("version_metadata", "version_metadata", {}, is_list=False, is_open=True),
    _kind("secrets_store_secrets", "secrets_store_secret", {"store_id!": TEXT, "secret_name!": TEXT}),
    _kind("hyperdrive", "hyperdrive", {"id!": TEXT, "localConnectionString": TEXT, **_REMOTE}),
    _kind("worker_loaders", "worker_loader", {}),
    _kind("images", "images", _REMOTE, is_list=False),
    _kind("browser", "browser", _REMOTE, is_list=False),
    _kind("stream", "stream", _REMOTE, is_list=False),
    _kind("pipelines", "pipeline", {"stream": TEXT, "pipeline": TEXT, **_REMOTE}),
    _kind("flagship", "flagship", {"app_id": TEXT, **_REMOTE}),
    _kind("artifacts", "artifacts", {"namespace!": TEXT, **_REMOTE}),
    _kind("unsafe_hello_world", "unsafe_hello_world", {"enable_timer": FLAG}),
    _kind("vectorize", "vectorize", {"index_name!": TEXT, **_REMOTE}),
    _kind("mtls_certificates", "mtls_certificate", {"certificate_id!": _FILLED, **_REMOTE}),
    _kind(
        "dispatch_namespaces",
        "dispatch_namespace",
        {
            "namespace": TEXT,
            "outbound": record({"service!": TEXT, "environment": TEXT, "parameters": TEXTS}, unknown="pass"),
            **_REMOTE,
        },
        is_open=True,
    ),
    _kind("ai", "ai", _REMOTE, is_list=False, is_open=True),
    _kind("ai_search", "ai_search", {"instance_name!": TEXT, **_REMOTE}),
    _kind("ai_search_namespaces", "ai_search_namespace", {"namespace!": TEXT, **_REMOTE}),
    _kind("agent_memory", "agent_memory", {"namespace!": TEXT, **_REMOTE}),
    _kind("media", "media", _REMOTE, is_list=False),
    _kind("analytics", "analytics", _REMOTE, is_list=False),
    _kind("vpc_services", "vpc_service", {"service_id!": TEXT, "remote": ANYTHING}),
    _kind(
        "vpc_networks",
        "vpc_network",
        {"tunnel_id": TEXT, "network_id": TEXT, "remote": ANYTHING},
        rule=_one_network,
    ),
    _kind("k2", "k2", {"stream!": TEXT, "remote": ANYTHING}),
    _kind("logfwdr.bindings", "logfwdr", {"destination!": TEXT}, name="name"),
    _kind("unsafe.bindings", "unsafe", {"type!": TEXT}, name="name", is_open=True),
)

QUEUE_CONSUMER = record(
    {
        "queue!": TEXT,
        "type": OneOf(("worker",)),
        "max_batch_size": NUMBER,
        "max_batch_timeout": NUMBER,
        "max_retries": NUMBER,
        "max_concurrency": NUMBER,
        "visibility_timeout_ms": NUMBER,
        "retry_delay": NUMBER,
        "dead_letter_queue": TEXT,
    }
)


def entries_shape(*key: str) -> Shape:
    """Return the shape of what stands at ``key``: a list of entries, or a single one."""
    kind = next(kind for kind in BINDING_KINDS if kind.key == key)
    return ListOf(kind.entry) if kind.is_list else kind.entry
