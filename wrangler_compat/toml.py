"""TOML 1.1, as wrangler reads it.

``tomlrt`` does the work: it takes what TOML 1.1 adds (line ends and a trailing comma in inline tables, ``\\e``,
``\\xHH``, times without seconds), keeps CRLF inside multi-line strings and knows where a fault is. Python's
``tomllib`` is of TOML 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wrangler_compat.encoding import SyntaxFault

__all__ = ["parse_toml"]

_LARGEST = 2**53 - 1
_NO_NUMBER = re.compile(r"invalid (?:integer|float|number|date|datetime|value) '([A-Za-z][^']*)'")


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table that ``text`` describes; dates and times are ``datetime`` values. Raises ``SyntaxFault``."""
    try:
        import tomlrt
    except ModuleNotFoundError:
        raise SyntaxFault("reading TOML needs tomlrt. Install it: pip install 'edgeagents[emulator]'") from None
    try:
        table = tomlrt.loads(text).to_dict()
    except tomlrt.TOMLParseError as fault:
        sentence = str(fault).removesuffix(f" (line {fault.line}, column {fault.col})")
        raise SyntaxFault(_plainer(sentence), fault.line, fault.col) from None
    except ValueError as fault:
        # An integer of more digits than Python will convert.
        raise SyntaxFault(str(fault)) from None
    except RecursionError:
        raise SyntaxFault("tables and arrays are nested too deeply") from None
    _refuse_large_integers(table, "")
    return table


def _plainer(sentence: str) -> str:
    # What begins with a letter is taken for a number or a date, and refused as one.
    word = _NO_NUMBER.match(sentence)
    return sentence if word is None else f'expected a value, found {word[1]}; a string needs quotes: "{word[1]}"'


def _refuse_large_integers(value: object, path: str) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        raise SyntaxFault(f"{path}: integers beyond 2^53-1 would lose digits; write a string")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_large_integers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            _refuse_large_integers(item, f"{path}[{index}]")
