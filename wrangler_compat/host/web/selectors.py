"""Selectors of HTMLRewriter: those that can be matched while a page passes, by an element and the ones around it.

Type, ``*``, class, id, attributes with every operator and ``i``/``s``, ``:not()``, ``:nth-child``, ``:first-child``,
``:nth-of-type``, ``:first-of-type``; descendants, children, and lists with commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from wrangler_compat.host.model.errors import JsTypeError

__all__ = ["OpenElement", "Selector", "parse_selector"]

_ESCAPE: Final = r"\\(?:[0-9A-Fa-f]{1,6}\s?|[^\n0-9A-Fa-f])"
_LETTER: Final = rf"(?:[A-Za-z_]|[^\x00-\x7f]|{_ESCAPE})"
_REST: Final = rf"(?:[-\w]|[^\x00-\x7f]|{_ESCAPE})"
_IDENTIFIER: Final = re.compile(rf"(?:--|-?{_LETTER}){_REST}*")
_HASH: Final = re.compile(rf"{_REST}+")
_SPACE: Final = re.compile(r"[ \t\r\n\f]*")
_OPERATOR: Final = re.compile(r"[~^$*|]?=")
_STRING: Final = re.compile(r"""\"((?:[^"\\]|\\.)*)(?:"|$)|'((?:[^'\\]|\\.)*)(?:'|$)""", re.DOTALL)
_FLAG: Final = re.compile(r"[iIsS](?![-\w])")
_NTH: Final = re.compile(r"(?P<a>[+-]?\d*)n(?:\s*(?P<b>[+-]\s*\d+))?|(?P<only>[+-]?\d+)", re.IGNORECASE)

_UNEXPECTED: Final = "Unexpected token in selector."
_END: Final = "Unexpected end of selector."
_EMPTY: Final = "The selector is empty."
_PSEUDO: Final = "Unsupported pseudo-class or pseudo-element in selector."
_NAMESPACE: Final = "Selectors with explicit namespaces are not supported."


@dataclass(slots=True)
class OpenElement:
    """An element of which the start tag has passed. ``index`` is its place among its siblings, from 1."""

    tag: str
    attributes: dict[str, str]
    index: int = 1
    index_of_type: int = 1
    children: int = 0
    children_by_type: dict[str, int] = field(default_factory=dict[str, int])


_Test = Callable[[OpenElement], bool]


@dataclass(frozen=True, slots=True)
class _Step:
    tests: tuple[_Test, ...]
    is_child: bool
    """Whether it stands right below the step before it."""

    def fits(self, element: OpenElement) -> bool:
        return all(test(element) for test in self.tests)


@dataclass(frozen=True, slots=True)
class Selector:
    """What ``parse_selector`` made."""

    alternatives: tuple[tuple[_Step, ...], ...]

    def matches(self, element: OpenElement, around: Sequence[OpenElement]) -> bool:
        """Whether ``element``, within the elements ``around`` it (outermost first), is meant."""
        return any(_matches(steps, element, around) for steps in self.alternatives)


def _matches(steps: tuple[_Step, ...], element: OpenElement, around: Sequence[OpenElement]) -> bool:
    last = steps[-1]
    if not last.fits(element):
        return False
    if len(steps) == 1:
        return True
    before = steps[:-1]
    reach = range(len(around) - 1, len(around) - 2 if last.is_child else -1, -1)
    return any(_matches(before, around[n], around[:n]) for n in reach if n >= 0)


def parse_selector(text: str) -> Selector:
    """Return the selector that ``text`` writes. Raises ``TypeError`` for one that is not known here."""
    parser = _Parser(text)
    alternatives = parser.alternatives()
    if parser.rest():
        raise _error(_UNEXPECTED)
    return Selector(alternatives)


def _error(message: str) -> JsTypeError:
    return JsTypeError(f"Parser error: {message}")


