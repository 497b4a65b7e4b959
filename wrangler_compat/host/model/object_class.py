"""``Object``: what the class itself can do with objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import number, to_text
from wrangler_compat.host.model.date import JsString
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.properties import (
    define,
    get,
    is_extensible,
    own,
    own_keys,
    prevent_extensions,
    prototype_of,
    set_,
    set_prototype,
)
from wrangler_compat.host.model.property import Property, is_object, property_of, shown
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, is_nullish, jsnull
from wrangler_compat.host.model.symbol import JsSymbol, property_key

__all__ = ["ObjectClass", "grouped"]


class _Statics:
    """Object.keys and the like. A dict of Python counts as the object that it stands for."""

    def fromEntries(entries: Any) -> Any:
        """Make an object of pairs."""
        pairs = entries.items() if isinstance(entries, Mapping) else _iterable(entries)
        return JsObject(dict(map(_entry, pairs)))

    def keys(value: Any) -> JsArray:
        """Return an array of names."""
        return JsArray(_names(value))

    def values(value: Any) -> JsArray:
        """Return an array of values."""
        return JsArray(_item(value, name) for name in _names(value))

    def entries(value: Any) -> JsArray:
        """Return an array of pairs."""
        return JsArray(JsArray((name, _item(value, name))) for name in _names(value))

    def assign(target: Any, *sources: Any) -> Any:
        """Copy the properties of ``sources``, which may be dicts, into ``target``."""
        for source in sources:
            if is_nullish(source):
                continue
            for name in _names(source):
                setattr(target, name, _item(source, name))
            for symbol in own_keys(source) if is_object(source) else ():
                if isinstance(symbol, JsSymbol):
                    set_(target, symbol, get(source, symbol))
        return target

    def is_(one: Any, other: Any) -> bool:
        """Whether two values are one: as ``===``, but that NaN is itself and -0 is not 0."""
        if isinstance(one, float) and isinstance(other, float):
            return repr(one) == repr(other)
        if isinstance(one, int | float) and isinstance(other, int | float):
            return (
                isinstance(one, bool) == isinstance(other, bool) and one == other and repr(number(one)) == repr(other)
            )
        return one == other if isinstance(one, str) and isinstance(other, str) else one is other

    def create(prototype: Any, described: Any = None) -> Any:
        """Make an object with ``prototype`` before it, or null, and the properties that ``described`` defines."""
        _check_prototype(prototype)
        made = JsObject()
        set_prototype(made, prototype)
        return made if described is None else _Statics.defineProperties(made, described)

    def defineProperty(target: Any, key: Any, description: Any) -> Any:
        """Define a property; return the object. Raises ``TypeError`` where it cannot be so."""
        _check(target, "defineProperty")
        _define(target, property_key(key), description)
        return target

    def defineProperties(target: Any, described: Any) -> Any:
        """Define a property for each that ``described`` has; return the object."""
        _check(target, "defineProperties")
        for key in own_keys(described):
            _define(target, key, get(described, key))
        return target

    def getOwnPropertyDescriptor(target: Any, key: Any) -> Any:
        """Return what an own property is, as an object, or undefined."""
        found = own(_boxed(target), property_key(key))
        return None if found is None else found.described()

    def getOwnPropertyDescriptors(target: Any) -> JsObject:
        """Return the same for all of them."""
        made = JsObject()
        for key in own_keys(_boxed(target)):
            found = own(target, key)
            if found is not None:
                define(made, key, Property(found.described()))
        return made

    def getOwnPropertyNames(target: Any) -> JsArray:
        """Return the names of its own properties, hidden ones too."""
        return JsArray(key for key in own_keys(_boxed(target)) if not isinstance(key, JsSymbol))

    def getOwnPropertySymbols(target: Any) -> JsArray:
        """Return the symbols that name its own properties."""
        return JsArray(key for key in own_keys(_boxed(target)) if isinstance(key, JsSymbol))

    def hasOwn(target: Any, key: Any) -> bool:
        """Whether it has a property of its own."""
        return own(_boxed(target), property_key(key)) is not None

    def getPrototypeOf(target: Any) -> Any:
        """Return what is before it, or null."""
        return prototype_of(_boxed(target))

    def setPrototypeOf(target: Any, prototype: Any) -> Any:
        """Set what is before it; return the object."""
        _check_prototype(prototype)
        if is_object(target) and not set_prototype(target, prototype):
            what = "Cyclic __proto__ value" if is_extensible(target) else f"{shown(target)} is not extensible"
            raise JsTypeError(what)
        return target

    def preventExtensions(target: Any) -> Any:
        """Let it get no more properties; return it."""
        if is_object(target) and not prevent_extensions(target):
            raise JsTypeError("'preventExtensions' on proxy: trap returned falsish")
        return target

    def seal(target: Any) -> Any:
        """Let it neither get properties nor lose them; return it."""
        return _fixed(target, writable=True)

    def freeze(target: Any) -> Any:
        """Let its properties be as they are; return it."""
        return _fixed(target, writable=False)

    def isExtensible(target: Any) -> bool:
        """Whether it can get properties."""
        return is_object(target) and is_extensible(target)

    def isSealed(target: Any) -> bool:
        """Whether it is sealed."""
        return _is_fixed(target, lambda found: True)

    def isFrozen(target: Any) -> bool:
        """Whether it is frozen."""
        return _is_fixed(target, lambda found: found.is_computed or not found.writable)

    def groupBy(values: Any, group: Callable[..., Any]) -> JsObject:
        """Return an object with the values of each group, which ``group`` names."""
        made = grouped(values, group, property_key)
        grouped_by_text = JsObject({key: items for key, items in made.items() if not isinstance(key, JsSymbol)})
        set_prototype(grouped_by_text, jsnull)
        return grouped_by_text


class ObjectClass(JsClass):
    """``Object`` itself."""

    _js_name: ClassVar[str] = "Function"

    def __init__(self) -> None:
        super().__init__(JsObject, _Statics)
        JsClass._classes[JsObject] = self


def grouped(values: Any, group: Callable[..., Any], key_of: Callable[[Any], Any]) -> dict[Any, JsArray]:
    """Return the values by what ``group`` says of each."""
    made: dict[Any, JsArray] = {}
    for n, value in enumerate(_iterable(values)):
        made.setdefault(key_of(call_relaxed(group, value, n)), JsArray()).append(value)
    return made


def _iterable(values: Any) -> Iterable[Any]:
    if is_nullish(values) or not hasattr(values, "__iter__"):
        named = "" if is_nullish(values) or is_object(values) else "number "
        raise JsTypeError(f"{named}{shown(values)} is not iterable (cannot read property Symbol(Symbol.iterator))")
    return values


def _entry(entry: Any) -> tuple[str, Any]:
    if not is_object(entry):
        raise JsTypeError(f"Iterator value {shown(entry)} is not an entry object")
    key, value = entry
    return to_text(key), value


def _boxed(value: Any) -> Any:
    if is_nullish(value):
        raise JsTypeError("Cannot convert undefined or null to object")
    return value


def _names(value: Any) -> list[str]:
    if isinstance(_boxed(value), str | JsString):
        return [str(n) for n in range(len(to_text(value)))]
    if not is_object(value):
        return []
    if isinstance(value, Mapping):
        return list(map(to_text, value))
    if isinstance(value, list | tuple):
        return [str(n) for n in range(len(value))]
    return list(value.object_keys()) if isinstance(value, JsProxy) else []


def _item(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return next(item for key, item in value.items() if to_text(key) == name)
    if isinstance(value, str | JsString | list | tuple):
        return (to_text(value) if isinstance(value, JsString) else value)[int(name)]
    return get(value, name)


def _check(target: Any, name: str) -> None:
    if not is_object(target):
        raise JsTypeError(f"Object.{name} called on non-object")


def _check_prototype(prototype: Any) -> None:
    if not is_object(prototype) and prototype is not jsnull:
        raise JsTypeError(f"Object prototype may only be an Object or null: {shown(prototype)}")


def _define(target: Any, key: Any, description: Any) -> None:
    before = own(target, key)
    if define(target, key, property_of(description, before)):
        return
    named = shown(key)
    if getattr(target, "_is_trapped", False):
        raise JsTypeError(f"'defineProperty' on proxy: trap returned falsish for property '{named}'")
    if before is None:
        raise JsTypeError(f"Cannot define property {named}, object is not extensible")
    raise JsTypeError(f"Cannot redefine property: {named}")


def _fixed(target: Any, *, writable: bool) -> Any:
    if not is_object(target):
        return target
    _Statics.preventExtensions(target)
    for key in own_keys(target) if isinstance(target, JsObject) else ():
        found = own(target, key)
        if found is not None:
            found.configurable = False
            found.writable = found.writable and writable
    return target


def _is_fixed(target: Any, fits: Callable[[Property], bool]) -> bool:
    if not is_object(target):
        return True
    if isinstance(target, JsArray):
        return not is_extensible(target)
    found = (own(target, key) for key in own_keys(target))
    return not is_extensible(target) and all(one is None or (not one.configurable and fits(one)) for one in found)
