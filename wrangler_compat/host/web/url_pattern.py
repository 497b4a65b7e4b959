"""``URLPattern``: URLs of one shape, such as ``/books/:id``, and what stands in their places.

Names, groups in braces, wildcards, expressions and their modifiers, for each part of a URL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull, properties
from wrangler_compat.host.web.url import URL

__all__ = ["PARTS", "URLPattern"]

PARTS: Final = ("protocol", "username", "password", "hostname", "port", "pathname", "search", "hash")
_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_NAME: Final = re.compile(r"[^\W\d]\w*")
_MODIFIERS: Final = ("?", "*", "+")


@dataclass(frozen=True)
class _Part:
    pattern: str
    expression: re.Pattern[str]
    names: tuple[str, ...]
    has_expressions: bool


class URLPattern(JsProxy):
    """``URLPattern``."""

    def __init__(self, pattern: Any = None, base: Any = None, options: Any = None) -> None:
        if isinstance(base, JsObject | dict):
            base, options = None, base
        ignores_case = properties(options).get("ignoreCase") is True
        given = _split(to_text(pattern), base) if isinstance(pattern, str) else _of_object(properties(pattern))
        self._parts = {
            name: _compiled(name, given.get(name, "*"), ignores_case=ignores_case and name in ("pathname", "search"))
            for name in PARTS
        }
        for name, part in self._parts.items():
            setattr(self, name, part.pattern)
        self.hasRegExpGroups = any(part.has_expressions for part in self._parts.values())

    def test(self, url: Any = None, base: Any = None) -> bool:
        """Whether ``url`` has this shape."""
        return self.exec(url, base) is not jsnull

    def exec(self, url: Any = None, base: Any = None) -> Any:
        """Return what stands in the places of ``url``, for each of its parts, or null."""
        inputs = JsArray([url] if is_nullish(base) else [url, base])
        values = _values(url, base)
        if values is None:
            return jsnull
        found: dict[str, Any] = {"inputs": inputs}
        for name, part in self._parts.items():
            match = part.expression.fullmatch(values[name])
            if match is None:
                return jsnull
            groups = {key: match[n + 1] for n, key in enumerate(part.names)}
            found[name] = JsObject({"input": values[name], "groups": JsObject(groups)})
        return JsObject(found)

    def _keys(self) -> list[str]:
        return []


def _values(url: Any, base: Any) -> dict[str, str] | None:
    if not isinstance(url, str | JsProxy | dict):
        url = {}
    if isinstance(url, JsObject | dict):
        given = {name: to_text(value) for name, value in properties(url).items()}
        base = given.pop("baseURL", None)
        if base is not None:
            of_base = _values(base, None)
            given = {**of_base, **given} if of_base is not None else given
        return {name: given.get(name, "").removeprefix(_PREFIX.get(name, "")) for name in PARTS}
    if not URL.Statics.canParse(to_text(url), base):
        return None
    parsed = URL(to_text(url), base)
    values = {name: getattr(parsed, name) for name in PARTS}
    values["protocol"] = values["protocol"].removesuffix(":")
    return {name: value.removeprefix(_PREFIX.get(name, "")) for name, value in values.items()}


_PREFIX: Final = {"search": "?", "hash": "#"}


def _of_object(given: Any) -> dict[str, str]:
    made = {name: to_text(value) for name, value in given.items() if name in PARTS and not is_nullish(value)}
    if not is_nullish(given.get("baseURL")):
        of_base = _literal(to_text(given["baseURL"]))
        first = next((n for n, name in enumerate(PARTS) if name in made), len(PARTS))
        made = {**{name: value for name, value in of_base.items() if PARTS.index(name) < first}, **made}
        if "pathname" in made and not made["pathname"].startswith(("/", "*", "{", ":")):
            made["pathname"] = of_base["pathname"].rpartition("/")[0] + "/" + made["pathname"]
    if made.get("port") and made["port"] == _PORTS.get(made.get("protocol", "")):
        made["port"] = ""
    return {name: value.removeprefix(_PREFIX.get(name, "")) for name, value in made.items()}


def _literal(url: str) -> dict[str, str]:
    values = _values(url, None)
    if values is None:
        raise JsTypeError("Failed to construct URLPattern")
    return {
        name: re.sub(r"([+*?:{}()\\])", r"\\\1", value) for name, value in values.items() if value or name == "port"
    }


def _split(text: str, base: Any) -> dict[str, str]:
    """Return the parts of a pattern that is written as a URL. What comes before its first part is the base's."""
    found = re.match(r"(?P<protocol>[A-Za-z][\w+.-]*|\*|\{[^}]*\}[?*+]?|[\w+.-]*[({].*?[)}][?*+]?)(?=://)", text)
    made: dict[str, str] = {}
    rest = text
    if found is not None:
        made["protocol"] = re.sub(r"\{(\w+)\}", r"{\1}", found["protocol"])
        rest = text[found.end() + 3 :]
        at = _first(rest, "/?#")
        place, rest = rest[:at], rest[at:]
        user, has_user, place = place.rpartition("@")
        # A colon with a letter behind it begins a name.
        made["username"], *more = re.split(r":(?![^\W\d])", user, maxsplit=1) if has_user else "*"
        made["password"] = more[0] if more else "*"
        host = re.match(r"((?:\[[^\]]*\]|\{[^}]*\}|\([^)]*\)|:[^\W\d]\w*|[^:])*)(?::(.*))?", place)
        made["hostname"], made["port"] = (host[1], host[2] or "") if host else (place, "")
        if made["port"] == _PORTS.get(made["protocol"]):
            made["port"] = ""
    elif is_nullish(base):
        raise JsTypeError("Failed to construct URLPattern")
    else:
        of_base = _literal(to_text(base))
        made = {name: of_base.get(name, "") for name in ("protocol", "hostname", "port")}
        if rest and not rest.startswith(("/", "?", "#")):
            rest = of_base.get("pathname", "/").rpartition("/")[0] + "/" + rest
        elif rest.startswith(("?", "#")):
            rest = of_base.get("pathname", "/") + rest
    at = _first(rest, "?#")
    path, rest = rest[:at], rest[at:]
    made["pathname"] = path.removesuffix("\\") or ("*" if found is not None and not rest else "/")
    if rest.startswith("?"):
        at = _first(rest, "#")
        made["search"], rest = rest[1:at], rest[at:]
    elif rest.startswith("#"):
        made["search"] = ""
    if rest.startswith("#"):
        made["hash"] = rest[1:]
    return made


