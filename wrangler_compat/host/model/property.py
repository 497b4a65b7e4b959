"""One property of an object: what it is, and what ``Object.defineProperty`` is told of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text, truthy
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.proxy import JsNull, JsObject, JsProxy, properties
from wrangler_compat.host.model.symbol import JsSymbol

__all__ = ["Exotic", "Property", "call", "is_object", "property_of", "shown", "value_of"]


@dataclass(slots=True)
class Property:
    """One property: a value, or what gives and takes it."""

    value: Any = None
    get: Any = None
    set: Any = None
    is_computed: bool = False
    writable: bool = True
    enumerable: bool = True
    configurable: bool = True

    def described(self) -> JsObject:
        """Return it as ``Object.getOwnPropertyDescriptor`` does."""
        what = (
            {"get": self.get, "set": self.set} if self.is_computed else {"value": self.value, "writable": self.writable}
        )
        return JsObject({**what, "enumerable": self.enumerable, "configurable": self.configurable})


def property_of(description: Any, before: Property | None) -> Property:
    """Return what ``Object.defineProperty`` is given as ``description``; ``before`` has what that does not say."""
    if not is_object(description):
        raise JsTypeError(f"Property description must be an object: {shown(description)}")
    given = properties(description)
    is_computed = "get" in given or "set" in given
    if is_computed and ("value" in given or "writable" in given):
        raise JsTypeError(
            "Invalid property descriptor. Cannot both specify accessors and a value or writable attribute, #<Object>"
        )
    for name, what in (("get", "Getter"), ("set", "Setter")):
        if given.get(name) is not None and not callable(given[name]):
            raise JsTypeError(f"{what} must be a function: {shown(given[name])}")
    known = before or Property(writable=False, enumerable=False, configurable=False)
    if not is_computed and "value" not in given and "writable" not in given:
        is_computed = known.is_computed
    return Property(
        value=given.get("value", known.value),
        get=given.get("get", known.get) if is_computed else None,
        set=given.get("set", known.set) if is_computed else None,
        is_computed=is_computed,
        writable=not is_computed and truthy(given.get("writable", known.writable)),
        enumerable=truthy(given.get("enumerable", known.enumerable)),
        configurable=truthy(given.get("configurable", known.configurable)),
    )


def is_object(value: Any) -> bool:
    """Whether ``value`` is an object to JavaScript, as Python's own are."""
    return not isinstance(value, str | bool | int | float | JsSymbol | JsNull | None)


def shown(value: Any) -> str:
    """Return how V8 names a value in its errors."""
    if isinstance(value, JsSymbol):
        return value.toString()
    if isinstance(value, JsArray):
        return "[object Array]"
    if isinstance(value, Mapping):
        return "#<Object>"
    return f"#<{value.constructor.name}>" if isinstance(value, JsProxy) else to_text(value)


def call(function: Any, this: Any, *args: Any) -> Any:
    """Call ``function``, with ``this`` before the arguments if it was made to take it."""
    if hasattr(function, "_call_on"):
        return function._call_on(this, *args)
    return call_relaxed(function, *args)


class Exotic(JsProxy):
    """An object that answers for its own properties."""

    @abstractmethod
    def _own(self, key: Any) -> Property | None: ...

    @abstractmethod
    def _define(self, key: Any, made: Property) -> bool: ...

    @abstractmethod
    def _get(self, key: Any, receiver: Any) -> Any: ...

    @abstractmethod
    def _set(self, key: Any, value: Any, receiver: Any) -> bool: ...

    @abstractmethod
    def _has(self, key: Any) -> bool: ...

    @abstractmethod
    def _delete(self, key: Any) -> bool: ...

    @abstractmethod
    def _own_keys(self) -> list[Any]: ...

    @abstractmethod
    def _prototype_of(self) -> Any: ...

    @abstractmethod
    def _set_prototype(self, prototype: Any) -> bool: ...

    @abstractmethod
    def _can_grow(self) -> bool: ...

    @abstractmethod
    def _stop_growing(self) -> bool: ...


def value_of(found: Property, receiver: Any) -> Any:
    """Return the value of a property, as ``receiver`` reads it."""
    if not found.is_computed:
        return found.value
    return call(found.get, receiver) if callable(found.get) else None
