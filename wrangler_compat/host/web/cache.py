"""The Cache API: ``caches.default`` and ``caches.open(name)``.

Responses are kept in the state folder of the worker's runtime, where processes share them. One is kept when its headers
say for how long (``Cache-Control``, ``Expires``, or at least ``Last-Modified``); one that may not be kept is let go
without a word, as by Cloudflare.
"""

from __future__ import annotations

from typing import Any, NoReturn

from wrangler_compat.host.context import current_worker
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, properties
from wrangler_compat.host.web.cache_policy import is_unchanged, lifetime, part_of, without_private_cookie
from wrangler_compat.host.web.cache_store import MOST_BYTES, CacheStore, Kept
from wrangler_compat.host.web.request import Request
from wrangler_compat.host.web.response import Response

__all__ = ["Cache", "CacheStorage"]

_DEFAULT = "default"
_NAMED = "named:"


class Cache(JsProxy):
    """One cache."""

    def __init__(self) -> None:
        raise JsTypeError("Illegal constructor")

    @classmethod
    def _of(cls, name: str) -> Cache:
        cache = cls.__new__(cls)
        cache._name = name
        return cache

    _name: str

    async def match(self, request: Any, options: Any = None) -> Response | None:
        """Return the response to a GET that was put here, or undefined.

        To a request with a condition that fails it is a 304, to one of a range that part of it, with 206.
        """
        asked = _request(request)
        if not _is_for_caches(asked, options):
            return None
        kept = _store(self._name).get(_key(asked))
        return None if kept is None else _answer(kept, dict(asked.headers._combined()))

    async def put(self, request: Any, response: Any) -> None:
        """Keep the response to a GET, until it is not fresh any more."""
        asked = _request(request)
        if asked.method != "GET":
            raise JsTypeError("Cannot cache response to non-GET request.")
        if not isinstance(response, Response):
            raise JsTypeError("Failed to execute 'put' on 'Cache': parameter 2 is not of type 'Response'.")
        if response.status == 206:
            raise JsTypeError("Cannot cache response to a range request (206 Partial Content).")
        if response.status == 101:
            raise JsTypeError("Cannot cache WebSocket upgrade response.")
        fields = dict(response.headers._combined())
        if "*" in (one.strip() for one in fields.get("vary", "").split(",")):
            raise JsTypeError("Cannot cache response with 'Vary: *' header.")
        store = _store(self._name)
        body = await response._read(lambda content: content)
        if len(body) > MOST_BYTES:
            raise JsException(f"Cache.put() failed: 413 A response has at most {MOST_BYTES} bytes.")
        fields = without_private_cookie(fields)
        seconds = lifetime(response.status, dict(asked.headers._combined()), fields, store.now())
        if seconds > 0:
            store.put(_key(asked), Kept(response.status, fields, body), seconds)

    async def delete(self, request: Any, options: Any = None) -> bool:
        """Forget the response to a GET; return whether there was one."""
        asked = _request(request)
        return _is_for_caches(asked, options) and _store(self._name).delete(_key(asked))

    def add(self, request: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("add", "Cache")

    def addAll(self, requests: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("addAll", "Cache")

    def matchAll(self, request: Any = None, options: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("matchAll", "Cache")

    def keys(self, request: Any = None, options: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("keys", "Cache")

    def _keys(self) -> list[str]:
        return []


class CacheStorage(JsProxy):
    """``caches``."""

    @property
    def default(self) -> Cache:
        """The cache without a name."""
        return Cache._of(_DEFAULT)

    async def open(self, name: Any) -> Cache:
        """Return the cache of that name."""
        if is_nullish(name):
            raise JsTypeError("Failed to execute 'open' on 'CacheStorage': parameter 1 is not of type 'string'.")
        return Cache._of(f"{_NAMED}{name}")

    def match(self, request: Any = None, options: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("match", "CacheStorage")

    def has(self, name: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("has", "CacheStorage")

    def delete(self, name: Any = None) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("delete", "CacheStorage")

    def keys(self) -> NoReturn:
        """Raise: Cloudflare has it not."""
        raise _not_there("keys", "CacheStorage")

    def _keys(self) -> list[str]:
        return []


def _not_there(method: str, place: str) -> JsException:
    return JsException(f"Failed to execute '{method}' on '{place}': the method is not implemented.")


def _store(name: str) -> CacheStore:
    try:
        runtime = getattr(current_worker().native_env, "_runtime", None)
    except RuntimeError:
        runtime = None
    if runtime is None:
        raise JsException(
            "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a "
            "timeout, and generating random values are not allowed within global scope. To fix this error, perform "
            "this operation within a handler."
        )
    return CacheStore(runtime, name)


def _request(given: Any) -> Request:
    return given if isinstance(given, Request) else Request(given)


def _is_for_caches(request: Request, options: Any) -> bool:
    return request.method == "GET" or bool(properties(options).get("ignoreMethod"))


def _key(request: Request) -> str:
    chosen = request.cf._props.get("cacheKey") if isinstance(request.cf, JsObject) else None
    return f"key:{chosen}" if isinstance(chosen, str) and chosen else request.url.partition("#")[0]


def _answer(kept: Kept, asked: dict[str, str]) -> Response:
    fields = {**kept.headers, "cf-cache-status": "HIT"}
    if kept.status == 200:
        if is_unchanged(asked, fields):
            return Response(None, {"status": 304, "headers": fields})
        try:
            part = part_of(asked.get("range"), len(kept.body))
        except ValueError:
            return Response(None, {"status": 416, "headers": {"content-range": f"bytes */{len(kept.body)}"}})
        if part is not None:
            start, end = part
            fields |= {
                "content-range": f"bytes {start}-{end - 1}/{len(kept.body)}",
                "content-length": str(end - start),
            }
            return Response(kept.body[start:end], {"status": 206, "headers": fields})
    return Response(kept.body, {"status": kept.status, "headers": fields})
