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
    offset, length, suffix = wanted.get("offset"), wanted.get("length"), wanted.get("suffix")
    if suffix is not None:
        for name, other in (("offset", offset), ("length", length)):
            if other is not None:
                raise TypeError(f"Suffix is incompatible with {name}.")
        count = _whole(suffix, "Invalid suffix. Suffix")
        if not count or not size:
            raise _unsatisfiable()
        return max(size - count, 0), min(count, size)
    if offset is None and length is None:
        return None
    start = _whole(offset or 0, "Invalid range. Starting offset")
    count = None if length is None else _whole(length, "Invalid range. Length")
    if start >= size or count == 0:
        raise _unsatisfiable()
    return start, size - start if count is None else min(count, size - start)


def _whole(value: float, what: str) -> int:
    if value < 0:
        raise ValueError(f"{what} ({value}) must be greater than or equal to 0.")
    if value != int(value):
        raise ValueError(f"{what} ({value}) must be an integer, not floating point.")
    return int(value)


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
