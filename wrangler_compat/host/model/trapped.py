"""``Proxy``: an object before another one, whose handler may answer in that one's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import same, truthy
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
from wrangler_compat.host.model.property import Exotic, Property, call, is_object, property_of, shown
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, is_nullish, jsnull, python
from wrangler_compat.host.model.symbol import JsSymbol

__all__ = ["ProxyClass", "Trapped"]

_PYTHONS = frozenset(
    {"as_object_map", "js_id", "object_entries", "object_keys", "object_values", "to_py", "typeof", "new"}
)
"""What Python's side of every object has; all other names are asked of the handler."""


class Trapped(Exotic):
    """An instance of ``Proxy``."""

    _js_name = "Proxy"
    _is_trapped = True
    _target: Any
    _handler: Any

    def __init__(self, target: Any, handler: Any) -> None:
        if not is_object(target) or not is_object(handler):
            raise JsTypeError("Cannot create proxy with a non-object as target or handler")
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_handler", handler)

    # Python's ways

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name in _PYTHONS:
            return object.__getattribute__(self, name)
        value = self._get(name, self)
        if value is not None or self._has(name):
            return value
        if name == "toString":
            return lambda: "[object Object]"
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not self._set(name, value, self):
            raise JsTypeError(f"'set' on proxy: trap returned falsish for property '{name}'")

    def __delattr__(self, name: str) -> None:
        if not self._delete(name):
            raise JsTypeError(f"'deleteProperty' on proxy: trap returned falsish for property '{name}'")

    def __contains__(self, key: Any) -> bool:
        return key in self._target

    def _keys(self) -> list[str]:
        keys = [key for key in self._own_keys() if not isinstance(key, JsSymbol)]
        return [key for key in keys if (found := self._own(key)) is not None and found.enumerable]

    @python
    def to_py(self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None) -> Any:
        """Return what its properties are, as they would be of a plain object."""
        plain = JsObject({key: self._get(key, self) for key in self._keys()})
        return plain.to_py(depth=depth, default_converter=default_converter)

    # JavaScript's

    def _trap(self, name: str) -> Any:
        if self._handler is None:
            raise JsTypeError(f"Cannot perform '{name}' on a proxy that has been revoked")
        trap = get(self._handler, name)
        if is_nullish(trap):
            return None
        if not callable(trap):
            raise JsTypeError(
                f"'{shown(trap)}' returned for property '{name}' of object '{shown(self._handler)}' is not a function"
            )
        return lambda *args: call(trap, self._handler, self._target, *args)

    def _get(self, key: Any, receiver: Any) -> Any:
        trap = self._trap("get")
        if trap is None:
            return get(self._target, key, receiver)
        value = trap(key, receiver)
        found = own(self._target, key)
        is_fixed = found is not None and not found.configurable and not found.writable and not found.is_computed
        if found is not None and is_fixed and not same(value, found.value):
            raise JsTypeError(
                f"'get' on proxy: property '{shown(key)}' is a read-only and non-configurable data property on the "
                f"proxy target but the proxy did not return its actual value (expected '{shown(found.value)}' but "
                f"got '{shown(value)}')"
            )
        return value

    def _set(self, key: Any, value: Any, receiver: Any) -> bool:
        trap = self._trap("set")
        if trap is not None:
            return truthy(trap(key, value, receiver))
        return set_(self._target, key, value, self._target if receiver is self else receiver)

    def _has(self, key: Any) -> bool:
        trap = self._trap("has")
        if trap is None:
            return has(self._target, key)
        answer = truthy(trap(key))
        found = None if answer else own(self._target, key)
        if found is not None and not found.configurable:
            raise JsTypeError(
                f"'has' on proxy: trap returned falsish for property '{shown(key)}' which exists in the proxy target "
                "as non-configurable"
            )
        return answer

    def _delete(self, key: Any) -> bool:
        trap = self._trap("deleteProperty")
        return delete(self._target, key) if trap is None else truthy(trap(key))

    def _own_keys(self) -> list[Any]:
        trap = self._trap("ownKeys")
        if trap is None:
            return own_keys(self._target)
        answer = trap()
        if not isinstance(answer, JsArray | list | tuple):
            raise JsTypeError("CreateListFromArrayLike called on non-object")
        keys = list(answer)
        for key in keys:
            if not isinstance(key, str | JsSymbol):
                raise JsTypeError(f"{shown(key)} is not a valid property name")
        if len(set(keys)) < len(keys):
            raise JsTypeError("'ownKeys' on proxy: trap returned duplicate entries")
        return keys

    def _own(self, key: Any) -> Property | None:
        trap = self._trap("getOwnPropertyDescriptor")
        if trap is None:
            return own(self._target, key)
        answer = trap(key)
        return None if answer is None else property_of(answer, None)

    def _define(self, key: Any, made: Property) -> bool:
        trap = self._trap("defineProperty")
        return define(self._target, key, made) if trap is None else truthy(trap(key, made.described()))

    def _prototype_of(self) -> Any:
        trap = self._trap("getPrototypeOf")
        if trap is None:
            return prototype_of(self._target)
        answer = trap()
        if not is_object(answer) and answer is not jsnull:
            raise JsTypeError("'getPrototypeOf' on proxy: trap returned neither object nor null")
        return answer

    def _set_prototype(self, prototype: Any) -> bool:
        trap = self._trap("setPrototypeOf")
        return set_prototype(self._target, prototype) if trap is None else truthy(trap(prototype))

    def _can_grow(self) -> bool:
        trap = self._trap("isExtensible")
        return is_extensible(self._target) if trap is None else truthy(trap())

    def _stop_growing(self) -> bool:
        trap = self._trap("preventExtensions")
        return prevent_extensions(self._target) if trap is None else truthy(trap())


