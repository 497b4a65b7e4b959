"""The two spellings that cross the border to the web: class names in URLs, and method names in calls."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["kebab_case", "snake_case"]

_CAPITAL = re.compile("[A-Z]")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=1024)
def kebab_case(name: str) -> str:
    """Return the URL segment for a class or binding name: ``MyAgent`` is ``my-agent``, ``AIAgent`` is ``a-i-agent``.

    The clients apply the same rule, odd corners included: a name all in capitals is only lowered, every other capital
    starts a word, and one dash is taken from either end.
    """
    if name == name.upper() and name != name.lower():
        return name.lower().replace("_", "-")
    dashed = _CAPITAL.sub(lambda capital: f"-{capital[0].lower()}", name)
    return dashed.removeprefix("-").replace("_", "-").removesuffix("-")


@lru_cache(maxsize=1024)
def snake_case(name: str) -> str:
    """Return the Python spelling of a camelCase method name: ``addNumbers`` is ``add_numbers``."""
    return _WORD_START.sub("_", name).lower()
