"""Objects as JavaScript has them: what every value is that Python code of a worker gets from the platform.

No JavaScript runs. A ``JsProxy`` behaves as Pyodide's proxy of such an object would: properties are attributes, classes
are called with ``.new``, ``constructor.name`` says what it is, and keywords of a call arrive as one trailing object.

A class of the host derives from ``JsProxy`` and writes its methods plainly. What a method must know of JavaScript is
done here, once, when the class is made: arguments that are missing are ``undefined`` (None), those too many are
dropped, and what a coroutine function returns is a promise.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

__all__ = [
    "JsClass",
    "JsNull",
    "JsObject",
    "JsPrototype",
    "JsProxy",
    "is_nullish",
    "js_function",
    "jsnull",
    "properties",
    "python",
]

_ids = itertools.count(1)


class JsNull:
    """The type of ``jsnull``."""

    _instance: ClassVar[JsNull | None] = None

    def __new__(cls) -> JsNull:
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cls._instance

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "jsnull"

    def to_py(self, **_: Any) -> JsNull:
        """Return itself, as every host value can be asked."""
        return self


jsnull: Final = JsNull()
"""JavaScript's null. None is undefined."""


def is_nullish(value: object) -> bool:
    """Whether ``value`` is null or undefined."""
    return value is None or value is jsnull


