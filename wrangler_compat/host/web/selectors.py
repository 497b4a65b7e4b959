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

_NAME: Final = r"(?:[-\w]|[^\x00-\x7f]|\\.)+"
_SIMPLE: Final = re.compile(
    rf"""(?P<all>\*) | \#(?P<id>{_NAME}) | \.(?P<cls>{_NAME})
    | \[\s*(?P<attr>{_NAME})\s*(?:(?P<op>[~^$*|]?=)\s*(?:"(?P<dq>[^"]*)"|'(?P<sq>[^']*)'|(?P<bare>{_NAME}))\s*
        (?P<flag>[iIsS])?\s*)?\]
    | :(?P<pseudo>{_NAME}) | (?P<type>{_NAME})""",
    re.VERBOSE,
)
_NTH: Final = re.compile(r"(?P<a>[+-]?\d*)n(?:\s*(?P<b>[+-]\s*\d+))?|(?P<only>[+-]?\d+)", re.IGNORECASE)


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
    return Selector(tuple(_steps(part, text) for part in _split(text)))


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    quote = ""
    for n, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and not depth:
            parts.append(text[start:n])
            start = n + 1
    return [*parts, text[start:]]


def _steps(text: str, whole: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    rest = text.strip()
    is_child = False
    while rest:
        tests, rest = _compound(rest, whole)
        steps.append(_Step(tests, is_child))
        after = rest.lstrip()
        is_child = after.startswith(">")
        if after and not is_child and after == rest:
            raise JsTypeError(f"Parser error: Unsupported selector {whole!r}.")
        rest = after[1:].lstrip() if is_child else after
        if is_child and not rest:
            raise JsTypeError(f"Parser error: Dangling combinator in the selector {whole!r}.")
    if not steps:
        raise JsTypeError("Parser error: The selector is empty.")
    return tuple(steps)


def _compound(text: str, whole: str) -> tuple[tuple[_Test, ...], str]:
    tests: list[_Test] = []
    while text and text[0] not in " \t\r\n\f>":
        found = _SIMPLE.match(text)
        if found is None or (found["type"] is not None and tests):
            raise JsTypeError(f"Parser error: Unsupported syntax in the selector {whole!r}.")
        text = text[found.end() :]
        if found["pseudo"] is not None:
            test, text = _pseudo(found["pseudo"].lower(), text, whole)
        else:
            test = _simple(found)
        if test is not None:
            tests.append(test)
    return tuple(tests), text


def _simple(found: re.Match[str]) -> _Test | None:
    if found["all"]:
        return None
    if found["type"] is not None:
        tag = found["type"].lower()
        return lambda element: element.tag == tag
    if found["id"] is not None:
        wanted = _unescaped(found["id"])
        return lambda element: element.attributes.get("id") == wanted
    if found["cls"] is not None:
        cls = _unescaped(found["cls"])
        return lambda element: cls in element.attributes.get("class", "").split()
    return _attribute(found)


def _attribute(found: re.Match[str]) -> _Test:
    name, operator = found["attr"].lower(), found["op"]
    if operator is None:
        return lambda element: name in element.attributes
    value = next(v for v in (found["dq"], found["sq"], found["bare"]) if v is not None)
    ignores_case = (found["flag"] or "").lower() == "i"
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
            return bool(wanted) and held.startswith(wanted)
        case "$=":
            return bool(wanted) and held.endswith(wanted)
        case "*=":
            return bool(wanted) and wanted in held
        case _:
            return held == wanted or held.startswith(f"{wanted}-")


def _pseudo(name: str, text: str, whole: str) -> tuple[_Test | None, str]:
    if name == "first-child":
        return (lambda element: element.index == 1), text
    if name == "first-of-type":
        return (lambda element: element.index_of_type == 1), text
    if name in ("not", "nth-child", "nth-of-type") and text.startswith("("):
        inside, _, rest = text[1:].partition(")")
        if name == "not":
            tests, left = _compound(inside.strip(), whole)
            if left:
                raise JsTypeError(f"Parser error: :not() takes one simple selector, in {whole!r}.")
            return (lambda element: not all(test(element) for test in tests)), rest
        fits = _nth(inside, whole)
        if name == "nth-child":
            return (lambda element: fits(element.index)), rest
        return (lambda element: fits(element.index_of_type)), rest
    raise JsTypeError(f"Parser error: Unsupported pseudo-class or pseudo-element in the selector {whole!r}.")


def _nth(text: str, whole: str) -> Callable[[int], bool]:
    written = {"odd": "2n+1", "even": "2n"}.get(text.strip().lower(), text.strip())
    found = _NTH.fullmatch(written)
    if found is None:
        raise JsTypeError(f"Parser error: {text!r} is no an+b, in {whole!r}.")
    if found["only"] is not None:
        only = int(found["only"])
        return lambda index: index == only
    a = {"": 1, "+": 1, "-": -1}.get(found["a"]) or (0 if found["a"] in ("0", "+0", "-0") else int(found["a"]))
    b = int((found["b"] or "0").replace(" ", ""))
    return lambda index: index == b if a == 0 else (index - b) % a == 0 and (index - b) // a >= 0


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name)
