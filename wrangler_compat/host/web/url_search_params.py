"""``URLSearchParams``: what stands behind the question mark, as pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote_plus, unquote_to_bytes

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text, utf8
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.keyed import Keyed
from wrangler_compat.host.model.proxy import is_nullish, jsnull
from wrangler_compat.host.web.headers import pairs_of

__all__ = ["URLSearchParams"]

_WRONG_PAIR: Final = "Invalid URL search params sequence."


class URLSearchParams(Keyed):
    """``URLSearchParams``. Those of a ``URL`` change with it."""

    def __init__(self, init: Any = "") -> None:
        self._changed: Callable[[str], None] | None = None
        if isinstance(init, str | bool | int | float):
            self._pairs = _parsed(to_text(init))
        else:
            pairs = () if is_nullish(init) else pairs_of(init, "", _WRONG_PAIR)
            self._pairs = [(_text(name), _text(value)) for name, value in pairs]

    def _restart(self, text: str) -> None:
        """Take what the URL says now."""
        self._pairs = _parsed(text)

    def _note(self) -> None:
        if self._changed is not None:
            self._changed(self.toString())

    def append(self, name: Any, value: Any) -> None:
        """Add a value."""
        self._pairs.append((_text(name), _text(value)))
        self._note()

    def delete(self, name: Any, value: Any = None) -> None:
        """Remove every value, or one."""
        self._pairs = [pair for pair in self._pairs if not _is(pair, name, value)]
        self._note()

    def set(self, name: Any, value: Any) -> None:
        """Set the value, in place of those there are."""
        name = _text(name)
        at = next((n for n, (known, _) in enumerate(self._pairs) if known == name), len(self._pairs))
        self._pairs = [pair for pair in self._pairs if pair[0] != name]
        self._pairs.insert(at, (name, _text(value)))
        self._note()

    def get(self, name: Any) -> Any:
        """Return the first value, or null."""
        name = _text(name)
        return next((value for known, value in self._pairs if known == name), jsnull)

    def getAll(self, name: Any) -> JsArray:
        """Return every value."""
        name = _text(name)
        return JsArray(value for known, value in self._pairs if known == name)

    def has(self, name: Any, value: Any = None) -> bool:
        """Whether there is a value."""
        return any(_is(pair, name, value) for pair in self._pairs)

    def sort(self) -> None:
        """Sort by name."""
        self._pairs.sort(key=lambda pair: pair[0].encode("utf-16-be"))
        self._note()

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[JsArray]:
        return (JsArray(pair) for pair in tuple(self._pairs))

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return iter(self)

    def keys(self) -> Iterator[str]:
        """Iterate over the names."""
        return (name for name, _ in tuple(self._pairs))

    def values(self) -> Iterator[str]:
        """Iterate over the values."""
        return (value for _, value in tuple(self._pairs))

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value and name."""
        for name, value in tuple(self._pairs):
            call_relaxed(fn, value, name, self)

    def toString(self) -> str:
        """As it stands in a URL."""
        return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in self._pairs)

    def _keys(self) -> list[str]:
        return []


def _text(value: Any) -> str:
    return utf8(to_text(value)).decode()


def _is(pair: tuple[str, str], name: Any, value: Any) -> bool:
    return pair[0] == _text(name) and (value is None or pair[1] == _text(value))


def _parsed(text: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in _text(text).removeprefix("?").split("&") if part)
    return [(_unquoted(name), _unquoted(value)) for name, _, value in parts]


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _quoted(text: str) -> str:
    return quote_plus(text, safe="*-._").replace("~", "%7E")
