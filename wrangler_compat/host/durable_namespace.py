"""Durable Objects from outside, in JavaScript's terms: namespaces, ids and stubs, each around the runtime's own."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from edgeagents.errors import EdgeAgentsError
from edgeagents.objects import Namespace, ObjectId, Stub
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, properties
from wrangler_compat.host.redirects import answer_of
from wrangler_compat.host.rpc_stub import is_remote_name, remote_call, remote_method
from wrangler_compat.host.rpc_values import received, sent
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response

__all__ = ["DurableObjectId", "DurableObjectNamespace", "DurableObjectStub", "request_of"]


class DurableObjectId(JsProxy):
    """The id of one object. Its text is 64 hexadecimal digits; ``name`` is what it was made of, if it was of one."""

    _is_sendable = False

    def __init__(self, native: ObjectId, namespace: Namespace[Any] | None = None) -> None:
        self._native, self._namespace = native, namespace

    @property
    def name(self) -> str | None:
        """The name that the id was made of, or undefined."""
        return self._native.name

    def equals(self, other: Any) -> bool:
        """Whether ``other`` is the id of the same object."""
        return isinstance(other, DurableObjectId) and self._native.equals(other._native)

    def toString(self) -> str:
        """The digits."""
        return str(self._native)

    def _keys(self) -> list[str]:
        return ["name"]


class DurableObjectNamespace(JsProxy):
    """All objects of one class, as a binding in ``env``."""

    _is_sendable = True

    def __init__(self, native: Namespace[Any]) -> None:
        self._native = native

    def idFromName(self, name: Any) -> DurableObjectId:
        """Return the id that ``name`` has here: always the same one."""
        return DurableObjectId(self._native.id_from_name(to_text(name)), self._native)

    def idFromString(self, digits: Any) -> DurableObjectId:
        """Return the id with these digits. Raises ``TypeError`` for one of another namespace."""
        try:
            return DurableObjectId(self._native.id_from_string(to_text(digits)), self._native)
        except TypeError as error:
            raise JsTypeError(str(error)) from None

    def newUniqueId(self, options: Any = None) -> DurableObjectId:
        """Return an id that was never used."""
        where = properties(options).get("jurisdiction")
        native = self._native if is_nullish(where) else self._native.jurisdiction(to_text(where))
        return DurableObjectId(native.new_unique_id(), native)

    def get(self, object_id: Any, options: Any = None) -> DurableObjectStub:
        """Return a stub for the object with this id. Nothing happens until it is used."""
        if not isinstance(object_id, DurableObjectId):
            raise JsTypeError(
                "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId'."
            )
        native = object_id._namespace
        if native is None or native.key.partition(":")[0] != self._native.key.partition(":")[0]:
            native = self._native
        try:
            return DurableObjectStub(native.get(object_id._native), native)
        except TypeError as error:
            raise JsTypeError(str(error)) from None

    def getByName(self, name: Any, options: Any = None) -> DurableObjectStub:
        """Return a stub for the object named ``name``."""
        return DurableObjectStub(self._native.get_by_name(to_text(name)), self._native)

    def jurisdiction(self, name: Any) -> DurableObjectNamespace:
        """Return the part of this namespace for a jurisdiction: the same names there are other objects."""
        return DurableObjectNamespace(self._native if is_nullish(name) else self._native.jurisdiction(to_text(name)))

    def _keys(self) -> list[str]:
        return []


class DurableObjectStub(JsProxy):
    """The caller's end of an object: ``fetch``, and every other name is a method of the object."""

    _js_name = "DurableObject"
    _is_sendable = True

    def __init__(self, native: Stub[Any], namespace: Namespace[Any]) -> None:
        self._native, self._namespace = native, namespace

    @property
    def id(self) -> DurableObjectId:
        """The object's id."""
        return DurableObjectId(self._native.id, self._namespace)

    @property
    def name(self) -> str | None:
        """The name that its id was made of, or undefined."""
        return self._native.name

    def fetch(self, resource: Any, init: Any = None) -> JsPromise:
        """Send a request to the object's ``fetch`` and return its response."""
        return remote_call(self._fetch(resource, init))

    async def _fetch(self, resource: Any, init: Any) -> Response:
        return await answer_of(request_of(resource, init), self._native.fetch)

    def __getattr__(self, name: str) -> Any:
        if not is_remote_name(name):
            raise AttributeError(name)
        return remote_method(name, self._call)

    def _call(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Awaitable[Any]:
        # Copied now: what the caller changes after the call is not seen by the object.
        given, named = tuple(map(sent, args)), {key: sent(value) for key, value in keywords.items()}
        return self._answer(name, given, named)

    async def _answer(self, name: str, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        # An agent of edgeagents has keywords of its own; JavaScript's are one object behind the arguments.
        if keywords and getattr(self._namespace.cls, "_is_hosted", False):
            args, keywords = (*args, keywords), {}
        return received(await self._native._call_with(name, args, keywords))

    def _keys(self) -> list[str]:
        return []


def request_of(resource: Any, init: Any = None) -> Request:
    """Return the request that the arguments of a ``fetch`` make: a URL or a request of the SDK's or JavaScript's."""
    resource = getattr(resource, "js_object", resource)
    try:
        return resource if isinstance(resource, Request) and not properties(init) else Request(resource, init)
    except EdgeAgentsError as error:
        raise JsTypeError(str(error)) from None
