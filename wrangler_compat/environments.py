"""Environments: from what the file says to what holds for the one environment that runs.

The table of keys says which key an environment inherits; nothing here knows what a key means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from wrangler_compat.binding_kinds import BINDING_KINDS
from wrangler_compat.diagnostics import Diagnostics, did_you_mean
from wrangler_compat.keys import KEYS, REMOVED
from wrangler_compat.shapes import describe, is_table

__all__ = ["Resolved", "resolve"]

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    """The values of the active environment, under the names that the file has for them.

    ``own_path`` is where keys of the active environment stand in the file: empty, or ``env.<name>``.
    """

    values: dict[str, Any]
    environment: str | None
    defined: list[str]
    top_level_name: str | None
    own_path: tuple[str, ...] = ()


def resolve(raw: Table, requested: str | None, diagnostics: Diagnostics) -> Resolved:
    """Return what holds for the environment ``requested``; None or an empty name is the top level.

    The top level is checked in full whatever is asked for, then the environment; the others are not looked at.
    Values that were refused are left out.
    """
    environment = requested or None
    top = _checked(raw, diagnostics, is_top=True)
    name = top.get("name")
    environments = _environments(raw, diagnostics)
    defined = list(environments or {})
    if environment is None:
        return Resolved(_with_defaults(top), None, defined, name)
    if environments is None or environment not in environments:
        if "pages_build_output_dir" in raw:
            return Resolved(_with_defaults(top), environment, defined, name)
        if environments is not None:
            diagnostics.error(
                "unknown-environment",
                f"there is no environment {environment!r}.{did_you_mean(environment, defined)} "
                f"Defined: {', '.join(defined) or 'none'}.",
            )
        else:
            diagnostics.warning(
                "unknown-environment",
                f"there is no environment {environment!r}, nor any other: the top level is used",
            )
        return Resolved(_with_defaults({**top, **_named(name, environment)}), environment, defined, name)
    section = environments[environment]
    here = diagnostics.at("env", environment)
    if not is_table(section):
        here.error("invalid", f"expected an object, found {describe(section)}")
        return Resolved(_with_defaults(top), environment, defined, name)
    own = _checked(section, here, is_top=False)
    _warn_of_what_is_not_inherited(raw, section, environment, here)
    values = {key: value for key, value in top.items() if KEYS[key].scope != "own"}
    values.pop("name", None)
    values.update(_named(name, environment))
    # A null passes on to the top level's value where null is allowed at all.
    values.update({key: value for key, value in own.items() if value is not None})
    return Resolved(_with_defaults(values), environment, defined, name, ("env", environment))


def _checked(table: Table, here: Diagnostics, *, is_top: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    allowed = {key for key, rule in KEYS.items() if is_top or rule.scope != "top"}
    for key, value in table.items():
        if key in REMOVED and (is_top or key != "legacy_env"):
            here.at(key).error("removed-field", REMOVED[key])
        elif key in allowed:
            if KEYS[key].shape.check(value, here.at(key)):
                values[key] = value
        elif key in KEYS:
            here.at(key).warning("unexpected-field", "has no effect in an environment: move it to the top level")
        elif not (is_top and key == "env"):
            here.at(key).warning("unexpected-field", f"is not known here.{did_you_mean(key, allowed)}")
    _drop_empty(values, here)
    return values


def _drop_empty(values: dict[str, Any], here: Diagnostics) -> None:
    for key in ("account_id", "route"):
        if values.get(key) == "":
            here.at(key).warning("ignored-value", "is empty, and ignored")
            del values[key]


def _environments(raw: Table, diagnostics: Diagnostics) -> Table | None:
    environments = raw.get("env")
    if environments is None:
        return None
    if not is_table(environments):
        diagnostics.at("env").error("invalid", f"expected an object of environments, found {describe(environments)}")
        return None
    return environments


def _named(name: str | None, environment: str) -> dict[str, str]:
    return {"name": f"{name}-{environment}"} if name else {}


def _with_defaults(values: Table) -> dict[str, Any]:
    defaults = {key: rule.default for key, rule in KEYS.items() if rule.default is not None}
    set_values = {key: value for key, value in values.items() if value is not None}
    merged = {**defaults, **set_values}
    for key in ("dev", "durable_objects", "queues", "unsafe"):
        # Objects whose own fields have defaults.
        merged[key] = {**defaults[key], **set_values.get(key, {})}
    return merged


def _warn_of_what_is_not_inherited(top: Table, own: Table, environment: str, here: Diagnostics) -> None:
    for key, rule in KEYS.items():
        if rule.scope != "own" or key not in top:
            continue
        if key not in own:
            here.at(key).warning(
                "not-inherited",
                f"{key} exists at the top level but not on env.{environment}, and is not inherited by environments",
            )
        elif missing := _missing_names(key, top[key], own[key]):
            here.at(key).warning(
                "not-inherited",
                f"{', '.join(missing)} of the top level {'is' if len(missing) == 1 else 'are'} not here, "
                f"and {key} is not inherited by environments",
            )


def _missing_names(key: str, top: object, own: object) -> list[str]:
    if key in ("vars", "define") and is_table(top) and is_table(own):
        return [name for name in top if name not in own]
    names, own_names = _names(key, top), _names(key, own)
    return [name for name in names if name not in own_names]


def _names(key: str, value: object) -> list[str]:
    for kind in BINDING_KINDS:
        if kind.key[0] != key or not kind.is_list or key == "queues" or not kind.counts_for_uniqueness:
            continue
        entries: object = value
        for step in kind.key[1:]:
            entries = entries.get(step) if is_table(entries) else None
        if isinstance(entries, list):
            tables = [entry for entry in cast("list[object]", entries) if is_table(entry)]
            return [str(entry[kind.name]) for entry in tables if isinstance(entry.get(kind.name), str)]
    return []
