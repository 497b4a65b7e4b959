"""Bindings as JavaScript has them: one translation for every binding that a plugin provides.

A plugin writes its binding for Python: methods in snake_case, options as keyword-only parameters, plain values,
dataclasses for what has fields, exceptions. Here that becomes what Cloudflare's SDK and its users expect: names in
camelCase, options as one trailing object, which is what keywords of a call are, promises, null, ``Error``s with the
``code`` of the exception, if it has one. The class attribute ``js_name`` of a binding is the name of its class in
JavaScript.

| from JavaScript | to the plugin | | from the plugin | to JavaScript |
|---|---|---|---|---|
| null, undefined | None | | None | null; undefined where the method is annotated ``-> None`` |
| buffers, Blob | bytes; ``format`` is ``f`` or ``d`` where they are floats | | bytes | ArrayBuffer |
| Array | list | | list, tuple | Array |
| Set | set | | set | Set |
| plain object, Map | dict | | dict with text for keys | plain object, names unchanged, that reads as a Map too |
| Number and the like | number, text, bool | | dict with others | Map |
| Date | datetime in UTC | | datetime | Date |
| ReadableStream | async iterator of bytes | | async iterator of bytes | ReadableStream |
| Request, Response | those of edgeagents | | those of edgeagents | Request, Response |
| Headers | dict, names in lower case | | a dataclass, or what has ``js_name`` | an object, names in camelCase |

What a plugin keeps with ``edgeagents.objects.values`` and gives back is what it was in JavaScript: see ``clone``.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

from edgeagents.http import Request as NativeRequest
from edgeagents.http import Response as NativeResponse
from wrangler_compat.host.clone import FromData, ToData
from wrangler_compat.host.model.convert import json_complaint
from wrangler_compat.host.model.errors import JsException, JsRangeError, JsSyntaxError, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, python
from wrangler_compat.host.web.blob import Blob
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import ReadableStream, bytes_from, stream_of

__all__ = ["camel_case", "from_js", "js_error", "snake_case", "to_js_value"]


@functools.cache
def snake_case(name: str) -> str:
    """Return ``expirationTtl`` as ``expiration_ttl``."""
    # The plural of what is written in capitals, as in ``requireSignedURLs``.
    name = re.sub(r"(?<=[A-Z])s(?=[A-Z]|$)", "S", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@functools.cache
def camel_case(name: str) -> str:
    """Return ``expiration_ttl`` as ``expirationTtl``; ``to_json`` is ``toJSON``, which JavaScript asks for."""
    if name == "to_json":
        return "toJSON"
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def from_js(value: Any) -> Any:
    """Return what a plugin is given for a value of JavaScript."""
    return _ForPlugins().convert(value)


def to_js_value(value: Any) -> Any:
    """Return what JavaScript is given for a plugin's value."""
    return _OfPlugins().convert(value)


class _ForPlugins(ToData):
    def boxed(self, value: Any) -> Any:
        return value.valueOf()

    def headers(self, value: Headers) -> dict[str, str]:
        return dict(value._combined())

    def other(self, value: Any) -> Any:
        if isinstance(value, Blob):
            return value._content
        if isinstance(value, ReadableStream):
            return bytes_from(value)
        if isinstance(value, tuple):
            return [self.convert(item) for item in value]
        if isinstance(value, Request | Response):
            return value.to_native()
        if isinstance(value, Facade):
            return value._native
        return value


class _OfPlugins(FromData):
    def other(self, value: Any) -> Any:
        if isinstance(value, JsProxy):
            return value
        if isinstance(value, Mapping):
            return self.convert({str(key): item for key, item in value.items()})
        if isinstance(value, NativeResponse):
            return Response.of(value)
        if isinstance(value, NativeRequest):
            return Request.of(value)
        if hasattr(type(value), "js_name") or dataclasses.is_dataclass(value):
            return facade_of(value)
        if isinstance(value, AsyncIterator):
            return stream_of(value)
        return value


def js_error(error: BaseException) -> BaseException:
    """Return the error that JavaScript throws for a plugin's."""
    if isinstance(error, JsException) or not isinstance(error, Exception):
        return error
    made = _error_like(error)
    if (code := getattr(error, "code", None)) is not None:
        made.code = code
    return made


