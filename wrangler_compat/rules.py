"""Rules of single keys that a table cannot say: dates, routes, placement, exports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wrangler_compat.binding_kinds import WORKFLOW_FIELDS
from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.shapes import (
    FLAG,
    TEXT,
    TEXTS,
    Checked,
    Either,
    Number,
    OneOf,
    Record,
    Shape,
    Text,
    describe,
    record,
)

__all__ = ["COMPATIBILITY_DATE", "EXPORT", "OBSERVABILITY", "PLACEMENT", "ROUTE"]

_TIME = r"([Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?"
_MONTH, _DAY = r"(0?[1-9]|1[0-2])", r"(0?[1-9]|[12]\d|3[01])"
_DATE = re.compile(rf"\d{{4}}|\d{{4}}-{_MONTH}|\d{{4}}-{_MONTH}-{_DAY}{_TIME}|\d{{4}}/{_MONTH}/{_DAY}")


def _compatibility_date(value: str, here: Diagnostics) -> bool:
    if "\u2013" in value or "\u2014" in value:
        here.error("invalid", f"{value!r} has a long dash; write YYYY-MM-DD with the dash of the keyboard")
        return False
    if not _DATE.fullmatch(value):
        here.error("invalid", f"{value!r} is not a date; write YYYY-MM-DD")
        return False
    return True


def _route(value: object, here: Diagnostics) -> bool:
    del here
    return not isinstance(value, Mapping) or (
        any(key in value for key in ("zone_id", "zone_name", "custom_domain"))
        and not ("zone_id" in value and "zone_name" in value)
        and (bool(value.get("custom_domain")) or not {"enabled", "previews_enabled"} & value.keys())
    )


class _Route:
    """A route: a pattern, or an object that says more about it."""

    _shape = Checked(
        Either(
            (
                Text(r"(?s).+"),
                record(
                    {
                        "pattern!": TEXT,
                        "zone_id": TEXT,
                        "zone_name": TEXT,
                        "custom_domain": FLAG,
                        "enabled": FLAG,
                        "previews_enabled": FLAG,
                    },
                    unknown="refuse",
                ),
            ),
            "a route",
        ),
        _route,
    )

    def check(self, value: object, here: Diagnostics) -> bool:
        if self._shape.check(value, Diagnostics()):
            return True
        here.error(
            "invalid",
            "expected a pattern, or an object with pattern and one of zone_id, zone_name and custom_domain, "
            f"found {describe(value)}",
        )
        return False


def _placement(value: Mapping[str, Any], here: Diagnostics) -> None:
    targets = [key for key in ("region", "host", "hostname") if key in value]
    if "hint" in value and targets:
        here.error("invalid", f"hint and {targets[0]} exclude each other")
    elif targets:
        if len(targets) > 1:
            here.error("invalid", f"{' and '.join(targets)} exclude each other")
        if value.get("mode", "targeted") != "targeted":
            here.at("mode").error("invalid", f'expected "targeted" beside {targets[0]}')
        for target in targets:
            Text(r"(?s).+", "a string that is not empty").check(value[target], here.at(target))
    elif "mode" not in value:
        here.at("mode").error("invalid", "is required here")
    elif "hint" in value:
        TEXT.check(value["hint"], here.at("hint"))
        if OneOf(("off", "smart")).check(value["mode"], here.at("mode")) and value["hint"] and value["mode"] == "off":
            here.at("hint").error("invalid", 'needs the mode "smart"')
    elif OneOf(("off", "smart", "targeted")).check(value["mode"], here.at("mode")) and value["mode"] == "targeted":
        here.error("invalid", "the mode targeted needs one of region, host and hostname")


_OBSERVED: tuple[tuple[str, ...], ...] = (
    ("enabled",),
    ("logs", "enabled"),
    ("traces", "enabled"),
    ("issues", "enabled"),
)


def _observability(value: Mapping[str, Any], here: Diagnostics) -> None:
    for first, *rest in _OBSERVED:
        inner = value.get(first)
        if first in value and (not rest or (isinstance(inner, Mapping) and rest[0] in inner)):
            return
    here.error("invalid", "needs one of enabled, logs.enabled, traces.enabled and issues.enabled")


_STORAGE = OneOf(("sqlite", "legacy-kv"))
_CLASS = Text(r"[A-Za-z_$][A-Za-z0-9_$]*", "the name of a class")
_FILLED = Text(r"(?s).+", "a string that is not empty")
_COMMON: Mapping[str, Shape] = {"type!": TEXT, "state": TEXT}
_OBJECT_STATES: Mapping[str, Record] = {
    "created": record({**_COMMON, "storage!": _STORAGE, "container": _FILLED}, unknown="refuse"),
    "deleted": record(_COMMON, unknown="refuse"),
    "renamed": record({**_COMMON, "renamed_to!": _CLASS}, unknown="refuse"),
    "transferred": record({**_COMMON, "transferred_to!": _FILLED}, unknown="refuse"),
    "expecting-transfer": record(
        {**_COMMON, "storage!": _STORAGE, "transfer_from!": _FILLED, "container": _FILLED}, unknown="refuse"
    ),
}
_WORKER_EXPORT = record({"type!": TEXT, "cache": record({"enabled!": FLAG})})
_WORKFLOW_EXPORT = record({"type!": TEXT, **WORKFLOW_FIELDS})


class _Export:
    """What the configuration says of one exported name: its type decides which other fields there are."""

    def check(self, value: object, here: Diagnostics) -> bool:
        if not record({"type!": OneOf(("durable-object", "worker", "workflow"))}, unknown="pass").check(value, here):
            return False
        assert isinstance(value, Mapping)
        if value["type"] == "worker":
            return _WORKER_EXPORT.check(value, here)
        if value["type"] == "workflow":
            return _WORKFLOW_EXPORT.check(value, here)
        state = value.get("state", "created")
        if not OneOf(tuple(_OBJECT_STATES)).check(state, here.at("state")):
            return False
        if value.get("storage") == "legacy-kv" and "container" in value:
            here.at("container").error("invalid", "a container needs the storage sqlite")
        return _OBJECT_STATES[state].check(value, here)


_RATE = Number(least=0, most=1)
_LOGS = {"enabled": FLAG, "head_sampling_rate": _RATE, "persist": FLAG, "destinations": TEXTS}

COMPATIBILITY_DATE = Checked(TEXT, _compatibility_date)
EXPORT = _Export()
OBSERVABILITY = Checked(
    record(
        {
            "enabled": FLAG,
            "head_sampling_rate": _RATE,
            "redact_query_string": FLAG,
            "issues": record({"enabled": FLAG}),
            "logs": record({**_LOGS, "invocation_logs": FLAG}),
            "traces": record(_LOGS),
        }
    ),
    _observability,
)
PLACEMENT = Checked(record({}, unknown="pass"), _placement)
ROUTE = _Route()