def _first(text: str, letters: str) -> int:
    """Return where one of ``letters`` stands that belongs to no group, and is no modifier, or the length."""
    depth = 0
    for n, letter in enumerate(text):
        if letter in "({" and text[n - 1 : n] != "\\":
            depth += 1
        elif letter in ")}" and text[n - 1 : n] != "\\":
            depth -= 1
        elif letter in letters and not depth and not (letter == "?" and _is_modifier(text, n)):
            return n
    return len(text)


def _is_modifier(text: str, at: int) -> bool:
    before = text[:at]
    return before.endswith((")", "}", "*")) or re.search(r":[^\W\d]\w*$", before) is not None


def _compiled(part: str, pattern: str, *, ignores_case: bool) -> _Part:
    if part in ("pathname", "search", "hash"):
        pattern = re.sub(r"[^\x00-\x7f]+", lambda letters: quote(letters[0]), pattern)
    separator = {"pathname": "/", "hostname": "."}.get(part, "")
    segment = f"[^{re.escape(separator)}]+?" if separator else ".+?"
    names: list[str] = []
    has_expressions = False

    def group(text: str, at: int, *, within: bool) -> tuple[str, int]:
        nonlocal has_expressions
        made: list[str] = []
        while at < len(text) and not (within and text[at] == "}"):
            letter = text[at]
            if letter == "\\":
                made.append(re.escape(text[at + 1 : at + 2]))
                at += 2
                continue
            if letter == "{":
                inside, at = group(text, at + 1, within=True)
                modifier = text[at] if at < len(text) and text[at] in _MODIFIERS else ""
                at += len(modifier)
                made.append(f"(?:{inside}){modifier}")
                continue
            name, matched = "", ""
            if letter == ":" and (written := _NAME.match(text, at + 1)):
                name, at, matched = written[0], written.end(), segment
            elif letter == "*":
                at, matched = at + 1, ".*"
            if at < len(text) and text[at] == "(" and matched != ".*":
                end = _closing(text, at)
                matched, at = text[at + 1 : end], end + 1
                has_expressions = has_expressions or matched != ".*"
            if not matched:
                made.append(re.escape(letter))
                at += 1
                continue
            names.append(name or str(sum(one.isdecimal() for one in names)))
            modifier = text[at] if at < len(text) and text[at] in _MODIFIERS else ""
            at += len(modifier)
            made.append(_repeated(made, matched, modifier, separator if part == "pathname" else ""))
        return "".join(made), at + within

    source, _ = group(pattern, 0, within=False)
    try:
        return _Part(pattern, re.compile(source, re.I if ignores_case else 0), tuple(names), has_expressions)
    except re.error as error:
        raise JsTypeError("Failed to construct URLPattern") from error


def _repeated(made: list[str], matched: str, modifier: str, separator: str) -> str:
    """Return a place with its modifier, which takes the separator before it along."""
    if not modifier:
        return f"({matched})"
    prefix = made.pop() if separator and made and made[-1] == re.escape(separator) else ""
    if modifier == "?":
        return f"(?:{prefix}({matched}))?"
    many = f"((?:{matched})(?:{prefix}(?:{matched}))*)"
    return f"(?:{prefix}{many})?" if modifier == "*" else f"{prefix}{many}"


def _closing(text: str, at: int) -> int:
    depth = 0
    for n in range(at, len(text)):
        if text[n - 1] != "\\":
            depth += {"(": 1, ")": -1}.get(text[n], 0)
        if not depth:
            return n
    raise JsTypeError("Failed to construct URLPattern")
