"""What would make code of texts or bytes while a worker runs, which workerd forbids: eval, Function, WebAssembly."""

from __future__ import annotations

from typing import Any, NoReturn

from wrangler_compat.host.model.buffers import JsArrayBuffer, bytes_of
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsEvalError, JsException, JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsClass, JsProxy, js_function, properties, python

__all__ = ["FunctionClass", "WebAssembly", "evaluate"]

_MAGIC = b"\0asm\x01\0\0\0"
_PAGE = 65536
_MOST_PAGES = 65536


@js_function
def evaluate(source: Any = None) -> Any:
    """``eval``: refuse."""
    _refuse_text()


def _refuse_text() -> NoReturn:
    raise JsEvalError("Code generation from strings disallowed for this context")


class FunctionClass(JsClass):
    """``Function``: the class of all functions, Python's too. It makes none."""

    def __init__(self) -> None:
        super().__init__(JsClass)
        self.new = self.__call__
        JsClass._classes[JsClass] = self

    @python
    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        _refuse_text()

    def __instancecheck__(self, value: object) -> bool:
        return callable(value)


class CompileError(JsException):
    """``WebAssembly.CompileError``."""


class LinkError(JsException):
    """``WebAssembly.LinkError``."""


class RuntimeError_(JsException):
    """``WebAssembly.RuntimeError``."""

    _js_name = "RuntimeError"


def _refuse_bytes(name: str, code: Any) -> NoReturn:
    if bytes_of(code) is None:
        raise JsTypeError(f"WebAssembly.{name}(): Argument 0 must be a buffer source")
    raise CompileError(f"WebAssembly.{name}(): Wasm code generation disallowed by embedder")


class Module(JsProxy):
    """``WebAssembly.Module``, of which workerd makes none while it runs."""

    def __init__(self, code: Any = None) -> None:
        _refuse_bytes("Module", code)


class Instance(JsProxy):
    """``WebAssembly.Instance``, for which there would have to be a module."""

    def __init__(self, module: Any = None, imports: Any = None) -> None:
        raise JsTypeError("WebAssembly.Instance(): Argument 0 must be a WebAssembly.Module")


class Memory(JsProxy):
    """``WebAssembly.Memory``: pages of 64 KiB."""

    def __init__(self, limits: Any = None) -> None:
        given = properties(limits)
        pages = given.get("initial", given.get("minimum"))
        if not isinstance(pages, int):
            raise JsTypeError("WebAssembly.Memory(): Property 'initial' is required")
        self._most = given.get("maximum", _MOST_PAGES)
        self.buffer = JsArrayBuffer(pages * _PAGE)

    def grow(self, pages: Any) -> int:
        """Add pages, in a new buffer; return how many there were."""
        before = self.buffer.byteLength // _PAGE
        if before + pages > self._most:
            raise JsRangeError("WebAssembly.Memory.grow(): Maximum memory size exceeded")
        self.buffer = JsArrayBuffer(self.buffer.to_bytes() + bytes(pages * _PAGE))
        return before


class Global(JsProxy):
    """``WebAssembly.Global``: a value of one type."""

    def __init__(self, kind: Any = None, value: Any = 0) -> None:
        given = properties(kind)
        if given.get("value") not in ("i32", "i64", "f32", "f64", "externref", "anyfunc"):
            raise JsTypeError(
                "WebAssembly.Global(): Descriptor property 'value' must be a WebAssembly type, "
                f"not {to_text(given.get('value'))}"
            )
        self._is_mutable = given.get("mutable") is True
        self._value = value

    @property
    def value(self) -> Any:
        """The value."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        if not self._is_mutable:
            raise JsTypeError("set WebAssembly.Global.value): Can't set the value of an immutable global.")
        self._value = value

    def valueOf(self) -> Any:
        """The value."""
        return self._value


class WebAssembly(JsProxy):
    """``WebAssembly``. As in workerd, code comes from no bytes at hand, so there is nothing to be run."""

    def __init__(self) -> None:
        for made in (CompileError, LinkError, RuntimeError_, Module, Instance, Memory, Global):
            vars(self)[made._js_name] = JsClass.of(made)

    def validate(self, code: Any = None) -> bool:
        """Whether ``code`` begins as WebAssembly does. What follows is not looked at."""
        content = bytes_of(code)
        if content is None:
            raise JsTypeError("WebAssembly.validate(): Argument 0 must be a buffer source")
        return content.startswith(_MAGIC)

    async def compile(self, code: Any = None, options: Any = None) -> None:
        """Refuse, as workerd does."""
        _refuse_bytes("compile", code)

    async def instantiate(self, code: Any = None, imports: Any = None, options: Any = None) -> None:
        """Refuse, as workerd does."""
        _refuse_bytes("instantiate", code)

    def _keys(self) -> list[str]:
        return []
