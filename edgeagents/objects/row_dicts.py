"""Rows as dicts: functions for each tuple of column names, since a dict that is written out is made fastest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

__all__ = ["RowDicts", "row_dicts"]

_Row = tuple[Any, ...]


class RowDicts(NamedTuple):
    """What makes dicts of rows. Of columns with the same name the last one wins."""

    one: Callable[[_Row], dict[str, Any]]
    all: Callable[[Iterable[_Row]], list[dict[str, Any]]]


@functools.lru_cache(maxsize=1024)
def row_dicts(columns: tuple[str, ...]) -> RowDicts:
    """Return what makes dicts of rows with these columns."""
    return _maker(len(columns))(*columns)


@functools.cache
def _maker(count: int) -> Callable[..., RowDicts]:
    # Only the number of columns is in the code; their names, which a program may choose, are its arguments.
    names = ", ".join(f"n{number}" for number in range(count))
    one = ", ".join(f"n{number}: row[{number}]" for number in range(count))
    each = ", ".join(f"n{number}: v{number}" for number in range(count))
    values = "".join(f"v{number}, " for number in range(count)) or "_"
    source = f"lambda {names}: RowDicts(lambda row: {{{one}}}, lambda rows: [{{{each}}} for {values} in rows])"
    return eval(source, {"RowDicts": RowDicts})
