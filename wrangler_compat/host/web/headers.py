"""Headers of requests and responses."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.keyed import Keyed
from wrangler_compat.host.model.proxy import JsObject, is_nullish, jsnull

__all__ = ["Headers", "pairs_of"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIES = "set-cookie"
_WRONG_KIND = "Failed to construct 'Headers': constructor parameter 1 is not of type 'Headers or Sequence or object'."
_WRONG_PAIR = "To initialize a Headers object from a sequence, each inner sequence must have exactly two elements."


def pairs_of(init: Any, wrong_kind: str, wrong_pair: str) -> Iterable[tuple[Any, Any]]:
    """Return the pairs of whatever a constructor takes in place of them. Raises ``TypeError`` in the words given."""
    if is_nullish(init):
        return ()
    if isinstance(init, Mapping):
        return tuple(init.items())
    if isinstance(init, JsObject):
        return tuple(init._props.items())
    if isinstance(init, str) or not hasattr(init, "__iter__"):
        raise JsTypeError(wrong_kind)
    pairs: list[tuple[Any, Any]] = []
    for pair in init:
        if isinstance(pair, str) or not hasattr(pair, "__iter__"):
            raise JsTypeError("Incorrect type: the provided value is not of type 'Sequence'.")
        both = tuple(pair)
        if len(both) != 2:
            raise JsTypeError(wrong_pair)
        pairs.append(both)
    return pairs


@functools.lru_cache(maxsize=1024)
def _lower(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise JsTypeError("Invalid header name.")
    return name.lower()


class Headers(Keyed):
    """``Headers``: in lower case, sorted, several of one name as one; cookies that are set stay apart."""

    def __init__(self, init: Any = None) -> None:
        self._fields: list[tuple[str, str]] = []
        if isinstance(init, Headers):
            self._fields += init._fields
        elif init is not None:
            for name, value in pairs_of(init, _WRONG_KIND, _WRONG_PAIR):
                self._add(name, value)

    @classmethod
    def of(cls, fields: Iterable[tuple[str, str]]) -> Headers:
        """Return the headers that came with a message: they were checked where they came in."""
        headers = cls.__new__(cls)
        headers._fields = [(name.lower(), value) for name, value in fields]
        return headers

    def append(self, name: Any, value: Any) -> None:
        """Add a value."""
        self._add(name, value)

    def _add(self, name: Any, value: Any) -> None:
        text = to_text(value).strip(" \t\r\n")
        if "\n" in text or "\r" in text or "\0" in text:
            raise JsTypeError("Invalid header value.")
        self._fields.append((_lower(name if isinstance(name, str) else to_text(name)), text))

    def _set_default(self, name: str, value: str) -> None:
        """Add what is known to be right, unless there is a value: ``name`` is in lower case."""
        for known, _ in self._fields:
            if known == name:
                return
        self._fields.append((name, value))

    def set(self, name: Any, value: Any) -> None:
        """Set the value, in place of those there are."""
        self.delete(name)
        self.append(name, value)

    def delete(self, name: Any) -> None:
        """Remove every value."""
        wanted = _lower(name if isinstance(name, str) else to_text(name))
        self._fields = [field for field in self._fields if field[0] != wanted]

    def get(self, name: Any) -> Any:
        """Return the values, with commas between, or null."""
        wanted = _lower(name if isinstance(name, str) else to_text(name))
        values = [value for known, value in self._fields if known == wanted]
        return ", ".join(values) if values else jsnull

    def getAll(self, name: Any) -> JsArray:
        """Return the values of ``Set-Cookie``."""
        if _lower(name if isinstance(name, str) else to_text(name)) != _COOKIES:
            raise JsTypeError('getAll() can only be used with the header name "Set-Cookie".')
        return self.getSetCookie()

    def getSetCookie(self) -> JsArray:
        """Return the cookies that are set, one by one."""
        return JsArray(value for name, value in self._fields if name == _COOKIES)

    def has(self, name: Any) -> bool:
        """Whether there is a value."""
        wanted = _lower(name if isinstance(name, str) else to_text(name))
        return any(known == wanted for known, _ in self._fields)

    def _combined(self) -> list[tuple[str, str]]:
        combined: dict[str, list[str]] = {}
        for name, value in self._fields:
            combined.setdefault(name, []).append(value)
        pairs: list[tuple[str, str]] = []
        for name in sorted(combined):
            if name == _COOKIES:
                pairs += ((name, value) for value in combined[name])
            else:
                pairs.append((name, ", ".join(combined[name])))
        return pairs

    def __iter__(self) -> Iterator[JsArray]:
        return (JsArray(pair) for pair in self._combined())

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return iter(self)

    def keys(self) -> Iterator[str]:
        """Iterate over the names."""
        return (name for name, _ in self._combined())

    def values(self) -> Iterator[str]:
        """Iterate over the values."""
        return (value for _, value in self._combined())

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value and name."""
        for name, value in self._combined():
            call_relaxed(fn, value, name, self)

    def _keys(self) -> list[str]:
        return []