class _Parser:
    """Reads one selector. What lol-html takes is taken and means the same, its oddities too."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._depth = 0
        """Within how many ``:not(`` it is."""

    def rest(self) -> str:
        """Return what was not read."""
        return self._text[self._at :]

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _took(self, letters: str) -> bool:
        is_there = self._text.startswith(letters, self._at)
        self._at += len(letters) if is_there else 0
        return is_there

    def _identifier(self) -> str | None:
        found = self._take(_IDENTIFIER)
        return None if found is None else _unescaped(found)

    def alternatives(self) -> tuple[tuple[_Step, ...], ...]:
        """Return what stands between commas."""
        found = [self._steps()]
        while self._took(","):
            found.append(self._steps())
        return tuple(found)

    def _steps(self) -> tuple[_Step, ...]:
        self._take(_SPACE)
        first = self._compound()
        if first is None:
            raise _error(_EMPTY)
        steps = [_Step(first, False)]
        while True:
            space, letter = self._take(_SPACE), self._next()
            if letter in ("", ",") or (letter == ")" and self._depth):
                return tuple(steps)
            if letter in "+~":
                raise _error(f"Unsupported combinator `{letter}` in selector.")
            is_child = self._took(">")
            if not space and not is_child:
                raise _error(_UNEXPECTED)
            self._take(_SPACE)
            tests = self._compound()
            if tests is None:
                raise _error("Dangling combinator in selector.")
            steps.append(_Step(tests, is_child))

    def _compound(self) -> tuple[_Test, ...] | None:
        begin = self._at
        tests = self._type()
        while letter := self._next():
            if letter == "#" and _HASH.match(self._text, self._at + 1):
                self._at += 1
                tests.append(_has_id(_unescaped(self._take(_HASH) or "")))
            elif letter == "#" and self._at > begin:
                raise _error(_UNEXPECTED)
            elif self._took("."):
                tests.append(self._class())
            elif self._took("["):
                tests.append(self._attribute())
            elif self._took(":"):
                tests += self._pseudo()
            else:
                break
        return tuple(tests) if self._at > begin else None

    def _type(self) -> list[_Test]:
        name = "*" if self._took("*") else self._identifier()
        if self._next() != "|":
            return [] if name is None else [_is_tag(name)]
        self._at += 1
        local = "*" if self._took("*") else self._identifier()
        if local is None:
            raise _error(_UNEXPECTED)
        if name is None:
            return [lambda element: False]
        if name != "*":
            raise _error(_NAMESPACE)
        return [_is_tag(local)]

    def _class(self) -> _Test:
        if not self._next():
            raise _error(_END)
        wanted = self._identifier()
        if wanted is None:
            raise _error("Invalid or unescaped class name in selector.")
        return lambda element: wanted in element.attributes.get("class", "").split()

    def _attribute(self) -> _Test:
        self._take(_SPACE)
        name = self._identifier()
        if name is None:
            is_end = self._next() in ("", "]")
            raise _error(_END if is_end else "Missing attribute name in attribute selector.")
        self._take(_SPACE)
        if self._took("]") or not self._next():
            return lambda element: name in element.attributes
        operator = self._take(_OPERATOR)
        if operator is None:
            raise _error("Unexpected token in the attribute selector.")
        if name != name.lower():
            raise _error(_NAMESPACE)
        self._take(_SPACE)
        value = self._value()
        self._take(_SPACE)
        flag = self._take(_FLAG) or ""
        self._take(_SPACE)
        if not self._took("]") and self._next():
            raise _error(_UNEXPECTED)
        return _compares(name, operator, value, ignores_case=flag in ("i", "I"))

    def _value(self) -> str:
        if self._next() in ("", "]"):
            raise _error(_END)
        written = self._take(_STRING)
        if written is not None:
            return _unescaped(written[1:].removesuffix(written[0]))
        value = self._identifier()
        if value is None:
            raise _error("Unexpected token in the attribute selector.")
        return value

    def _pseudo(self) -> list[_Test]:
        is_element = self._took(":")
        if not self._next():
            raise _error(_END)
        name = self._identifier()
        if name is None:
            raise _error(_UNEXPECTED)
        name, is_function = name.lower(), self._took("(")
        match name, is_function, is_element:
            case "first-child", False, False:
                return [lambda element: element.index == 1]
            case "first-of-type", False, False:
                return [lambda element: element.index_of_type == 1]
            case "not", True, False:
                return self._not()
            case "nth-child" | "nth-of-type", True, False:
                fits = self._nth()
                if name == "nth-child":
                    return [lambda element: fits(element.index)]
                return [lambda element: fits(element.index_of_type)]
            case _:
                raise _error(_PSEUDO)

    def _not(self) -> list[_Test]:
        self._depth += 1
        alternatives = self.alternatives()
        self._depth -= 1
        if not self._took(")") and self._next():
            raise _error(_UNEXPECTED)
        if self._depth:
            return []  # One within another says nothing.
        # Nothing may fit of what is asked of the element itself. What is around it is not asked for.
        return [_fails(test) for steps in alternatives for test in steps[-1].tests]

    def _nth(self) -> Callable[[int], bool]:
        inside, _, _ = self._text[self._at :].partition(")")
        self._at = min(self._at + len(inside) + 1, len(self._text))
        return _nth(inside)


def _is_tag(name: str) -> _Test:
    tag = name.lower()
    return lambda element: tag in ("*", element.tag)


def _has_id(wanted: str) -> _Test:
    return lambda element: element.attributes.get("id") == wanted


def _fails(test: _Test) -> _Test:
    return lambda element: not test(element)


def _compares(name: str, operator: str, value: str, *, ignores_case: bool) -> _Test:
    wanted = value.lower() if ignores_case else value

    def test(element: OpenElement) -> bool:
        held = element.attributes.get(name)
        return held is not None and _compare(operator, held.lower() if ignores_case else held, wanted)

    return test


def _compare(operator: str, held: str, wanted: str) -> bool:
    match operator:
        case "=":
            return held == wanted
        case "~=":
            return bool(wanted) and wanted in held.split()
        case "^=":
            return held.startswith(wanted)
        case "$=":
            return bool(held) and held.endswith(wanted)
        case "*=":
            return bool(wanted) and wanted in held
        case _:
            return held == wanted or held.startswith(f"{wanted}-")


def _nth(text: str) -> Callable[[int], bool]:
    written = {"odd": "2n+1", "even": "2n"}.get(text.strip().lower(), text.strip())
    found = _NTH.fullmatch(written)
    if found is None:
        raise _error(_UNEXPECTED if written else _END)
    if found["only"] is not None:
        only = int(found["only"])
        return lambda index: index == only
    a = {"": 1, "+": 1, "-": -1}.get(found["a"]) or (0 if found["a"] in ("0", "+0", "-0") else int(found["a"]))
    b = int((found["b"] or "0").replace(" ", ""))
    return lambda index: index == b if a == 0 else (index - b) % a == 0 and (index - b) // a >= 0


def _unescaped(name: str) -> str:
    return re.sub(_ESCAPE, _letter, name) if "\\" in name else name


def _letter(escape: re.Match[str]) -> str:
    digits = escape[0][1:].strip() or escape[0][1:]
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return digits
    code = int(digits, 16)
    return "\ufffd" if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)
