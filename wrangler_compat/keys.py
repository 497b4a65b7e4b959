"""The keys of a configuration, as a table: where each may stand, what it may be, and what it is when nobody says.

The scopes are wrangler's. *top*: at the top level of the file only. *inherited*: an environment has its own, or else
the top level's. *own*: an environment has its own or none, whatever the top level says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wrangler_compat.binding_kinds import QUEUE_CONSUMER, entries_shape
from wrangler_compat.rules import COMPATIBILITY_DATE, EXPORT, OBSERVABILITY, PLACEMENT, ROUTE
from wrangler_compat.shapes import (
    ANYTHING,
    DATE_REFUSED,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    Either,
    ListOf,
    MapOf,
    Nullable,
    Number,
    OneOf,
    Shape,
    Text,
    record,
)

__all__ = ["KEYS", "REMOVED", "Key"]

Scope = Literal["top", "inherited", "own"]


@dataclass(frozen=True)
class Key:
    """One key. ``default`` is what an unset key reads as; None leaves it out."""

    scope: Scope
    shape: Shape
    default: Any = None
    nullable: bool = False


def _top(shape: Shape, default: Any = None, *, nullable: bool = False) -> Key:
    return Key("top", Nullable(shape) if nullable else shape, default, nullable)


def _inherited(shape: Shape, default: Any = None, *, nullable: bool = False) -> Key:
    return Key("inherited", Nullable(shape) if nullable else shape, default, nullable)


def _own(shape: Shape, default: Any = None, *, nullable: bool = False) -> Key:
    return Key("own", Nullable(shape) if nullable else shape, default, nullable)


_TEXT_MAP = MapOf(TEXT)
_OBJECT = MapOf(ANYTHING)
_OBJECTS = ListOf(_OBJECT)
_NAME = Text(r"([a-z0-9_][a-z0-9_-]*)?", "lower case letters, digits, _ and -, the first one no dash")
_PROTOCOL = OneOf(("http", "https"))

_RULE = record(
    {
        "type!": OneOf(("ESModule", "CommonJS", "CompiledWasm", "Text", "Data")),
        "globs!": TEXTS,
        "fallthrough": FLAG,
    },
    unknown="pass",
)
_BUILD = record({"command": TEXT, "cwd": TEXT, "watch_dir": Either((TEXT, TEXTS), "a string or a list of strings")})
_TRIGGERS = record({"crons": ListOf(ANYTHING), "events": _OBJECTS})
_ASSETS = record(
    {
        "directory": TEXT,
        "binding": TEXT,
        "base_path": TEXT,
        "html_handling": OneOf(("auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none")),
        "not_found_handling": OneOf(("single-page-application", "404-page", "none")),
        "run_worker_first": Either((FLAG, TEXTS), "true, false or a list of strings"),
    }
)
_MIGRATION = record(
    {
        "tag!": TEXT,
        "new_classes": TEXTS,
        "new_sqlite_classes": TEXTS,
        "deleted_classes": TEXTS,
        "renamed_classes": ListOf(record({"from!": TEXT, "to!": TEXT})),
        "transferred_classes": ListOf(record({"from!": TEXT, "from_script!": TEXT, "to!": TEXT})),
    }
)
_DEV = record(
    {
        "ip": TEXT,
        "port": NUMBER,
        "inspector_port": NUMBER,
        "inspector_ip": TEXT,
        "local_protocol": _PROTOCOL,
        "upstream_protocol": _PROTOCOL,
        "host": TEXT,
        "enable_containers": FLAG,
        "container_engine": TEXT,
        "generate_types": FLAG,
    }
)
_DEV_DEFAULT: Mapping[str, Any] = {
    "ip": "localhost",
    "local_protocol": "http",
    "upstream_protocol": "http",
    "enable_containers": True,
    "generate_types": False,
}
_DURABLE_OBJECTS = record(
    {
        "bindings": entries_shape("durable_objects", "bindings"),
        "code_update_strategy": record(
            {"mode!": OneOf(("immediate", "deferred")), "max_delay": Number(least=0, most=86400)}
        ),
    }
)

KEYS: Mapping[str, Key] = {
    # What the worker is.
    "$schema": _top(TEXT),
    "name": _inherited(_NAME),
    "main": _inherited(TEXT),
    "base_dir": _inherited(TEXT),
    "account_id": _inherited(TEXT),
    "compatibility_date": _inherited(COMPATIBILITY_DATE),
    "compatibility_flags": _inherited(TEXTS, []),
    # Deployment and the JavaScript bundler: read, and without effect here.
    "workers_dev": _inherited(FLAG),
    "preview_urls": _inherited(FLAG),
    "logpush": _inherited(FLAG),
    "upload_source_maps": _inherited(FLAG),
    "first_party_worker": _inherited(FLAG),
    "no_bundle": _inherited(FLAG),
    "minify": _inherited(FLAG),
    "keep_names": _inherited(FLAG),
    "find_additional_modules": _inherited(FLAG),
    "preserve_file_names": _inherited(FLAG),
    "jsx_factory": _inherited(TEXT, "React.createElement"),
    "jsx_fragment": _inherited(TEXT, "React.Fragment"),
    "tsconfig": _inherited(TEXT),
    "rules": _inherited(ListOf(_RULE), [], nullable=True),
    "build": _inherited(_BUILD, {"watch_dir": "./src"}),
    "route": _inherited(ROUTE),
    "routes": _inherited(ListOf(ROUTE)),
    "triggers": _inherited(_TRIGGERS, {}, nullable=True),
    "assets": _inherited(_ASSETS),
    "limits": _inherited(record({"cpu_ms": NUMBER, "subrequests": NUMBER}, unknown="pass"), nullable=True),
    "placement": _inherited(PLACEMENT),
    "migrations": _inherited(ListOf(_MIGRATION), [], nullable=True),
    "exports": _inherited(MapOf(EXPORT), {}, nullable=True),
    "observability": _inherited(OBSERVABILITY),
    "access": _inherited(record({"dev": record({"aud!": TEXT, "identity": _OBJECT})})),
    "cache": _inherited(record({"enabled!": FLAG, "cross_version_cache": FLAG})),
    "compliance_region": _inherited(OneOf(("public", "fedramp_high"))),
    "python_modules": _inherited(record({"exclude": TEXTS}, unknown="pass"), {"exclude": ["**/*.pyc"]}),
    "logfwdr": _inherited(record({"bindings!": entries_shape("logfwdr", "bindings")}), {"bindings": []}),
    "previews": _inherited(_OBJECT),
    # What the worker finds in env.
    "vars": _own(MapOf(DATE_REFUSED), {}),
    "secrets": _own(record({"required": TEXTS})),
    "define": _own(_TEXT_MAP, {}),
    "durable_objects": _own(_DURABLE_OBJECTS, {"bindings": []}),
    "queues": _own(
        record({"producers": entries_shape("queues", "producers"), "consumers": ListOf(QUEUE_CONSUMER)}),
        {"producers": [], "consumers": []},
    ),
    **{
        key: _own(entries_shape(key), [])
        for key in (
            "kv_namespaces",
            "r2_buckets",
            "d1_databases",
            "vectorize",
            "hyperdrive",
            "workflows",
            "services",
            "send_email",
            "analytics_engine_datasets",
            "dispatch_namespaces",
            "mtls_certificates",
            "pipelines",
            "k2",
            "secrets_store_secrets",
            "artifacts",
            "unsafe_hello_world",
            "flagship",
            "worker_loaders",
            "ratelimits",
            "vpc_services",
            "vpc_networks",
            "ai_search",
            "ai_search_namespaces",
            "agent_memory",
        )
    },
    **{
        key: _own(entries_shape(key))
        for key in ("ai", "browser", "images", "stream", "media", "analytics", "version_metadata")
    },
    "connect": _own(_OBJECTS, []),
    "tail_consumers": _own(ListOf(record({"service!": TEXT, "environment": TEXT}, unknown="pass")), nullable=True),
    "streaming_tail_consumers": _own(ListOf(record({"service!": TEXT}, unknown="pass")), nullable=True),
    "containers": _own(_OBJECTS, nullable=True),
    "unsafe": _own(
        record({"bindings": entries_shape("unsafe", "bindings"), "metadata": _OBJECT, "capnp": _OBJECT}), {}
    ),
    "cloudchamber": _own(_OBJECT, {}),
    # The top level alone.
    "dev": _top(_DEV, _DEV_DEFAULT, nullable=True),
    "site": _top(record({"bucket!": TEXT, "include": TEXTS, "exclude": TEXTS, "entry-point": TEXT})),
    "alias": _top(_TEXT_MAP),
    "wasm_modules": _top(_TEXT_MAP),
    "text_blobs": _top(_TEXT_MAP),
    "data_blobs": _top(_TEXT_MAP),
    "keep_vars": _top(FLAG),
    "send_metrics": _top(FLAG),
    "addresses": _top(TEXTS),
    "pages_build_output_dir": _top(TEXT),
    "dependencies_instrumentation": _top(record({"enabled": FLAG, "exclude_packages": TEXTS})),
}

REMOVED: Mapping[str, str] = {
    "legacy_env": "is gone: every environment is a worker of its own, named <name>-<environment>",
    "node_compat": 'is gone: put "nodejs_compat" into compatibility_flags',
}
"""Keys that are refused wherever they stand, and why. ``legacy_env`` only at the top level."""
