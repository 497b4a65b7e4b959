"""``agent.sql``: values go into a statement as bindings, never as text.

Three ways to write it, all safe: ``sql("... where id = ?", id)``, ``sql("... where id = {id}", id=id)`` and, from
Python 3.14 on, ``sql(t"... where id = {id}")``. What runs the statement is the object's storage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["bind"]

# Text in quotes and comments is skipped, so a JSON literal such as '{"a": 1}' stays what it is.
_MARKER = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/ | \{([A-Za-z_]\w*)\}""",
    re.DOTALL | re.VERBOSE,
)


def bind(query: Any, bindings: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement with ``?`` for each value, and the values in order.

    Raises TypeError when markers and values do not fit together.
    """
    if isinstance(query, str):
        return _bind_named(query, bindings, named) if named else (query, bindings)
    strings, interpolations = getattr(query, "strings", None), getattr(query, "interpolations", None)
    if strings is None or interpolations is None:
        raise TypeError(f"sql() takes a statement as text or as a t-string, not {type(query).__name__}.")
    if bindings or named:
        raise TypeError("sql() takes no further values when the statement is a t-string: write them into it.")
    for part in interpolations:
        if part.format_spec or part.conversion:
            raise TypeError(f"sql() binds values as they are: {part.expression!r} cannot have a format or conversion.")
    return "?".join(strings), tuple(part.value for part in interpolations)


def _bind_named(query: str, bindings: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    if bindings:
        raise TypeError("sql() takes values by position (for ?) or by name (for {name}), not both.")
    values: list[Any] = []
    used: set[str] = set()

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return match[0]
        if name not in named:
            raise TypeError(f"sql() has no value for {{{name}}}. It was given: {', '.join(sorted(named))}.")
        used.add(name)
        values.append(named[name])
        return "?"

    statement = _MARKER.sub(place, query)
    if unused := named.keys() - used:
        raise TypeError(f"sql() was given {', '.join(sorted(unused))}, for which the statement has no marker.")
    return statement, tuple(values)
