"""Symbols: values that are like nothing but themselves, and name properties that no text can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsClass, JsProxy, python

__all__ = ["ASYNC_ITERATOR", "ITERATOR", "TO_STRING_TAG", "WELL_KNOWN", "JsSymbol", "SymbolClass", "property_key"]


class JsSymbol(JsProxy):
    """``Symbol``: made by a call, never by ``new``."""

    _js_name = "Symbol"
    _registry: ClassVar[dict[str, JsSymbol]] = {}

    class Statics(JsProxy.Statics):
        """Symbol.for and Symbol.keyFor."""

        def for_(key: Any = None) -> JsSymbol:
            """Return the symbol that every caller gets for ``key``."""
            name = to_text(key)
            known = JsSymbol._registry.get(name)
            if known is None:
                known = JsSymbol._registry[name] = JsSymbol(name)
            return known

        def keyFor(symbol: Any = None) -> Any:
            """Return what ``Symbol.for`` was asked for, or undefined for a symbol that is not from there."""
            if not isinstance(symbol, JsSymbol):
                raise JsTypeError(f"{to_text(symbol)} is not a symbol")
            name = symbol.description
            return name if JsSymbol._registry.get(name) is symbol else None

    def __init__(self, description: Any = None) -> None:
        self._description = None if description is None else to_text(description)

    @property
    def description(self) -> Any:
        """What it was made with, or undefined."""
        return self._description

    @property
    def typeof(self) -> str:
        """What JavaScript's operator says."""
        return "symbol"

    def toString(self) -> str:
        """Its description, as text."""
        return f"Symbol({self._description or ''})"

    def _keys(self) -> list[str]:
        return []


WELL_KNOWN: Final[Mapping[str, JsSymbol]] = {
    name: JsSymbol(f"Symbol.{name}")
    for name in (
        *("asyncIterator", "hasInstance", "isConcatSpreadable", "iterator", "match", "matchAll", "replace", "search"),
        *("species", "split", "toPrimitive", "toStringTag", "unscopables", "dispose", "asyncDispose"),
    )
}
"""The symbols by which JavaScript asks objects what they can do."""

ITERATOR: Final = WELL_KNOWN["iterator"]
ASYNC_ITERATOR: Final = WELL_KNOWN["asyncIterator"]
TO_STRING_TAG: Final = WELL_KNOWN["toStringTag"]


class SymbolClass(JsClass):
    """``Symbol`` itself, which cannot be called with ``new``."""

    def __init__(self) -> None:
        super().__init__(JsSymbol)
        self.new = _no_constructor
        vars(self).update(WELL_KNOWN)

    @python
    def __call__(self, description: Any = None) -> JsSymbol:
        return JsSymbol(description)


def _no_constructor(*_: Any) -> None:
    raise JsTypeError("Symbol is not a constructor")


def property_key(key: Any) -> Any:
    """Return what names a property: a symbol, or the text of anything else."""
    return key if isinstance(key, JsSymbol) else to_text(key)