def _error_like(error: Exception) -> Any:
    name = getattr(error, "js_name", None)
    if name is not None:
        made = JsException(str(error))
        made.name = name
        made.stack = str(made)
        return made
    if isinstance(error, TypeError):
        return JsTypeError(str(error))
    if isinstance(error, json.JSONDecodeError):
        return JsSyntaxError(json_complaint(error))
    return (JsRangeError if isinstance(error, ValueError) else JsException)(str(error))


def facade_of(native: Any) -> Facade:
    """Return the object of JavaScript that stands for a plugin's."""
    return _facade_class(type(native))(native)


class Facade(JsProxy):
    """An object of JavaScript whose methods and fields are those of a plugin's object."""

    _native: Any
    _fields: tuple[str, ...] = ()

    def __init__(self, native: Any) -> None:
        self._native = native

    @property
    def constructor(self) -> JsClass:
        """The class, with its ``name``."""
        return JsClass.of(type(self))

    def __getattr__(self, name: str) -> Any:
        # What a plugin's object has of its own, besides what its class says.
        own = vars(self._native) if name[:1] != "_" and hasattr(self._native, "__dict__") else {}
        if snake_case(name) in own:
            return to_js_value(own[snake_case(name)])
        return super().__getattr__(name)

    def _keys(self) -> list[str]:
        return [camel_case(name) for name in self._fields]


@functools.cache
def _facade_class(native: type) -> type[Facade]:
    members: dict[str, Any] = {"_js_name": getattr(native, "js_name", "Object"), "__doc__": native.__doc__}
    if dataclasses.is_dataclass(native):
        names = tuple(field.name for field in dataclasses.fields(native) if not field.name.startswith("_"))
        members["_fields"] = names
        members |= {camel_case(name): _field(name) for name in names}
    for name, member in inspect.getmembers(native):
        if name.startswith("_") or name in ("js_name",):
            continue
        if isinstance(member, property):
            members[camel_case(name)] = _field(name)
        elif inspect.isfunction(member):
            members[camel_case(name)] = _method(member)
    return cast("type[Facade]", type(native.__name__, (Facade,), members))


def _field(name: str) -> property:
    return property(lambda self: to_js_value(getattr(self._native, name)))


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    options = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    takes_rest = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    is_silent = function.__annotations__.get("return") in (None, "None") and "return" in function.__annotations__

    def arguments(args: tuple[Any, ...]) -> tuple[list[Any], dict[str, Any]]:
        given = [from_js(value) for value in args]
        chosen: dict[str, Any] = {}
        room = len(given) if takes_rest else len(positional)
        if (
            options
            and len(given) <= room
            and given
            and isinstance(given[-1], dict)
            and _are_options(given[-1], positional[len(given) - 1 :], options)
        ):
            # An options object may stand where a positional argument was left out, and name that one too.
            chosen = given.pop()
        elif options and len(given) > room and (given[room] is None or isinstance(given[room], dict)):
            chosen = given[room] or {}
        named = {snake_case(name): value for name, value in chosen.items()}
        names = {p.name for p in positional[len(given[:room]) :]} | options
        return given[:room], {name: value for name, value in named.items() if name in names}

    def convert(result: Any) -> Any:
        return None if is_silent and result is None else to_js_value(result)

    async def settle(result: Awaitable[Any]) -> Any:
        try:
            return convert(await result)
        except Exception as error:
            raise js_error(error) from error

    @functools.wraps(function)
    def call(self: Facade, /, *args: Any, **keywords: Any) -> Any:
        # Keywords of a call from Python are one object behind the arguments, here as for all else of JavaScript.
        given, chosen = arguments((*args, JsObject(keywords)) if keywords else args)
        try:
            result = function(self._native, *given, **chosen)
        except Exception as error:
            raise js_error(error) from error
        return JsPromise.of(settle(result)) if inspect.isawaitable(result) else convert(result)

    return python(call)


def _are_options(value: dict[Any, Any], left: list[inspect.Parameter], options: set[str]) -> bool:
    if left and left[0].default is inspect.Parameter.empty:
        return False  # It is that argument, which cannot be left out.
    names = options | {parameter.name for parameter in left}
    return bool(value) and all(isinstance(key, str) and snake_case(key) in names for key in value)
