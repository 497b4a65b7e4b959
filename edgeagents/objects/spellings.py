"""Names as they were meant: what an error says to whoever asked for one that is not there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["did_you_mean"]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names the public one of ``known`` that ``name`` is near to, or the empty text.

    ``idFromName``, as JavaScript spells it, is ``id_from_name``.
    """
    names = {_normal(each): each for each in known if not each.startswith("_")}
    found = difflib.get_close_matches(_normal(name), names, 1)
    return f" Did you mean {names[found[0]]!r}?" if found else ""


def _normal(name: str) -> str:
    return _WORD_START.sub("_", name).lower()
