"""Blobs, files and forms."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import JsArrayBuffer, Uint8Array, bytes_of
from wrangler_compat.host.model.convert import to_text, utf8
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.keyed import Keyed
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, jsnull, properties
from wrangler_compat.host.web.streams import ReadableStream, stream_of

__all__ = ["Blob", "File", "FormData"]


def _option(options: Any, name: str, default: Any) -> Any:
    value = properties(options).get(name)
    return default if is_nullish(value) else value


class Blob(JsProxy):
    """``Blob``: bytes with a type."""

    def __init__(self, parts: Any = None, options: Any = None) -> None:
        if not is_nullish(parts) and (isinstance(parts, str) or not hasattr(parts, "__iter__")):
            raise JsTypeError(f"Failed to construct '{self._js_name}': constructor parameter 1 is not of type 'Array'.")
        if _option(options, "endings", None) is not None:
            raise JsException("The 'endings' field on 'Options' is not implemented.")
        self._content = b"".join(_part(part) for part in (() if is_nullish(parts) else parts))
        kind = to_text(_option(options, "type", ""))
        self.type = kind.lower() if kind.isascii() and kind.isprintable() else ""

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._content)

    def __bool__(self) -> bool:
        return True

    async def text(self) -> str:
        """Return the content as text."""
        return self._content.decode("utf-8", "replace")

    async def arrayBuffer(self) -> JsArrayBuffer:
        """Return the content."""
        return JsArrayBuffer(self._content)

    async def bytes(self) -> Any:
        """Return the content."""
        return Uint8Array(self._content)

    def stream(self) -> ReadableStream:
        """Return the content as a stream."""

        async def whole() -> AsyncIterator[Any]:
            if self._content:
                yield self._content

        return stream_of(whole())

    def slice(self, start: Any = None, end: Any = None, type: Any = None) -> Blob:
        """Return a part."""
        first, last, _ = slice(None if is_nullish(start) else start, None if is_nullish(end) else end).indices(
            len(self._content)
        )
        return Blob([self._content[first:last]], {"type": type})

    def _keys(self) -> list[str]:
        return []


class File(Blob):
    """``File``: a blob with a name."""

    def __init__(self, parts: Any, name: Any, options: Any = None) -> None:
        super().__init__(parts, options)
        if name is None:
            raise JsTypeError("Failed to construct 'File': constructor parameter 2 is not of type 'string'.")
        self.name = to_text(name)
        self.lastModified = _option(options, "lastModified", int(time.time() * 1000))


def _part(part: Any) -> bytes:
    if isinstance(part, Blob):
        return part._content
    data = bytes_of(part)
    return utf8(to_text(part)) if data is None else data


class FormData(Keyed):
    """``FormData``: fields by name, text or files."""

    def __init__(self, _: Any = None) -> None:
        self._fields: list[tuple[str, Any]] = []

    def append(self, name: Any, value: Any, filename: Any = None) -> None:
        """Add a field."""
        self._fields.append((to_text(name), _field(to_text(name), value, filename)))

    def set(self, name: Any, value: Any, filename: Any = None) -> None:
        """Set a field, in place of those there are."""
        name = to_text(name)
        at = next((n for n, (known, _) in enumerate(self._fields) if known == name), len(self._fields))
        self.delete(name)
        self._fields.insert(at, (name, _field(name, value, filename)))

    def delete(self, name: Any) -> None:
        """Remove every field of that name."""
        name = to_text(name)
        self._fields = [field for field in self._fields if field[0] != name]

    def get(self, name: Any) -> Any:
        """Return the first, or null."""
        return next((value for known, value in self._fields if known == to_text(name)), jsnull)

    def getAll(self, name: Any) -> JsArray:
        """Return all of that name."""
        return JsArray(value for known, value in self._fields if known == to_text(name))

    def has(self, name: Any) -> bool:
        """Whether there is one."""
        return any(known == to_text(name) for known, _ in self._fields)

    def __iter__(self) -> Iterator[JsArray]:
        return (JsArray(pair) for pair in tuple(self._fields))

    def entries(self) -> Iterator[JsArray]:
        """Iterate over pairs."""
        return iter(self)

    def keys(self) -> Iterator[str]:
        """Iterate over the names."""
        return (name for name, _ in tuple(self._fields))

    def values(self) -> Iterator[Any]:
        """Iterate over the values."""
        return (value for _, value in tuple(self._fields))

    def forEach(self, fn: Callable[..., Any]) -> None:
        """Call ``fn`` with each value and name."""
        for name, value in tuple(self._fields):
            call_relaxed(fn, value, name, self)

    def _encoded(self, boundary: str) -> bytes:
        lines: list[bytes] = []
        for name, value in self._fields:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
            if isinstance(value, File):
                head += (
                    f'; filename="{_quoted(value.name)}"\r\nContent-Type: {value.type or "application/octet-stream"}'
                )
                lines += (head.encode(), b"\r\n\r\n", value._content, b"\r\n")
            else:
                lines += (head.encode(), b"\r\n\r\n", utf8(value), b"\r\n")
        return b"".join((*lines, f"--{boundary}--\r\n".encode()))

    def _keys(self) -> list[str]:
        return []


def form_of(fields: Iterable[tuple[str, Any]]) -> FormData:
    """Return a form with these fields."""
    form = FormData()
    for name, value in fields:
        form.append(name, value)
    return form


def _field(name: str, value: Any, filename: Any) -> Any:
    if not isinstance(value, Blob):
        return to_text(value)
    if isinstance(value, File) and is_nullish(filename):
        return value
    return File([value], name if is_nullish(filename) else filename, {"type": value.type})


def _quoted(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
