"""Ranges: which part of an object is wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edgeagents_r2.errors import R2Error

__all__ = ["part_of"]

_BYTES = re.compile(r"bytes=(\d*)-(\d*)")


def part_of(wanted: Mapping[str, Any] | None, size: int) -> tuple[int, int] | None:
    """Return offset and length of the part of ``size`` bytes that is ``wanted``; None for the whole.

    ``wanted`` has ``offset`` and ``length``, or ``suffix``, or the header field ``range``. Several ranges, or one that
    cannot be read, mean the whole.
    """
    if not wanted:
        return None
    if any(key not in ("offset", "length", "suffix") for key in wanted):
        return _of_header(str(wanted.get("range") or ""), size)
    for value in wanted.values():
        if value is not None and (value < 0 or value != int(value)):
            raise ValueError("Offset, length and suffix of a range must be positive integers.")
    offset, length, suffix = wanted.get("offset"), wanted.get("length"), wanted.get("suffix")
    if suffix is not None:
        if offset is not None or length is not None:
            raise TypeError("Suffix is incompatible with offset or length.")
        if suffix == 0:
            raise _unsatisfiable()
        return max(size - int(suffix), 0), min(int(suffix), size)
    start = int(offset or 0)
    if start >= size and size + start > 0:
        raise _unsatisfiable()
    if length == 0:
        raise _unsatisfiable()
    return start, size - start if length is None else min(int(length), size - start)


def _of_header(text: str, size: int) -> tuple[int, int] | None:
    found = _BYTES.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return part_of({"suffix": int(found[2])}, size)
    start, end = int(found[1]), int(found[2]) if found[2] else size - 1
    if end < start:
        return None
    return part_of({"offset": start, "length": end - start + 1}, size)


def _unsatisfiable() -> R2Error:
    return R2Error("get", "The requested range is not satisfiable", 10039)
