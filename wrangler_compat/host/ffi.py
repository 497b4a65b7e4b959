"""``pyodide.ffi``: where Python's values and JavaScript's meet."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import Buffer, JsArrayBuffer, TypedArray, Uint8Array
from wrangler_compat.host.model.collections import JsMap
from wrangler_compat.host.model.convert import ConversionError, to_js
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsNull, JsObject, JsProxy, jsnull, python
from wrangler_compat.host.run_sync import can_run_sync, run_sync

__all__ = ["PyProxy", "create_once_callable", "create_proxy", "destroy_proxies", "module"]

_USED = "Object has already been destroyed"


class PyProxy(JsProxy):
    """JavaScript's handle on an object of Python, until ``destroy()``."""

    _js_name = "PyProxy"

    def __init__(self, obj: Any, *, is_once: bool = False, captures_this: bool = False) -> None:
        self._obj, self._is_once, self._is_destroyed = obj, is_once, False
        self._captures_this = captures_this

    def _alive(self) -> Any:
        if self._is_destroyed:
            raise JsException(_USED)
        return self._obj

    @property
    def type(self) -> str:
        """The name of the Python class."""
        return type(self._alive()).__name__

    @python
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._call_on(None, *args, **keywords)

    def _call_on(self, this: Any, *args: Any, **keywords: Any) -> Any:
        """Call the function as a method of ``this``, which it is given if it was made to take that."""
        function = self._alive()
        if self._captures_this:
            args = (this, *args)
        if self._is_once:
            self._is_destroyed = True
        return call_relaxed(function, *args, **keywords) if callable(function) else function(*args, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._alive(), name)

    @python
    def getBuffer(self, kind: str | None = None) -> JsObject:
        """Return ``{data, release}``: a view of a buffer's memory."""
        data = memoryview(self._alive())
        return JsObject({"data": Uint8Array(JsArrayBuffer(data.tobytes())), "release": lambda: None})

    @python
    def destroy(self) -> None:
        """Let go of the object. A use after this raises."""
        self._is_destroyed = True

    @python
    def unwrap(self) -> Any:
        """Return the object."""
        return self._alive()

    @python
    def copy(self) -> PyProxy:
        """Return another handle."""
        return PyProxy(self._alive())

    @python
    def toJs(self, **options: Any) -> Any:
        """Return a JavaScript value for the object."""
        return to_js(self._alive(), **options)

    @python
    def to_py(self, **_: Any) -> Any:
        """Return the object."""
        return self._alive()

    def toString(self) -> str:
        """The object's text."""
        return str(self._obj)


def create_proxy(obj: Any, /, *, capture_this: bool = False, roundtrip: bool = True) -> PyProxy:
    """Return a handle on ``obj`` that lives until its ``destroy()``.

    A function that has ``capture_this`` is given what it is called on, before its arguments.
    """
    return PyProxy(obj, captures_this=capture_this)


def create_once_callable(function: Callable[..., Any], /) -> PyProxy:
    """Return a handle on ``function`` that can be called once."""
    return PyProxy(function, is_once=True)


def destroy_proxies(proxies: Iterable[Any], /) -> None:
    """Destroy each handle."""
    for proxy in proxies:
        if isinstance(proxy, PyProxy):
            proxy.destroy()


class _Shape(type):
    """Classes of which something is an instance by what it can do."""

    def __instancecheck__(cls, value: object) -> bool:
        fits: Callable[[Any], bool] = cls.__dict__["fits"]
        return isinstance(value, JsProxy) and fits(value)


def _shape(name: str, fits: Callable[[Any], bool]) -> type:
    return _Shape(name, (), {"fits": staticmethod(fits), "__doc__": f"``{name}``."})


def module(register: Callable[[str, Any], None], unregister: Callable[[str], None]) -> types.ModuleType:
    """Return the module ``pyodide.ffi``."""
    made = types.ModuleType("pyodide.ffi")
    vars(made).update(
        JsProxy=JsProxy,
        JsException=JsException,
        JsNull=JsNull,
        jsnull=jsnull,
        JsArray=JsArray,
        JsMap=JsMap,
        JsMutableMap=JsMap,
        JsBuffer=Buffer,
        JsTypedArray=TypedArray,
        JsPromise=JsPromise,
        JsDoubleProxy=PyProxy,
        JsOnceCallable=PyProxy,
        JsCallable=_shape("JsCallable", callable),
        JsIterable=_shape("JsIterable", lambda value: hasattr(value, "__iter__")),
        JsIterator=_shape("JsIterator", lambda value: hasattr(value, "__next__")),
        JsAsyncIterable=_shape("JsAsyncIterable", lambda value: hasattr(value, "__aiter__")),
        JsAsyncIterator=_shape("JsAsyncIterator", lambda value: hasattr(value, "__anext__")),
        JsGenerator=_shape("JsGenerator", lambda value: hasattr(value, "send")),
        JsAsyncGenerator=_shape("JsAsyncGenerator", lambda value: hasattr(value, "asend")),
        JsFetchResponse=_shape("JsFetchResponse", lambda value: value.constructor.name == "Response"),
        JsWeakRef=_shape("JsWeakRef", lambda value: value.constructor.name == "WeakRef"),
        JsDomElement=_shape("JsDomElement", lambda value: False),
        ConversionError=ConversionError,
        ToJsConverter=Callable,
        to_js=to_js,
        create_proxy=create_proxy,
        create_once_callable=create_once_callable,
        destroy_proxies=destroy_proxies,
        run_sync=run_sync,
        can_run_sync=can_run_sync,
        register_js_module=register,
        unregister_js_module=unregister,
        IN_BROWSER=True,
        IN_PYODIDE=True,
    )
    return made
