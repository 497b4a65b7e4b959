"""``edgeagents config`` for people: what is set, what the worker has, what starts it, and what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from edgeagents_emulator.binding_rows import binding_rows
from edgeagents_emulator.table import table
from wrangler_compat.binding_kinds import BINDING_KINDS
from wrangler_compat.config import Config, read_config
from wrangler_compat.declarations import declare_variables
from wrangler_compat.variables import Variable

__all__ = ["config_table", "variables_table"]

# Shown in places of their own.
_ELSEWHERE = frozenset(
    {"$schema", "env", "name", "vars", "migrations", "exports", "triggers", "queues", "assets", "secrets"}
    | {kind.key[0] for kind in BINDING_KINDS}
)
_STORES = {"sqlite": "with SQL", "legacy-kv": "without SQL: no migration has it in new_sqlite_classes"}


def config_table(config: Config) -> str:
    """Return the text. Only what is set is shown; the values of variables are not."""
    environment = f" ({config.environment})" if config.environment else ""
    lines = [f"{config.name}{environment} from {config.title}"]
    for headline, rows in _sections(config):
        if rows:
            lines += ["", headline, *table(rows, "  ")]
    if config.defined_environments and not config.environment:
        lines += ["", f"Environments: {', '.join(config.defined_environments)} (--env NAME shows one)"]
    return "\n".join(lines)


def variables_table(variables: Mapping[str, Variable]) -> str:
    """Return the variables with their values."""
    kinds = {"plain_text": "text", "json": "JSON", "secret_text": "secret"}
    rows = [
        (name, kinds[v.kind], v.value if isinstance(v.value, str) else _json(v.value)) for name, v in variables.items()
    ]
    return "\n".join(table([("Name", "Kind", "Value"), *rows])) if rows else "There are no variables."


def _sections(config: Config) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    values = config.values
    yield "Settings", list(_settings(config))
    variables = values.get("vars") or {}
    declared = declare_variables(
        {name: Variable("plain_text" if isinstance(v, str) else "json", v) for name, v in variables.items()}
    )
    required = [(f"env.{name}", "Secret") for name in (values.get("secrets") or {}).get("required", ())]
    yield "Bindings", [*binding_rows([*(d for _, d in config.bindings), *declared]), *required]
    yield "Durable Object classes", [(name, _STORES[store]) for name, store in (config.storage or {}).items()]
    yield "Started by", list(_triggers(values))
    yield "Assets", [(key, _shown(value)) for key, value in (values.get("assets") or {}).items()]


def _settings(config: Config) -> Iterator[tuple[str, str]]:
    default = read_config(None, directory=config.directory).values
    for key, value in config.values.items():
        if key in _ELSEWHERE or value is None or value == default.get(key):
            continue
        if isinstance(value, Mapping):
            known = default.get(key)
            for name, inner in value.items():
                if not isinstance(known, Mapping) or inner != known.get(name):
                    yield f"{key}.{name}", _shown(inner)
        else:
            yield key, _shown(value)


def _triggers(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for cron in (values.get("triggers") or {}).get("crons") or ():
        yield "the clock", str(cron)
    for consumer in (values.get("queues") or {}).get("consumers") or ():
        details = ", ".join(f"{key} {value}" for key, value in consumer.items() if key not in ("queue", "type"))
        yield "a queue", f"{consumer['queue']} ({details})" if details else consumer["queue"]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
