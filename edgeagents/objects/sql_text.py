"""SQL text: what can be told of a statement without compiling it.

SQLite decides what a statement does and may do. Read here is only where one ends, and by which word it begins.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["first_keyword", "foreign_keys_setting", "split"]

_BLANK = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$)|;|\ufeff)*", re.DOTALL)
_KEYWORD = re.compile(r"[A-Za-z]+")
_SKIPPED = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/ | (;)""",
    re.DOTALL | re.VERBOSE,
)
_FOREIGN_KEYS = re.compile(
    r"""pragma\s+(?:main\s*\.\s*)?foreign_keys\s*(?:=\s*|\(\s*)['"]?(\w+)['"]?\s*\)?[\s;]*""", re.IGNORECASE
)
_TRUE, _FALSE = frozenset({"1", "on", "yes", "true"}), frozenset({"0", "off", "no", "false"})


def first_keyword(sql: str) -> str:
    """Return the word that ``sql`` begins with after blanks and comments, in capitals, or an empty string."""
    found = _KEYWORD.match(sql, _end_of_blank(sql, 0))
    return found[0].upper() if found else ""


def foreign_keys_setting(sql: str) -> bool | None:
    """Return what a ``PRAGMA foreign_keys = ...`` sets, or None for any other statement."""
    found = _FOREIGN_KEYS.fullmatch(sql, _end_of_blank(sql, 0))
    value = found[1].lower() if found else ""
    return True if value in _TRUE else False if value in _FALSE else None


def split(sql: str, is_complete: Callable[[str], bool]) -> list[tuple[int, str]]:
    """Return the statements in ``sql``, each with the offset where it begins. Comments alone are none.

    ``is_complete`` is SQLite's own say on whether a text ends a statement: the semicolons in a trigger do not.
    """
    statements: list[tuple[int, str]] = []
    start = _end_of_blank(sql, 0)
    for found in _SKIPPED.finditer(sql, start):
        if found[1] is None or found.start() < start:
            continue
        if is_complete(sql[start : found.end()]):
            statements.append((start, sql[start : found.start()]))
            start = _end_of_blank(sql, found.end())
    if start < len(sql):
        statements.append((start, sql[start:]))
    return statements


def _end_of_blank(sql: str, start: int) -> int:
    found = _BLANK.match(sql, start)
    return found.end() if found else start