def python(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method that is Python's own: its arguments are taken as they come."""
    function._is_python = True  # pyright: ignore[reportFunctionMemberAccess]
    return function


def js_function(function: Callable[..., Any], *, has_self: bool = False) -> Callable[..., Any]:
    """Return ``function`` as JavaScript calls it."""
    parameters = list(inspect.signature(function).parameters.values())[has_self:]
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    room = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    required = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
    returns_promise = inspect.iscoroutinefunction(function)

    def shaped(args: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
        if keywords:
            args = (*args, JsObject(keywords))
        if len(args) < required:
            return (*args, *(None,) * (required - len(args)))
        return args if takes_rest else args[:room]

    most = sys.maxsize if takes_rest else room

    @functools.wraps(function)
    def method(self: Any, /, *args: Any, **keywords: Any) -> Any:
        if keywords or not required <= len(args) <= most:
            args = shaped(args, keywords)
        result = function(self, *args)
        return _promise(result) if returns_promise else result

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if keywords or not required <= len(args) <= most:
            args = shaped(args, keywords)
        result = function(*args)
        return _promise(result) if returns_promise else result

    return method if has_self else call


def _iterating(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def iterate(self: Any, /, *args: Any, **keywords: Any) -> Any:
        from wrangler_compat.host.model.iterator import JsIterator

        values = method(self, *args, **keywords)
        return JsIterator(values) if isinstance(values, Iterator) else values

    return iterate


def _promise(coroutine: Any) -> Any:
    from wrangler_compat.host.model.promise import JsPromise

    return JsPromise.of(coroutine)


class JsProxy:
    """The base of all host objects. Two are equal when they are one object."""

    _js_name: ClassVar[str] = "Object"
    _callable_without_new: ClassVar[bool] = False

    _is_made_by_host: ClassVar[bool] = False
    """Whether a program cannot make one with ``new``."""

    class Statics:
        """What the class itself has in JavaScript: functions and constants."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "_js_name" not in cls.__dict__ and not cls.__name__.startswith("_"):
            cls._js_name = cls.__name__.removeprefix("Js")
        for name, value in tuple(cls.__dict__.items()):
            if inspect.isfunction(value) and not name.startswith("_") and not hasattr(value, "_is_python"):
                method = js_function(value, has_self=True)
                setattr(cls, name, _iterating(method) if name in ("keys", "values", "entries") else method)

    @property
    def constructor(self) -> JsClass:
        """The class, with its ``name``."""
        made = type(self)
        return JsClass._classes.get(made) or JsClass.of(made)

    @property
    def typeof(self) -> str:
        """What JavaScript's operator says."""
        return "function" if callable(self) else "object"

    @property
    def js_id(self) -> int:
        """A number that stands for this object."""
        return id(self)

    def __getattr__(self, name: str) -> Any:
        # ``finally_`` and ``from_`` are how Python writes what it has keywords for.
        if name.endswith("_") and not name.startswith("_"):
            return getattr(self, name[:-1])
        if not name.startswith("_") and (hasattr(type(self), f"{name}_") or f"{name}_" in self.__dict__):
            return getattr(self, f"{name}_")
        raise AttributeError(name)

    def __repr__(self) -> str:
        return self.toString()

    def toString(self) -> str:
        """JavaScript's text for it."""
        return f"[object {self.constructor.name}]"

    def valueOf(self) -> Any:
        """The value that it stands for: itself."""
        return self

    def hasOwnProperty(self, key: Any) -> bool:
        """Whether it has a property of its own."""
        from wrangler_compat.host.model.properties import own
        from wrangler_compat.host.model.symbol import property_key

        return own(self, property_key(key)) is not None

    def _keys(self) -> list[str]:
        return [name for name in vars(self) if not name.startswith("_")] if hasattr(self, "__dict__") else []

    @python
    def object_keys(self) -> Any:
        """Return the names of its own properties."""
        return _array(self._keys())

    @python
    def object_values(self) -> Any:
        """Return the values of its own properties."""
        return _array(getattr(self, key) for key in self._keys())

    @python
    def object_entries(self) -> Any:
        """Return its own properties as pairs."""
        return _array(_array((key, getattr(self, key))) for key in self._keys())

    @python
    def as_object_map(self, *, hereditary: bool = False) -> Any:
        """Return its properties as a mapping that can be changed."""
        return self.__dict__

    @python
    def to_py(self, *, depth: int = -1, default_converter: Callable[..., Any] | None = None) -> Any:
        """Return Python's value for it, and for what is in it; what has none goes to ``default_converter``."""
        from wrangler_compat.host.model.convert import to_py

        return to_py(self, depth=depth, default_converter=default_converter)


def _array(items: Iterable[Any]) -> Any:
    from wrangler_compat.host.model.array import JsArray

    return JsArray(items)


class JsClass(JsProxy):
    """A class as JavaScript has it: ``js.Response``. ``.new`` makes an instance."""

    _js_name = "Function"
    _classes: ClassVar[dict[type, JsClass]] = {}

    @classmethod
    def of(cls, made: type) -> JsClass:
        """Return the one class object that stands for ``made``."""
        known = cls._classes.get(made)
        if known is None:
            known = cls._classes[made] = cls(made)
        return known

    def __init__(self, made: type[JsProxy], statics: type | None = None) -> None:
        self._made = made
        self.name = made._js_name
        self.new = _illegal if "_is_made_by_host" in made.__dict__ else js_function(made)
        for name, value in inspect.getmembers(statics or made.Statics):
            if not name.startswith("_"):
                setattr(self, name, js_function(value) if inspect.isfunction(value) else value)

    @property
    def prototype(self) -> JsPrototype:
        """What its instances have before them: one object for each class."""
        known = self.__dict__.get("_prototype")
        if known is None:
            known = self.__dict__["_prototype"] = JsPrototype(self)
        return known

    @python
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if not self._made._callable_without_new:
            from wrangler_compat.host.model.errors import JsTypeError

            raise JsTypeError(
                f"Failed to construct '{self.name}': Please use the 'new' operator, "
                "this object constructor cannot be called as a function."
            )
        return self.new(*args, **keywords)

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, self._made)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type[JsProxy]]:
        # ``class Counter(RpcTarget)`` in Python.
        return (self._made,)

    def toString(self) -> str:
        """JavaScript's text for it."""
        return f"function {self.name}() {{ [native code] }}"


def _illegal(*_: Any, **__: Any) -> None:
    from wrangler_compat.host.model.errors import JsTypeError

    raise JsTypeError("Illegal constructor")


class JsPrototype(JsProxy):
    """``X.prototype``: stands for what instances of a class have in common, and knows the class."""

    _js_name = "Object"

    def __init__(self, of: JsClass) -> None:
        self._of = of

    @property
    def constructor(self) -> JsClass:
        """The class."""
        return self._of

    def _keys(self) -> list[str]:
        return []


class JsObject(JsProxy):
    """A plain object: named properties and nothing else."""

    _js_name = "Object"
    _callable_without_new = True
    __slots__ = ("_props",)

    _props: dict[str, Any]

    def __init__(self, properties: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_props", {} if is_nullish(properties) else dict(properties or {}))

    def __getattr__(self, name: str) -> Any:
        props = object.__getattribute__(self, "_props")
        if name in props:
            return props[name]
        if name.endswith("_") and name[:-1] in props:
            return props[name[:-1]]
        raise AttributeError(name)

    def __getattribute__(self, name: str) -> Any:
        # A property of the object comes before what every object can do.
        if not name.startswith("_"):
            props = object.__getattribute__(self, "_props")
            if name in props:
                return props[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._props[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._props:
            raise AttributeError(name)
        del self._props[name]

    def _keys(self) -> list[str]:
        return list(self._props)

    @python
    def as_object_map(self, *, hereditary: bool = False) -> dict[str, Any]:
        """Return its properties as a mapping that can be changed."""
        return self._props


def properties(value: Any) -> Mapping[str, Any]:
    """Return the properties of what stands for an object: a plain object, a Map, a dict, or nothing."""
    if value is None or value is jsnull:
        return {}
    if isinstance(value, JsObject):
        return value._props
    if isinstance(value, Mapping):
        return value
    if hasattr(value, "_items") and isinstance(value._items, dict):
        return value._items
    return {key: getattr(value, key) for key in value._keys()} if isinstance(value, JsProxy) else {}
