"""Patterns of paths, as rules of `_redirects` and `_headers` and of `run_worker_first` write them."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Pattern", "fill"]

_PART = re.compile(r"\*|:([A-Za-z]\w*)")
_STAR = re.compile(r"\*()")
_FILLED = re.compile(r":([A-Za-z]\w*)")


class Pattern:
    """``*`` matches anything, slashes too, and is called ``splat``; ``:name`` matches one segment, if names count."""

    def __init__(self, text: str, *, names: bool = True) -> None:
        self.text = text
        part = _PART if names else _STAR
        self.is_exact = part.search(text) is None
        self._regex = re.compile(self._translate(text, part) + r"\Z", re.DOTALL)

    @staticmethod
    def _translate(text: str, part: re.Pattern[str]) -> str:
        out, at, names = [], 0, set[str]()
        for found in part.finditer(text):
            out.append(re.escape(text[at : found.start()]))
            name, rest = (found[1], r"[^/]+") if found[1] else ("splat", ".*")
            out.append(f"(?:{rest})" if name in names else f"(?P<{name}>{rest})")
            names.add(name)
            at = found.end()
        return "".join([*out, re.escape(text[at:])])

    def match(self, path: str) -> dict[str, str] | None:
        """Return what the names stand for in ``path``, or None when it is another."""
        found = self._regex.match(path)
        return None if found is None else found.groupdict()


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with what the names stand for. A name that is not known stays."""
    return _FILLED.sub(lambda found: values.get(found[1], found[0]), text)
