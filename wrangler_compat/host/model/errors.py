"""JavaScript's errors, which are Python exceptions too."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from wrangler_compat.host.model.proxy import JsProxy, is_nullish

__all__ = [
    "ERRORS",
    "DomException",
    "JsAggregateError",
    "JsEvalError",
    "JsException",
    "JsRangeError",
    "JsReferenceError",
    "JsSyntaxError",
    "JsTypeError",
    "JsURIError",
    "data_clone_error",
]


class JsException(Exception, JsProxy):
    """``Error``, and whatever else JavaScript throws."""

    _js_name = "Error"
    _callable_without_new = True

    class Statics(JsProxy.Statics):
        """What ``Error`` has itself."""

        stackTraceLimit: ClassVar[int] = 10

        def captureStackTrace(target: Any, above: Any = None) -> None:
            """Set ``stack`` of ``target``."""
            setattr(target, "stack", target.toString() if isinstance(target, JsProxy) else str(target))  # noqa: B010

        def isError(value: Any = None) -> bool:
            """Whether ``value`` is an error."""
            return isinstance(value, BaseException)

    def __init__(self, message: Any = None, options: Any = None) -> None:
        self.message = "" if message is None else str(message)
        super().__init__(self.message)
        self.name = type(self)._js_name
        cause = getattr(options, "cause", None)
        if not is_nullish(cause):
            self.cause = cause
        self.stack = str(self)

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.message else self.name

    def __repr__(self) -> str:
        return str(self)

    def toString(self) -> str:
        """Its name and message."""
        return str(self)

    def _keys(self) -> list[str]:
        return []


class JsTypeError(JsException):
    """``TypeError``."""


class JsRangeError(JsException):
    """``RangeError``."""


class JsSyntaxError(JsException):
    """``SyntaxError``."""


class JsReferenceError(JsException):
    """``ReferenceError``."""


class JsEvalError(JsException):
    """``EvalError``."""


class JsURIError(JsException):
    """``URIError``."""


class JsAggregateError(JsException):
    """``AggregateError``: several ``errors`` as one."""

    def __init__(self, errors: Any = None, message: Any = None, options: Any = None) -> None:
        from wrangler_compat.host.model.array import JsArray

        super().__init__(message, options)
        self.errors = JsArray(errors or ())


class DomException(JsException):
    """``DOMException``: its ``name`` says what went wrong."""

    _js_name = "DOMException"
    _callable_without_new = False

    def __init__(self, message: Any = None, name: Any = None) -> None:
        super().__init__(message)
        self.name = name if isinstance(name, str) else "Error"
        self.code = {"DataCloneError": 25, "AbortError": 20, "TimeoutError": 23}.get(self.name, 0)
        self.stack = str(self)


ERRORS: tuple[type[JsException], ...] = (
    JsException,
    JsTypeError,
    JsRangeError,
    JsSyntaxError,
    JsReferenceError,
    JsEvalError,
    JsURIError,
)


_OF_THE_LANGUAGE: Final = frozenset(
    {"Promise", "Function", "Proxy", "WeakMap", "WeakSet", "WeakRef", "FinalizationRegistry", "Iterator"}
)


def data_clone_error(value: object) -> DomException:
    """Return the error for a value that cannot be sent or kept."""
    if isinstance(value, JsProxy) and value.typeof == "symbol":
        return DomException(f"{value} could not be cloned.", "DataCloneError")
    name = value._js_name if isinstance(value, JsProxy) else type(value).__name__
    if name in ("ReadableStream", "WritableStream"):
        message = f"{name} can only be serialized for RPC."
    elif name in ("Request", "Response"):
        message = "ReadableStream can only be serialized for RPC."
    elif name == "AbortSignal":
        message = "AbortSignal serialization is not enabled."
    elif name in ("RpcTarget", "JsRpcStub"):
        message = "Remote RPC references can only be serialized for RPC."
    elif isinstance(value, JsProxy) and name not in _OF_THE_LANGUAGE:
        message = f'Could not serialize object of type "{name}". This type does not support serialization.'
    else:
        message = f"#<{'Object' if name == 'Proxy' else name}> could not be cloned."
    return DomException(message, "DataCloneError")
