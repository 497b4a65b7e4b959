"""URLs, parsed as browsers do (ada)."""

from __future__ import annotations

import functools
from typing import Any

import ada_url

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull
from wrangler_compat.host.web.url_search_params import URLSearchParams

__all__ = ["URL", "normal_url"]


@functools.lru_cache(maxsize=1024)
def normal_url(url: str) -> str:
    """Return ``url`` as it is written after parsing. Raises ``TypeError``."""
    try:
        return URL(url).href
    except JsTypeError:
        raise JsTypeError(f"Invalid URL: {url}") from None


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
        try:
            setattr(self._url, name, to_text(value))
        except ValueError:
            # A part that cannot be so stays as it is.
            if name == "href":
                raise JsTypeError(
                    "Failed to set the 'href' property on 'URL': the provided value is not of type 'valid URL string'."
                ) from None
        if name in ("search", "href") and self._params is not None:
            self._params._restart(self._url.search)

    return property(get, None if name == "origin" else set_)


for _name in (
    *("href", "protocol", "username", "password", "host", "hostname"),
    *("port", "pathname", "search", "hash", "origin"),
):
    setattr(URL, _name, _part(_name))
