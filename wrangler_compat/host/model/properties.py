"""Properties as JavaScript has them: named by texts or symbols, read-only, hidden, computed, found along prototypes.

Most objects are ``JsObject``s, bags of properties, and cost no more than that. One becomes a ``ShapedObject`` when
somebody asks for what a bag cannot hold: a symbol, a getter, a prototype, to be frozen. Objects of the host, such as
``Headers``, have the properties that they have; only symbols can be added to them.

The functions here are the steps that JavaScript's language does with every object. ``Reflect``, the functions of
``Object`` and ``Proxy`` are made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.property import Exotic, Property, value_of
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy
from wrangler_compat.host.model.symbol import ASYNC_ITERATOR, ITERATOR, TO_STRING_TAG, JsSymbol

__all__ = [
    "define",
    "delete",
    "get",
    "has",
    "is_extensible",
    "own",
    "own_keys",
    "prevent_extensions",
    "prototype_of",
    "set_",
    "set_prototype",
]


def get(target: Any, key: Any, receiver: Any = None) -> Any:
    """Return the value of a property, its own or of what is before it, or undefined."""
    if isinstance(target, Exotic):
        return target._get(key, target if receiver is None else receiver)
    if isinstance(key, JsSymbol):
        return _by_symbol(target, key)
    if isinstance(target, JsArray) and key.isdecimal():
        return target.at(int(key))
    return _attribute(target, key)


def set_(target: Any, key: Any, value: Any, receiver: Any = None) -> bool:
    """Set a property; return whether that could be done."""
    if isinstance(target, Exotic):
        return target._set(key, value, target if receiver is None else receiver)
    if isinstance(key, JsSymbol):
        return define(target, key, Property(value))
    try:
        if isinstance(target, JsArray) and key.isdecimal():
            target._items.extend([None] * (int(key) + 1 - len(target._items)))
            target[int(key)] = value
        else:
            setattr(target, key, value)
    except (AttributeError, JsTypeError):
        return False
    return True


def has(target: Any, key: Any) -> bool:
    """Whether there is a property, its own or of what is before it."""
    if isinstance(target, Exotic):
        return target._has(key)
    return own(target, key) is not None or get(target, key) is not None


def delete(target: Any, key: Any) -> bool:
    """Take a property away; return whether it is gone."""
    if isinstance(target, Exotic):
        return target._delete(key)
    if isinstance(key, JsSymbol):
        _symbols_of(target).pop(key, None)
        return True
    try:
        if isinstance(target, JsArray) and key.isdecimal():
            return set_(target, key, None)
        delattr(target, key)
    except (AttributeError, JsTypeError):
        return own(target, key) is None
    return True


def own_keys(target: Any) -> list[Any]:
    """Return what names the object's own properties: texts, and then symbols."""
    if isinstance(target, Exotic):
        return target._own_keys()
    if not isinstance(target, JsProxy):
        return list(map(to_text, target)) if isinstance(target, Mapping) else list(getattr(target, "__dict__", ()))
    return [*target._keys(), *(["length"] if isinstance(target, JsArray) else []), *_symbols_of(target)]


def own(target: Any, key: Any) -> Property | None:
    """Return an object's own property, or None."""
    if isinstance(target, Exotic):
        return target._own(key)
    if isinstance(key, JsSymbol):
        return _symbols_of(target).get(key)
    if key not in own_keys(target):
        return None
    is_hidden = isinstance(target, JsArray) and key == "length"
    return Property(get(target, key), enumerable=not is_hidden, configurable=not is_hidden)


def define(target: Any, key: Any, made: Property) -> bool:
    """Give an object a property of its own; return whether that could be done."""
    if isinstance(target, Exotic):
        return target._define(key, made)
    is_plain = not made.is_computed and made.writable and made.enumerable and made.configurable
    if not (is_plain and isinstance(key, str)) and (shaped := _shaped(target)) is not None:
        return shaped._define(key, made)
    if isinstance(key, JsSymbol):
        _symbols_of(target)[key] = made
        return True
    return set_(target, key, value_of(made, target))


def prototype_of(target: Any) -> Any:
    """Return the object in which is looked for what ``target`` has not, or null."""
    if isinstance(target, Exotic):
        return target._prototype_of()
    return target.constructor.prototype if isinstance(target, JsProxy) else JsClass.of(JsObject).prototype


def set_prototype(target: Any, prototype: Any) -> bool:
    """Set that object; return whether it could be done."""
    if isinstance(target, Exotic):
        return target._set_prototype(prototype)
    if prototype_of(target) is prototype:
        return True
    shaped = _shaped(target)
    return shaped is not None and shaped._set_prototype(prototype)


def is_extensible(target: Any) -> bool:
    """Whether properties can be added."""
    if isinstance(target, Exotic):
        return target._can_grow()
    return not isinstance(target, JsArray) or not isinstance(target._items, _FixedItems)


def prevent_extensions(target: Any) -> bool:
    """Let no properties be added; return whether that could be done. Objects of the host go on as they were."""
    if isinstance(target, Exotic):
        return target._stop_growing()
    if isinstance(target, JsArray):
        target._items = _FixedItems(target._items)
    shaped = _shaped(target)
    return shaped is None or shaped._stop_growing()


def _attribute(target: Any, key: str) -> Any:
    if isinstance(target, Mapping):
        return target.get(key)
    if key.startswith("_") and not isinstance(target, JsObject):
        return None
    return getattr(target, key, None)


def _symbols_of(target: Any) -> dict[JsSymbol, Property]:
    return vars(target).setdefault("_symbols", {}) if hasattr(target, "__dict__") else {}


def _by_symbol(target: Any, key: JsSymbol) -> Any:
    found = _symbols_of(target).get(key)
    if found is not None:
        return value_of(found, target)
    if key is ITERATOR and hasattr(target, "__iter__"):
        return target.__iter__
    if key is ASYNC_ITERATOR and hasattr(target, "__aiter__"):
        return target.__aiter__
    if key is TO_STRING_TAG and isinstance(target, JsProxy) and not isinstance(target, JsObject | JsArray):
        return target._js_name
    return None


def _shaped(target: Any) -> Exotic | None:
    """Return ``target`` as an object with shape, if it can be one."""
    from wrangler_compat.host.model.shaped import can_be_shaped, shape

    return shape(target) if can_be_shaped(target) else None


class _FixedItems(list[Any]):
    """The items of an array that is frozen."""

    def _refuse_more(self, *_: Any, **__: Any) -> Any:
        raise JsTypeError(f"Cannot add property {len(self)}, object is not extensible")

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise JsTypeError("Cannot assign to read only property '0' of object '[object Array]'")

    def __setitem__(self, index: Any, value: Any) -> None:
        place = index if isinstance(index, int) else 0
        raise JsTypeError(f"Cannot assign to read only property '{place}' of object '[object Array]'")

    append = extend = insert = _refuse_more
    pop = remove = clear = sort = reverse = __delitem__ = _refuse  # pyright: ignore[reportAssignmentType]
