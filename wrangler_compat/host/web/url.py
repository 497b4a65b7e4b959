"""URLs, parsed as browsers do (ada)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import ada_url

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.keyed import Keyed
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull
from wrangler_compat.host.web.headers import pairs_of

__all__ = ["URL", "URLSearchParams", "normal_url"]


@functools.lru_cache(maxsize=1024)
def normal_url(url: str) -> str:
    """Return ``url`` as it is written after parsing. Raises ``TypeError``."""
    try:
        return URL(url).href
    except JsTypeError:
        raise JsTypeError(f"Invalid URL: {url}") from None


class URLSearchParams(Keyed):
    """``URLSearchParams``."""

    def __init__(self, init: Any = "") -> None:
        self._changed: Callable[[str], None] | None = None
        if isinstance(init, str):
            self._params = ada_url.URLSearchParams(init.removeprefix("?"))
        else:
            self._params = ada_url.URLSearchParams("")
            for name, value in () if is_nullish(init) else pairs_of(init):
                self._params.append(to_text(name), to_text(value))

    def _note(self) -> None:
        if self._changed is not None:
            self._changed(str(self._params))

    def append(self, name: Any, value: Any) -> None:
        """Add a value."""
        self._params.append(to_text(name), to_text(value))
        self._note()

    def delete(self, name: Any, value: Any = None) -> None:
        """Remove every value, or one."""
        self._params.delete(to_text(name), *(() if value is None else (to_text(value),)))
        self._note()

    def set(self, name: Any, value: Any) -> None:
        """Set the value, in place of those there are."""
        self._params.set(to_text(name), to_text(value))
        self._note()

    def get(self, name: Any) -> Any:
        """Return the first value, or null."""
        name = to_text(name)
        return self._params.get(name) if self._params.has(name) else jsnull

    def getAll(self, name: Any) -> JsArray:
        """Return every value."""
        return JsArray(self._params.get_all(to_text(name)))

    def has(self, name: Any, value: Any = None) -> bool:
        """Whether there is a value."""
        return self._params.has(to_text(name), *(() if value is None else (to_text(value),)))

    def sort(self) -> None:
        """Sort by name."""
        self._params.sort()
        self._note()

    @property
    def size(self) -> int:
        """How many there are."""
        return self._params.size

    def __len__(self) -> int:
        return self._params.size

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[JsArray]:
        return (JsArray(pair) for pair in tuple(self._params.items()))

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return iter(self)

    def keys(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(tuple(self._params.keys()))

    def values(self) -> Iterator[str]:
        """Iterate over the values."""
        return iter(tuple(self._params.values()))

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value and name."""
        for name, value in tuple(self._params.items()):
            call_relaxed(fn, value, name, self)

    def toString(self) -> str:
        """As it stands in a URL."""
        return str(self._params)

    def _keys(self) -> list[str]:
        return []


class URL(JsProxy):
    """``URL``."""

    class Statics(JsProxy.Statics):
        """URL.canParse and URL.parse."""

        def canParse(url: Any = None, base: Any = None) -> bool:
            """Whether ``url`` is one."""
            return ada_url.URL.can_parse(to_text(url), *(() if is_nullish(base) else (to_text(base),)))

        def parse(url: Any = None, base: Any = None) -> Any:
            """Return the URL, or null."""
            return URL(url, base) if URL.Statics.canParse(url, base) else jsnull

    def __init__(self, url: Any = None, base: Any = None) -> None:
        try:
            self._url = ada_url.URL(to_text(url), *(() if is_nullish(base) else (to_text(base),)))
        except ValueError:
            raise JsTypeError("Invalid URL string.") from None
        self._params: URLSearchParams | None = None

    @property
    def searchParams(self) -> URLSearchParams:
        """The query, which changes with the URL."""
        if self._params is None:
            self._params = URLSearchParams(self._url.search)
            self._params._changed = self._set_search
        return self._params

    def _set_search(self, text: str) -> None:
        self._url.search = text

    def toString(self) -> str:
        """The whole."""
        return self._url.href

    def toJSON(self) -> str:
        """The whole."""
        return self._url.href

    def _keys(self) -> list[str]:
        return []


def _part(name: str) -> property:
    def get(self: URL) -> Any:
        return getattr(self._url, name)

    def set_(self: URL, value: Any) -> None:
        setattr(self._url, name, to_text(value))
        if name in ("search", "href"):
            self._params = None

    return property(get, None if name == "origin" else set_)


for _name in (
    *("href", "protocol", "username", "password", "host", "hostname"),
    *("port", "pathname", "search", "hash", "origin"),
):
    setattr(URL, _name, _part(_name))
