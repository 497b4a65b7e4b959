"""Places in a value, as an error names them: ``$.orders[3].at``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["place_of_fault", "step"]

Children = Callable[[Any], Iterable[tuple[str, Any]]]
"""Returns the parts of a value, each with the ``step`` to it; raises TypeError or ValueError for one that cannot be."""


def place_of_fault(value: object, children: Children) -> tuple[str, Exception] | None:
    """Return where in ``value`` the first part stands for which ``children`` raises, and what; None when there is none.

    Walks through all of it: to be asked when something is wrong, and not before.
    """
    seen: set[int] = set()
    held: list[object] = []  # What is made on the way must not give its id away.
    ahead: list[tuple[str, Any]] = [("$", value)]
    while ahead:
        place, part = ahead.pop()
        if id(part) in seen:
            continue
        try:
            below = [(place + way, each) for way, each in children(part)]
        except (TypeError, ValueError) as error:
            return place, error
        if below:
            seen.add(id(part))
            held.append(part)
            ahead.extend(reversed(below))
    return None


def step(key: object) -> str:
    """Return the step to the item of a dict at ``key``."""
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"
