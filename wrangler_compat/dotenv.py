"""The format of ``.env`` and ``.dev.vars``, as dotenv 16 for Node.js reads it, and the expansion of references.

Not a general dotenv: wrangler's users have files that python-dotenv reads otherwise (``#`` inside an unquoted value,
single quotes, colons). Nothing here touches a file or the environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["expand", "parse_dotenv"]

# A line: an optional `export`, a name, `=` or a colon with white space, a value that may be quoted, a comment.
# A quote that does not close leaves the value unquoted, up to the end of its line.
_LINE = re.compile(
    r"""
    ^[^\S\n]* (?:export\s+)? (?P<name>[\w.-]+) (?:\s*=\s*?|:\s+?)
    (?P<value>
        \s*'(?:\\'|[^'])*'
      | \s*"(?:\\"|[^"])*"
      | \s*`(?:\\`|[^`])*`
      | [^\#\n]+
    )?
    [^\S\n]* (?:\#[^\n]*)? $
    """,
    re.VERBOSE | re.MULTILINE | re.ASCII,
)
_QUOTED = re.compile(r"""^(['"`])([\s\S]*)\1$""")

_REFERENCE = re.compile(
    r"""
    \\\$
    | \$\{ (?P<braced>[A-Za-z_][A-Za-z0-9_]*) (?: (?P<operator>:-|-|:\+|\+) (?P<word>(?:[^{}]|\{[^{}]*\})*) )? \}
    | \$ (?P<plain>[A-Za-z_][A-Za-z0-9_]*)
    """,
    re.VERBOSE,
)


def parse_dotenv(text: str) -> dict[str, str]:
    """Return the variables of ``text``. Lines that are none are skipped; the last of duplicates wins."""
    variables: dict[str, str] = {}
    for line in _LINE.finditer(re.sub(r"\r\n?", "\n", text.removeprefix("\ufeff"))):
        value = (line["value"] or "").strip()
        is_double = value.startswith('"')
        value = _QUOTED.sub(r"\2", value)
        if is_double:
            value = value.replace("\\n", "\n").replace("\\r", "\r")
        variables[line["name"]] = value
    return variables


def expand(variables: Mapping[str, str]) -> dict[str, str]:
    """Return ``variables`` with ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and ``${NAME:+other}`` put in.

    A reference to what is not set is empty, and so is one that leads back to itself. ``\\$`` is a dollar.
    """
    return {name: _expanded(value, variables, (name,)) for name, value in variables.items()}


def _expanded(value: str, variables: Mapping[str, str], seen: tuple[str, ...]) -> str:
    def put_in(reference: re.Match[str]) -> str:
        name = reference["braced"] or reference["plain"]
        if name is None:
            return "$"
        known = variables.get(name)
        found = None if known is None or name in seen else _expanded(known, variables, (*seen, name))
        operator, word = reference["operator"], reference["word"] or ""
        if operator in (":+", "+"):
            return _expanded(word, variables, seen) if found or (found == "" and operator == "+") else ""
        if found is None or (found == "" and operator == ":-"):
            return _expanded(word, variables, seen) if operator else ""
        return found

    return _REFERENCE.sub(put_in, value)
