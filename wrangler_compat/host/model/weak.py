"""What refers to objects without holding them.

JavaScript's collector takes them when it likes, Python's as soon as nothing else refers to them. What Python cannot
refer to weakly, such as a dict, is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.property import is_object
from wrangler_compat.host.model.proxy import JsProxy, is_nullish
from wrangler_compat.host.model.symbol import JsSymbol

__all__ = ["JsFinalizationRegistry", "JsWeakMap", "JsWeakRef", "JsWeakSet"]


class _ByObject:
    """Values by objects, which are told by what they are and not by what they are equal to."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Any, Any]] = {}

    def put(self, target: Any, value: Any) -> None:
        """Set the value for ``target``."""
        number = id(target)
        try:
            held = weakref.ref(target, lambda _: self._entries.pop(number, None))
        except TypeError:
            held = _strong(target)
        self._entries[number] = (held, value)

    def find(self, target: Any, otherwise: Any = None) -> Any:
        """Return the value for ``target``."""
        held, value = self._entries.get(id(target), (_nothing, otherwise))
        return value if held() is target else otherwise

    def take(self, target: Any) -> bool:
        """Forget ``target``; return whether it was known."""
        return self.has(target) and self._entries.pop(id(target), None) is not None

    def has(self, target: Any) -> bool:
        """Whether there is a value for ``target``."""
        return self.find(target, _nothing) is not _nothing


def _nothing() -> None:
    return None


def _strong(target: Any) -> Callable[[], Any]:
    return lambda: target


def _can_be_held(value: Any) -> bool:
    return isinstance(value, JsSymbol) or is_object(value)


class JsWeakMap(JsProxy):
    """``WeakMap``: values of objects, as long as those live."""

    def __init__(self, entries: Iterable[Any] | None = None) -> None:
        self._held = _ByObject()
        for key, value in () if is_nullish(entries) else entries or ():
            self.set(key, value)

    def get(self, key: Any) -> Any:
        """Return the value of ``key``, or undefined."""
        return self._held.find(key)

    def set(self, key: Any, value: Any) -> JsWeakMap:
        """Set the value of ``key``."""
        if not _can_be_held(key):
            raise JsTypeError("Invalid value used as weak map key")
        self._held.put(key, value)
        return self

    def has(self, key: Any) -> bool:
        """Whether there is a value of ``key``."""
        return self._held.has(key)

    def delete(self, key: Any) -> bool:
        """Remove ``key``; return whether it was there."""
        return self._held.take(key)

    def getOrInsert(self, key: Any, value: Any) -> Any:
        """Return the value of ``key``, which is ``value`` from now on if there was none."""
        if not self.has(key):
            self.set(key, value)
        return self.get(key)

    def getOrInsertComputed(self, key: Any, make: Callable[..., Any]) -> Any:
        """Return the value of ``key``, which ``make`` makes if there was none."""
        if not self.has(key):
            self.set(key, call_relaxed(make, key))
        return self.get(key)

    def _keys(self) -> list[str]:
        return []


class JsWeakSet(JsProxy):
    """``WeakSet``: objects, as long as they live."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self._held = _ByObject()
        for value in () if is_nullish(values) else values or ():
            self.add(value)

    def add(self, value: Any) -> JsWeakSet:
        """Put ``value`` in."""
        if not _can_be_held(value):
            raise JsTypeError("Invalid value used in weak set")
        self._held.put(value, True)
        return self

    def has(self, value: Any) -> bool:
        """Whether ``value`` is in."""
        return self._held.has(value)

    def delete(self, value: Any) -> bool:
        """Take ``value`` out; return whether it was in."""
        return self._held.take(value)

    def _keys(self) -> list[str]:
        return []


class JsWeakRef(JsProxy):
    """``WeakRef``: an object, as long as it lives."""

    def __init__(self, target: Any = None) -> None:
        if not _can_be_held(target):
            raise JsTypeError("WeakRef: invalid target")
        try:
            self._target: Callable[[], Any] = weakref.ref(target)
        except TypeError:
            self._target = _strong(target)

    def deref(self) -> Any:
        """Return the object, or undefined when it is gone."""
        return self._target()

    def _keys(self) -> list[str]:
        return []


class JsFinalizationRegistry(JsProxy):
    """``FinalizationRegistry``: tells its callback of objects that are gone."""

    def __init__(self, callback: Any = None) -> None:
        if not callable(callback):
            raise JsTypeError("FinalizationRegistry: cleanup must be callable")
        self._callback = callback
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
        self._watches: dict[weakref.finalize[..., Any], Any] = {}

    def register(self, target: Any, held: Any = None, token: Any = None) -> None:
        """Call the callback with ``held`` when ``target`` is gone, unless ``token`` is unregistered before."""
        if not _can_be_held(target):
            raise JsTypeError("Invalid value used in FinalizationRegistry.prototype.register")
        if target is held:
            raise JsTypeError("FinalizationRegistry.prototype.register: target and holdings must not be same")

        def tell() -> None:
            self._watches.pop(watch, None)
            # Never in the middle of other code, nor in another thread: Python's collector may run in either.
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(call_relaxed, self._callback, held)

        try:
            watch = weakref.finalize(target, tell)
        except TypeError:
            return  # It cannot be watched: that the callback comes is promised nowhere.
        watch.atexit = False
        self._watches[watch] = token

    def unregister(self, token: Any) -> bool:
        """Call the callback for nothing that was registered with ``token``; return whether there was something."""
        found = [watch for watch, known in self._watches.items() if known is token]
        for watch in found:
            watch.detach()
            del self._watches[watch]
        return bool(found)

    def _keys(self) -> list[str]:
        return []
