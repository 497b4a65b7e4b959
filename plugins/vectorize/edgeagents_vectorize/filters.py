"""Filters: which vectors are looked at, by their metadata.

``{"genre": "drama", "year": {"$gte": 1990, "$lt": 2000}, "studio.name": {"$in": ["A", "B"]}}``: all must hold. A key
with dots leads into objects. Values of another type than what they are compared with are neither before nor after it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from edgeagents_vectorize.checks import VectorizeError

__all__ = ["Filter", "filter_of"]

Filter = Callable[[Mapping[str, Any]], bool]

_MOST_BYTES: Final = 2048
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
_OPERATORS: Final = frozenset({"$eq", "$ne", "$in", "$nin", *_ORDERS})
_absent: Final = object()


def filter_of(given: Any) -> Filter | None:
    """Return what says whether metadata pass; None when all do. Raises ``VectorizeError`` for a filter that is none."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise _refused("a filter is an object")
    if not given:
        raise _refused("a filter is not empty")
    if len(repr(given).encode("utf-8", "replace")) > _MOST_BYTES:
        raise _refused(f"a filter has at most {_MOST_BYTES} bytes")
    conditions = [(_path(key), _condition(key, wanted)) for key, wanted in given.items()]
    return lambda metadata: all(holds(_value(metadata, path)) for path, holds in conditions)


def _refused(reason: str) -> VectorizeError:
    return VectorizeError("VECTOR_QUERY", 40024, f"invalid filter: {reason}")


def _path(key: str) -> list[str]:
    steps = key.split(".")
    if not all(steps) or key.startswith("$") or '"' in key:
        raise _refused(f"{key!r} is no key of metadata")
    return steps


def _condition(key: str, wanted: Any) -> Callable[[Any], bool]:
    if not isinstance(wanted, Mapping):
        wanted = {"$eq": wanted}
    if not wanted or not _OPERATORS.issuperset(wanted):
        unknown = ", ".join(name for name in wanted if name not in _OPERATORS) or "nothing"
        raise _refused(f"{key!r} has {unknown}, and operators are {', '.join(sorted(_OPERATORS))}")
    tests = [_test(key, name, value) for name, value in wanted.items()]
    return lambda value: all(test(value) for test in tests)


def _test(key: str, name: str, wanted: Any) -> Callable[[Any], bool]:
    if name in ("$in", "$nin"):
        if not isinstance(wanted, list | tuple) or not wanted:
            raise _refused(f"{name} of {key!r} needs a list that is not empty")
        options = [_scalar(key, one) for one in wanted]
        is_in = name == "$in"
        return lambda value: any(_equal(value, one) for one in options) is is_in
    wanted = _scalar(key, wanted)
    if name in ("$eq", "$ne"):
        is_equal = name == "$eq"
        return lambda value: _equal(value, wanted) is is_equal
    compare = _ORDERS[name]
    if not isinstance(wanted, str | int | float) or isinstance(wanted, bool):
        raise _refused(f"{name} of {key!r} needs a number or text")
    return lambda value: _is_alike(value, wanted) and compare(value, wanted)


def _scalar(key: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str | int | float):
        raise _refused(f"{key!r} is compared with text, numbers, booleans or null")
    return value


def _is_alike(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return isinstance(value, str)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(value: Any, wanted: Any) -> bool:
    if value is _absent or value is None or wanted is None:
        return wanted is None and (value is _absent or value is None)
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


def _value(metadata: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = metadata
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return _absent
        value = value[step]
    return value