class _TrappedList(Trapped):
    """One before something that can be iterated."""

    _js_name = "Proxy"

    def __iter__(self) -> Iterator[Any]:
        return iter(self._target)

    def __len__(self) -> int:
        return self._get("length", self) if isinstance(self._target, JsArray) else len(self._target)

    def __getitem__(self, index: Any) -> Any:
        return self._get(str(index), self) if isinstance(index, int) and index >= 0 else self._target[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(index), value)


class _TrappedFunction(Trapped):
    """One before a function or class."""

    _js_name = "Proxy"

    @python
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._apply(None, (*args, JsObject(keywords)) if keywords else args)

    def _apply(self, this: Any, args: tuple[Any, ...]) -> Any:
        trap = self._trap("apply")
        return call(self._target, this, *args) if trap is None else trap(this, JsArray(args))

    @python
    def new(self, *args: Any, **keywords: Any) -> Any:
        """Make an instance, as ``new`` does."""
        return self._construct((*args, JsObject(keywords)) if keywords else args, self)

    def _construct(self, args: tuple[Any, ...], new_target: Any) -> Any:
        trap = self._trap("construct")
        if trap is None:
            return getattr(self._target, "new", self._target)(*args)
        made = trap(JsArray(args), new_target)
        if not is_object(made):
            raise JsTypeError(f"'construct' on proxy: trap returned non-object ('{shown(made)}')")
        return made


def _trapped(target: Any, handler: Any) -> Trapped:
    if callable(target):
        return _TrappedFunction(target, handler)
    if hasattr(target, "__iter__") and not isinstance(target, dict):
        return _TrappedList(target, handler)
    return Trapped(target, handler)


class ProxyClass(JsProxy):
    """``Proxy`` itself. It has no instances that could be told from their targets."""

    _js_name = "Function"
    name = "Proxy"

    @python
    def __call__(self, *_: Any) -> None:
        raise JsTypeError("Constructor Proxy requires 'new'")

    def new(self, target: Any, handler: Any) -> Trapped:
        """Return an object before ``target``. ``handler`` has functions, or methods, named as JavaScript's traps."""
        return _trapped(target, handler)

    def revocable(self, target: Any, handler: Any) -> JsObject:
        """Return one as ``proxy``, and what ends it as ``revoke``."""
        made = _trapped(target, handler)

        def revoke() -> None:
            object.__setattr__(made, "_handler", None)

        return JsObject({"proxy": made, "revoke": revoke})

    @property
    def constructor(self) -> JsClass:
        """The class of functions."""
        return JsClass.of(JsClass)
