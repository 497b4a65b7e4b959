"""``Reflect``: what JavaScript does with every object, as functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.properties import (
    define,
    delete,
    get,
    has,
    is_extensible,
    own,
    own_keys,
    prevent_extensions,
    prototype_of,
    set_,
    set_prototype,
)
from wrangler_compat.host.model.property import call, is_object, property_of, shown
from wrangler_compat.host.model.proxy import JsProxy, jsnull
from wrangler_compat.host.model.symbol import property_key
from wrangler_compat.host.model.trapped import Trapped

__all__ = ["Reflect"]


class Reflect(JsProxy):
    """``Reflect``. Where ``Object`` has a function of the same name, it raises what this one answers."""

    def apply(self, function: Any, this: Any, args: Any) -> Any:
        """Call ``function``, with ``this`` if it was made to take that."""
        if not callable(function):
            kind = "an object" if is_object(function) else f"a {_kinds.get(type(function), 'symbol')}"
            raise JsTypeError(
                f"Function.prototype.apply was called on {shown(function)}, which is {kind} and not a function"
            )
        given = _listed(args)
        return function._apply(this, given) if isinstance(function, Trapped) else call(function, this, *given)  # pyright: ignore[reportAttributeAccessIssue]

    def construct(self, target: Any, args: Any, new_target: Any = None) -> Any:
        """Make an instance of ``target``."""
        if not callable(target):
            raise JsTypeError(f"{shown(target)} is not a constructor")
        return getattr(target, "new", target)(*_listed(args))

    def defineProperty(self, target: Any, key: Any, description: Any) -> bool:
        """Define a property; return whether that could be done."""
        name = property_key(key)
        return define(_object(target, "defineProperty"), name, property_of(description, own(target, name)))

    def deleteProperty(self, target: Any, key: Any) -> bool:
        """Take a property away; return whether it is gone."""
        return delete(_object(target, "deleteProperty"), property_key(key))

    def get(self, target: Any, key: Any, receiver: Any = None) -> Any:
        """Return the value of a property, or undefined."""
        return get(_object(target, "get"), property_key(key), receiver)

    def getOwnPropertyDescriptor(self, target: Any, key: Any) -> Any:
        """Return what an own property is, or undefined."""
        found = own(_object(target, "getOwnPropertyDescriptor"), property_key(key))
        return None if found is None else found.described()

    def getPrototypeOf(self, target: Any) -> Any:
        """Return what is before it, or null."""
        return prototype_of(_object(target, "getPrototypeOf"))

    def has(self, target: Any, key: Any) -> bool:
        """Whether it has a property, its own or of what is before it."""
        return has(_object(target, "has"), property_key(key))

    def isExtensible(self, target: Any) -> bool:
        """Whether it can get properties."""
        return is_extensible(_object(target, "isExtensible"))

    def ownKeys(self, target: Any) -> JsArray:
        """Return what names its own properties: texts, and then symbols."""
        return JsArray(own_keys(_object(target, "ownKeys")))

    def preventExtensions(self, target: Any) -> bool:
        """Let it get no more properties; return whether that could be done."""
        return prevent_extensions(_object(target, "preventExtensions"))

    def set(self, target: Any, key: Any, value: Any, receiver: Any = None) -> bool:
        """Set a property; return whether that could be done."""
        return set_(_object(target, "set"), property_key(key), value, receiver)

    def setPrototypeOf(self, target: Any, prototype: Any) -> bool:
        """Set what is before it; return whether that could be done."""
        if not is_object(prototype) and prototype is not jsnull:
            raise JsTypeError(f"Object prototype may only be an Object or null: {shown(prototype)}")
        return set_prototype(_object(target, "setPrototypeOf"), prototype)

    def _keys(self) -> list[str]:
        return []


_kinds: Final = {str: "string", bool: "boolean", int: "number", float: "number"}


def _object(target: Any, name: str) -> Any:
    if not is_object(target):
        raise JsTypeError(f"Reflect.{name} called on non-object")
    return target


def _listed(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, Iterable) or isinstance(args, str):
        raise JsTypeError("CreateListFromArrayLike called on non-object")
    return tuple(args)
