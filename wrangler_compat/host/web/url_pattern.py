"""``URLPattern``: URLs of one shape, such as ``/books/:id``, and what stands in their places.

The parts of a pattern are read by ``url_pattern_parts``; ``url_pattern_text`` finds them in one that is written as a
URL, and ``url_pattern_normal`` writes what is fixed in them as URLs do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, jsnull, properties
from wrangler_compat.host.web import url_pattern_normal as normal
from wrangler_compat.host.web.url import URL
from wrangler_compat.host.web.url_pattern_parts import Part, Rules, compiled, escaped, refuse
from wrangler_compat.host.web.url_pattern_text import parts_of_text

__all__ = ["PARTS", "URLPattern"]

PARTS: Final = ("protocol", "username", "password", "hostname", "port", "pathname", "search", "hash")
# Where one of these is given, it and what follows are not the base's.
_ORDER: Final = ("protocol", "hostname", "port", "pathname", "search", "hash")


class URLPattern(JsProxy):
    """``URLPattern``."""

    def __init__(self, pattern: Any = None, base: Any = None, options: Any = None) -> None:
        if isinstance(base, JsObject | dict):
            base, options = None, base
        given = _given(pattern, base)
        made = _completed(given, is_pattern=True)
        self._parts = _compiled(made, ignores_case=properties(options).get("ignoreCase") is True)
        for name, part in self._parts.items():
            setattr(self, name, part.pattern)
        self.hasRegExpGroups = any(part.has_expressions for part in self._parts.values())

    def test(self, url: Any = None, base: Any = None) -> bool:
        """Whether ``url`` has this shape."""
        return self._matched(url, base, "test") is not None

    def exec(self, url: Any = None, base: Any = None) -> Any:
        """Return what stands in the places of ``url``, for each of its parts, or null."""
        found = self._matched(url, base, "exec")
        if found is None:
            return jsnull
        return JsObject({"inputs": JsArray([url] if is_nullish(base) else [url, base]), **found})

    def _matched(self, url: Any, base: Any, what: str) -> dict[str, JsObject] | None:
        values = _values(url, base, what)
        if values is None:
            return None
        found: dict[str, JsObject] = {}
        for name, part in self._parts.items():
            match = part.expression.fullmatch(values[name])
            if match is None:
                return None
            groups = {key: match[n + 1] for n, key in enumerate(part.names)}
            found[name] = JsObject({"input": values[name], "groups": JsObject(groups)})
        return found

    def _keys(self) -> list[str]:
        return []


def _given(pattern: Any, base: Any) -> dict[str, str]:
    """Return the parts that a pattern names, and its base, as they are written."""
    if isinstance(pattern, str):
        given = parts_of_text(pattern, _is_special)
        if not is_nullish(base):
            given["baseURL"] = to_text(base)
        elif "protocol" not in given:
            raise refuse()
        return given
    if not is_nullish(base) or not (is_nullish(pattern) or isinstance(pattern, JsProxy | Mapping)):
        raise refuse()
    return {} if is_nullish(pattern) else _texts(pattern)


def _texts(given: Any) -> dict[str, str]:
    named = given if isinstance(given, JsObject | Mapping | None) else {name: getattr(given, name) for name in PARTS}
    wanted = (*PARTS, "baseURL")
    return {name: to_text(value) for name, value in properties(named).items() if name in wanted and value is not None}


def _is_special(protocol: str) -> bool:
    part = compiled(protocol, Rules(), normal.normal_protocol)
    return any(map(part.matches, normal.DEFAULT_PORTS))


def _completed(given: Mapping[str, str], *, is_pattern: bool) -> dict[str, str]:
    """Return the parts that are given, and those of the base before them. Those of a URL are made normal."""
    made: dict[str, str] = {} if is_pattern else dict.fromkeys(PARTS, "")
    of_base: dict[str, str] = {}
    is_opaque = False
    if "baseURL" in given:
        base = URL.Statics.parse(given["baseURL"])
        if base is jsnull:
            raise refuse()
        is_opaque = not base.pathname.startswith("/")
        of_base = _split(base)
        for n, name in enumerate(_ORDER):
            if not any(before in given for before in _ORDER[: n + 1]):
                made[name] = escaped(of_base[name]) if is_pattern else of_base[name]
        if not is_pattern and not any(name in given for name in ("protocol", "hostname", "port", "username")):
            made["username"] = of_base["username"]
            if "password" not in given:
                made["password"] = of_base["password"]
    for name in PARTS:
        if name not in given:
            continue
        value = given[name]
        if name == "protocol":
            value = value.removesuffix(":")
        elif name in ("search", "hash"):
            value = value.removeprefix("?" if name == "search" else "#")
        elif name == "pathname" and of_base and not is_opaque and not _is_absolute(value, is_pattern=is_pattern):
            path = escaped(of_base["pathname"]) if is_pattern else of_base["pathname"]
            value = path[: path.rfind("/") + 1] + value
        made[name] = value if is_pattern else _normal(name, made)(value)
    return made


def _is_absolute(path: str, *, is_pattern: bool) -> bool:
    return path.startswith(("/", "\\/", "{/") if is_pattern else "/")


def _split(url: Any) -> dict[str, str]:
    """Return the parts of a URL."""
    values = {name: getattr(url, name) for name in PARTS}
    values["protocol"] = values["protocol"].removesuffix(":")
    return values | {"search": values["search"].removeprefix("?"), "hash": values["hash"].removeprefix("#")}


def _normal(name: str, made: Mapping[str, str]) -> Callable[[str], str]:
    """Return what writes a part as it stands in URLs; what was ``made`` before says of which kind the URL is."""
    protocol = made.get("protocol", "")
    if name == "port":
        return lambda value: normal.normal_port(value, protocol)
    if name == "pathname" and protocol and protocol not in normal.DEFAULT_PORTS:
        return normal.normal_opaque_path
    return getattr(normal, f"normal_{name}")


def _compiled(made: Mapping[str, str], *, ignores_case: bool) -> dict[str, Part]:
    given = {name: made.get(name, "*") for name in PARTS}
    if given["port"] and normal.DEFAULT_PORTS.get(given["protocol"]) == given["port"]:
        given["port"] = ""
    plain = Rules()
    parts = {
        name: compiled(given[name], plain, getattr(normal, f"normal_{name}"))
        for name in ("protocol", "username", "password", "port")
    }
    is_address = given["hostname"].startswith(("[", "{[", "\\["))
    parts["hostname"] = compiled(
        given["hostname"], Rules("."), normal.normal_address if is_address else normal.normal_hostname
    )
    protocol = parts["protocol"]
    if protocol.pattern == "" or any(map(protocol.matches, normal.DEFAULT_PORTS)):
        parts["pathname"] = compiled(given["pathname"], Rules("/", "/", ignores_case), normal.normal_pathname)
    else:
        parts["pathname"] = compiled(given["pathname"], Rules("", "", ignores_case), normal.normal_opaque_path)
    for name in ("search", "hash"):
        parts[name] = compiled(given[name], Rules("", "", ignores_case), getattr(normal, f"normal_{name}"))
    return {name: parts[name] for name in PARTS}


def _values(url: Any, base: Any, what: str) -> dict[str, str] | None:
    """Return the parts of what is matched, or None for what is no URL."""
    if isinstance(url, JsObject | Mapping | None):
        if not is_nullish(base):
            raise JsTypeError(f"Failed to {what} URLPattern")
        try:
            return _completed(_texts(url), is_pattern=False)
        except JsTypeError:
            return None
    parsed = URL.Statics.parse(to_text(url), base)
    return None if parsed is jsnull else _split(parsed)
