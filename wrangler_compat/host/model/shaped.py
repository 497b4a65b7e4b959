"""Plain objects with more than names and values: what an object becomes when it is frozen, or given a getter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from wrangler_compat.host.model.collections import LiteralMap
from wrangler_compat.host.model.convert import same, truthy
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.properties import delete, get, has, own, set_
from wrangler_compat.host.model.property import Exotic, Property, call, is_object, value_of
from wrangler_compat.host.model.proxy import JsClass, JsObject
from wrangler_compat.host.model.symbol import ITERATOR, TO_STRING_TAG, JsSymbol

__all__ = ["ShapedObject", "can_be_shaped", "shape"]


class ShapedObject(Exotic, JsObject):
    """An object whose properties are more than names and values."""

    __slots__ = ()
    _js_name = "Object"
    _properties: dict[Any, Property]
    _prototype: Any
    _is_extensible: bool

    @property
    def _props(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What plain objects have there: what can be seen of it now."""
        return {
            key: value_of(found, self)
            for key, found in self._properties.items()
            if found.enumerable and not isinstance(key, JsSymbol)
        }

    @property
    def constructor(self) -> Any:
        """The class, with its ``name``."""
        return JsClass.of(JsObject)

    def __getattribute__(self, name: str) -> Any:
        if name[:1] == "_" and name not in object.__getattribute__(self, "_properties"):
            return object.__getattribute__(self, name)
        found = self._find(name)
        return object.__getattribute__(self, name) if found is None else value_of(found, self)

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and (found := self._find(name[:-1])) is not None:
            return value_of(found, self)
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if set_(self, name, value):
            return
        found = self._find(name)
        if found is None:
            raise JsTypeError(f"Cannot add property {name}, object is not extensible")
        if found.is_computed:
            raise JsTypeError(f"Cannot set property {name} of #<Object> which has only a getter")
        raise JsTypeError(f"Cannot assign to read only property '{name}' of object '#<Object>'")

    def __delattr__(self, name: str) -> None:
        if name not in self._properties:
            raise AttributeError(name)
        if not delete(self, name):
            raise JsTypeError(f"Cannot delete property '{name}' of #<Object>")

    def _find(self, key: Any) -> Property | None:
        """Return a property, its own or of what is before it."""
        found = self._properties.get(key)
        if found is None and isinstance(self._prototype, ShapedObject):
            return self._prototype._find(key)
        if found is None and isinstance(self._prototype, JsObject):
            return own(self._prototype, key)
        return found

    def _keys(self) -> list[str]:
        return list(self._props)

    def _own(self, key: Any) -> Property | None:
        return self._properties.get(key)

    def _define(self, key: Any, made: Property) -> bool:
        before = self._properties.get(key)
        if before is None and not self._is_extensible:
            return False
        if before is not None and not before.configurable and not _may_become(before, made):
            return False
        self._properties[key] = made
        if key is ITERATOR:
            object.__setattr__(self, "__class__", _ITERABLE[type(self)])
        return True

    def _get(self, key: Any, receiver: Any) -> Any:
        found = self._find(key)
        if found is not None:
            return value_of(found, receiver)
        if is_object(self._prototype) and not isinstance(self._prototype, JsObject):
            return get(self._prototype, key, receiver)
        return None

    def _set(self, key: Any, value: Any, receiver: Any) -> bool:
        found = self._find(key)
        if found is not None and found.is_computed:
            if not callable(found.set):
                return False
            call(found.set, receiver, value)
            return True
        if found is not None and not found.writable:
            return False
        if receiver is not self:
            return set_(receiver, key, value)
        known = self._properties.get(key)
        if known is None:
            return self._define(key, Property(value))
        known.value = value
        return True

    def _has(self, key: Any) -> bool:
        return key in self._properties or (is_object(self._prototype) and has(self._prototype, key))

    def _delete(self, key: Any) -> bool:
        found = self._properties.get(key)
        if found is not None and not found.configurable:
            return False
        self._properties.pop(key, None)
        return True

    def _own_keys(self) -> list[Any]:
        return sorted(self._properties, key=lambda key: isinstance(key, JsSymbol))

    def _prototype_of(self) -> Any:
        return self._prototype

    def _set_prototype(self, prototype: Any) -> bool:
        if prototype is self._prototype:
            return True
        if not self._is_extensible:
            return False
        before = prototype
        while isinstance(before, ShapedObject):
            if before is self:
                return False
            before = before._prototype
        object.__setattr__(self, "_prototype", prototype)
        return True

    def _can_grow(self) -> bool:
        return self._is_extensible

    def _stop_growing(self) -> bool:
        object.__setattr__(self, "_is_extensible", False)
        return True

    def toString(self) -> str:
        """JavaScript's text for it, which has the name that ``Symbol.toStringTag`` gives."""
        tag = self._get(TO_STRING_TAG, self)
        return f"[object {tag if isinstance(tag, str) else 'Object'}]"


class _ShapedLiteral(ShapedObject, LiteralMap):  # pyright: ignore[reportIncompatibleVariableOverride]
    __slots__ = ()
    _js_name = "Object"


def _iterate(self: ShapedObject) -> Iterator[Any]:
    made = call(self._get(ITERATOR, self), self)
    if hasattr(made, "__next__"):
        return made
    return iter(lambda: _step(made), _END)


_END: Final = object()


def _step(iterator: Any) -> Any:
    step = call(get(iterator, "next"), iterator)
    return _END if truthy(get(step, "done")) else get(step, "value")


_SHAPED: Final[dict[type, type[ShapedObject]]] = {JsObject: ShapedObject, LiteralMap: _ShapedLiteral}
_ITERABLE: Final[dict[type, type[ShapedObject]]] = {
    kind: type(kind.__name__, (kind,), {"__slots__": (), "_js_name": "Object", "__iter__": _iterate})
    for kind in _SHAPED.values()
}
_ITERABLE.update({kind: kind for kind in tuple(_ITERABLE.values())})


def can_be_shaped(target: Any) -> bool:
    """Whether ``target`` is a plain object, and nothing that stands for more."""
    return type(target) in _SHAPED


def shape(target: Any) -> ShapedObject:
    """Let a plain object be one with shape, and return it."""
    made = {key: Property(value) for key, value in target._props.items()}
    object.__setattr__(target, "_props", {})
    object.__setattr__(target, "__class__", _SHAPED[type(target)])
    for name, value in (
        ("_properties", made),
        ("_prototype", JsClass.of(JsObject).prototype),
        ("_is_extensible", True),
    ):
        object.__setattr__(target, name, value)
    return target


def _may_become(before: Property, made: Property) -> bool:
    """Whether a property that is fixed can be defined so: as it is, or less writable."""
    if made.configurable or made.enumerable != before.enumerable or made.is_computed != before.is_computed:
        return False
    if before.is_computed:
        return made.get is before.get and made.set is before.set
    return before.writable or (not made.writable and same(made.value, before.value))
