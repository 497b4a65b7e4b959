"""The module ``js``: a worker's global scope."""

from __future__ import annotations

import math
import types
from typing import Any

from wrangler_compat.host.clone import structured_clone
from wrangler_compat.host.intl import Intl
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import TYPED_ARRAYS, JsArrayBuffer, JsDataView
from wrangler_compat.host.model.collections import JsMap, JsSet
from wrangler_compat.host.model.convert import to_text, truthy
from wrangler_compat.host.model.date import JsBoolean, JsDate, JsNumber, JsString, to_number
from wrangler_compat.host.model.disposal import JsAsyncDisposableStack, JsDisposableStack, JsSuppressedError
from wrangler_compat.host.model.errors import ERRORS, DomException, JsAggregateError, JsRangeError
from wrangler_compat.host.model.functions_of_text import FUNCTIONS_OF_TEXT
from wrangler_compat.host.model.iterator import JsIterator
from wrangler_compat.host.model.json_object import JsJSON, JsMath
from wrangler_compat.host.model.no_code import FunctionClass, WebAssembly, evaluate
from wrangler_compat.host.model.object_class import ObjectClass
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsClass, JsObject, JsProxy, js_function, python
from wrangler_compat.host.model.reflect import Reflect
from wrangler_compat.host.model.regexp import JsRegExp
from wrangler_compat.host.model.shared import Atomics, JsSharedArrayBuffer
from wrangler_compat.host.model.symbol import SymbolClass
from wrangler_compat.host.model.trapped import ProxyClass
from wrangler_compat.host.model.weak import JsFinalizationRegistry, JsWeakMap, JsWeakRef, JsWeakSet
from wrangler_compat.host.web import (
    abort,
    blob,
    events,
    headers,
    queuing,
    request,
    response,
    streams,
    transform,
    url,
    url_search_params,
    websocket,
    writable,
)
from wrangler_compat.host.web.body import BodyMixin
from wrangler_compat.host.web.cache import Cache, CacheStorage
from wrangler_compat.host.web.console import Console
from wrangler_compat.host.web.crypto import Crypto, SubtleCrypto
from wrangler_compat.host.web.crypto_keys import CryptoKey
from wrangler_compat.host.web.encoding import ENCODING_CLASSES, atob, btoa
from wrangler_compat.host.web.global_scope import (
    GLOBAL_FUNCTIONS,
    NEVER_MADE,
    Cloudflare,
    Navigator,
    ServiceWorkerGlobalScope,
    WorkerGlobalScope,
)
from wrangler_compat.host.web.html_rewriter import HTMLRewriter
from wrangler_compat.host.web.message_channel import MessageChannel, MessagePort
from wrangler_compat.host.web.timers import TIMERS, performance, scheduler
from wrangler_compat.host.web.url_pattern import URLPattern

__all__ = ["classes", "js_module"]


class _Converting(JsClass):
    """A class that makes a plain value when it is called without ``new``."""

    def __init__(self, made: type[JsProxy], convert: Any, empty: Any) -> None:
        super().__init__(made)
        self._convert, self._empty = convert, empty
        JsClass._classes[made] = self

    @python
    def __call__(self, *args: Any, **_: Any) -> Any:
        return self._convert(args[0]) if args else self._empty


class _GlobalThis(JsObject):
    """``globalThis``: the names of the module ``js``."""

    __slots__ = ()
    _js_name = "ServiceWorkerGlobalScope"

    @property
    def constructor(self) -> JsClass:
        """The class of such scopes."""
        return JsClass.of(ServiceWorkerGlobalScope)

    def __init__(self, names: dict[str, Any]) -> None:
        object.__setattr__(self, "_props", names)


def classes() -> dict[str, type[JsProxy]]:
    """Return the host's classes by the names that they have on the global scope."""
    made: list[type[JsProxy]] = [
        *(JsArray, JsMap, JsSet, JsDate, JsRegExp, JsPromise, JsArrayBuffer, JsDataView, DomException),
        *(headers.Headers, request.Request, response.Response, url.URL, url_search_params.URLSearchParams),
        *(blob.Blob, blob.File, blob.FormData, abort.AbortController, abort.AbortSignal),
        *(events.Event, events.EventTarget, events.MessageEvent, events.CloseEvent, events.ErrorEvent),
        *(events.CustomEvent, JsWeakMap, JsWeakSet, JsWeakRef, JsFinalizationRegistry, JsAggregateError),
        *(JsIterator, JsSharedArrayBuffer, JsDisposableStack, JsAsyncDisposableStack, JsSuppressedError),
        *(WorkerGlobalScope, ServiceWorkerGlobalScope, Navigator, MessageChannel, MessagePort, *NEVER_MADE),
        *(streams.ReadableStream, streams.Controller, streams.DefaultReader, streams.ByobReader),
        *(writable.WritableStream, writable.Writer),
        *(transform.TransformStream, transform.IdentityTransformStream, transform.FixedLengthStream),
        URLPattern,
        *(queuing.CountQueuingStrategy, queuing.ByteLengthQueuingStrategy),
        *(websocket.WebSocket, websocket.WebSocketPair, websocket.WebSocketRequestResponsePair),
        *ERRORS,
        *TYPED_ARRAYS.values(),
        *ENCODING_CLASSES,
        HTMLRewriter,
        *(BodyMixin, Crypto, SubtleCrypto, CryptoKey, Cache, CacheStorage),
    ]
    return {cls._js_name: cls for cls in made}


def _big_integer(value: Any = None) -> int:
    """Return ``value`` as a whole number of any size."""
    number = to_number(value)
    if not isinstance(number, int):
        raise JsRangeError(f"The number {to_text(value)} cannot be converted to a BigInt because it is not an integer")
    return number


def js_module(more: dict[str, Any]) -> types.ModuleType:
    """Return the module, with ``more`` names: what the bindings and the network give."""
    module = types.ModuleType("js")
    # Before what stands for other classes, which are functions and objects too.
    names: dict[str, Any] = {"Function": FunctionClass(), "Object": ObjectClass()}
    names |= {name: JsClass.of(cls) for name, cls in classes().items()}
    names |= {
        "Number": _Converting(JsNumber, to_number, 0),
        "String": _Converting(JsString, to_text, ""),
        "Boolean": _Converting(JsBoolean, truthy, False),
        "Symbol": SymbolClass(),
        "Proxy": ProxyClass(),
        "Reflect": Reflect(),
        "Atomics": Atomics(),
        "Intl": Intl(),
        "WebAssembly": WebAssembly(),
        "JSON": JsJSON(),
        "Math": JsMath(),
        "console": Console(),
        "crypto": Crypto(),
        "caches": CacheStorage(),
        "performance": performance,
        "scheduler": scheduler,
        "atob": atob,
        "btoa": btoa,
        "structuredClone": js_function(structured_clone),
        **FUNCTIONS_OF_TEXT,
        "BigInt": js_function(_big_integer),
        "undefined": None,
        "NaN": math.nan,
        "Infinity": math.inf,
        "navigator": Navigator(),
        "Cloudflare": Cloudflare(),
        "origin": "null",
        "eval": evaluate,
        **GLOBAL_FUNCTIONS,
        **TIMERS,
        **more,
    }
    vars(module).update(names)
    shared = vars(module)
    shared["globalThis"] = shared["self"] = _GlobalThis(shared)
    return module
