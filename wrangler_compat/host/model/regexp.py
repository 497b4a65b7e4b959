"""Regular expressions."""

from __future__ import annotations

import re
from typing import Any, Final

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsSyntaxError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull

__all__ = ["JsRegExp"]

_FLAGS: Final = {
    "d": "hasIndices",
    "g": "global_",
    "i": "ignoreCase",
    "m": "multiline",
    "s": "dotAll",
    "u": "unicode",
    "v": "unicodeSets",
    "y": "sticky",
}
_OPTIONS: Final = {"i": re.I, "m": re.M, "s": re.S}


class JsRegExp(JsProxy):
    """``RegExp``, on Python's ``re``: what both write alike works."""

    _callable_without_new = True

    class Statics(JsProxy.Statics):
        """RegExp.escape."""

        def escape(text: Any = None) -> str:
            """Return an expression for ``text`` itself."""
            if not isinstance(text, str):
                raise JsTypeError("Input argument must be a string")
            return "".join(_escaped(letter, n == 0) for n, letter in enumerate(text))

    def __init__(self, source: Any = "(?:)", flags: Any = "") -> None:
        if isinstance(source, JsRegExp):
            flags = source.flags if is_nullish(flags) or flags == "" else flags
            source = source.source
        self.source, self.flags = to_text(source), "" if is_nullish(flags) else "".join(sorted(to_text(flags)))
        if len(set(self.flags)) < len(self.flags) or not set(self.flags) <= set(_FLAGS):
            raise JsSyntaxError(f"Invalid flags supplied to RegExp constructor '{self.flags}'")
        self.lastIndex = 0
        for letter, name in _FLAGS.items():
            setattr(self, name, letter in self.flags)
        options = re.NOFLAG
        for letter, option in _OPTIONS.items():
            if letter in self.flags:
                options |= option
        try:
            self._pattern = re.compile(re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", self.source), options)
        except re.error as error:
            raise JsSyntaxError(f"Invalid regular expression: /{self.source}/: {error}") from error

    def _find(self, text: str) -> re.Match[str] | None:
        """Find it from where it was found last, if it is one that goes on from there."""
        goes_on = "g" in self.flags or "y" in self.flags
        begin = self.lastIndex if goes_on else 0
        find = self._pattern.match if "y" in self.flags else self._pattern.search
        found = find(text, begin) if begin <= len(text) else None
        if goes_on:
            self.lastIndex = 0 if found is None else found.end()
        return found

    def test(self, text: Any) -> bool:
        """Whether it is found in ``text``."""
        return self._find(to_text(text)) is not None

    def exec(self, text: Any) -> Any:
        """Return the match and its groups, with ``index``, ``input`` and ``groups``, or null."""
        whole = to_text(text)
        found = self._find(whole)
        if found is None:
            return jsnull
        made = JsArray((found[0], *found.groups()))
        named = found.groupdict()
        vars(made).update(index=found.start(), input=whole, groups=JsObject(named) if named else None)
        return made

    def toString(self) -> str:
        """As it is written."""
        return f"/{self.source}/{self.flags}"

    def _keys(self) -> list[str]:
        return []


_CONTROLS: Final = {"\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r"}


def _escaped(letter: str, is_first: bool) -> str:
    if letter in _CONTROLS:
        return f"\\{_CONTROLS[letter]}"
    if letter in "^$\\.*+?()[]{}|/":
        return f"\\{letter}"
    if letter in ",-=<>#&!%:;@~'`\" " or (is_first and letter.isascii() and letter.isalnum()):
        return f"\\x{ord(letter):02x}"
    return letter
