"""Buffers: ArrayBuffer, the typed arrays and DataView."""

from __future__ import annotations

import array
import base64
import functools
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, ClassVar

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.errors import JsRangeError
from wrangler_compat.host.model.half_floats import HalfFloats, packed_half
from wrangler_compat.host.model.proxy import JsProxy, is_nullish, properties, python

__all__ = [
    "TYPED_ARRAYS",
    "Buffer",
    "JsArrayBuffer",
    "JsDataView",
    "TypedArray",
    "Uint8Array",
    "bytes_of",
    "from_buffer",
]


class Buffer(JsProxy):
    """What has bytes. ``_view`` is a memoryview of them, which shares the ArrayBuffer's memory."""

    _view: memoryview

    @property
    def byteLength(self) -> int:
        """How many bytes there are."""
        return self._view.nbytes

    @python
    def to_py(self, **_: Any) -> memoryview:
        """Return a memoryview of a copy."""
        return self.to_memoryview()

    @python
    def to_memoryview(self) -> memoryview:
        """Return a memoryview of a copy, in the element type."""
        form = self._view.format
        return _cast(memoryview(bytearray(self._bytes())), "H" if form == "e" else form)

    @python
    def to_bytes(self) -> bytes:
        """Return a copy of the bytes."""
        return self._bytes()

    @python
    def to_string(self, encoding: str | None = None) -> str:
        """Return the bytes as text."""
        return self._bytes().decode(encoding or "utf-8")

    @python
    def to_file(self, file: BinaryIO) -> None:
        """Write the bytes to ``file``."""
        file.write(self._bytes())

    @python
    def assign(self, source: Any) -> None:
        """Put the bytes of ``source`` into it."""
        self._view.cast("B")[:] = memoryview(source).cast("B")

    @python
    def assign_to(self, target: Any) -> None:
        """Put its bytes into ``target``."""
        memoryview(target).cast("B")[:] = self._view.cast("B")

    def _bytes(self) -> bytes:
        return self._view.tobytes()

    def _keys(self) -> list[str]:
        return []


class JsArrayBuffer(Buffer):
    """``ArrayBuffer``."""

    class Statics(JsProxy.Statics):
        """ArrayBuffer.isView."""

        def isView(value: Any = None) -> bool:
            """Whether ``value`` is a view of a buffer."""
            return isinstance(value, TypedArray | JsDataView)

    def __init__(self, content: Any = 0, options: Any = None) -> None:
        self._memory = bytearray(0 if is_nullish(content) else content)
        self._view = memoryview(self._memory)
        self.detached = False
        most = properties(options).get("maxByteLength") if options is not None else None
        if most is not None:
            raise JsRangeError("An ArrayBuffer cannot be resized here: make another one, of another length.")

    def __len__(self) -> int:
        return len(self._memory)

    def slice(self, start: Any, end: Any) -> JsArrayBuffer:
        """Return a copy of a part."""
        return JsArrayBuffer(self._memory[slice(start, end)])

    resizable = False

    @property
    def maxByteLength(self) -> int:
        """How many bytes there can be."""
        return self.byteLength

    def transfer(self, length: Any = None) -> JsArrayBuffer:
        """Return a buffer with the bytes, as many as ``length`` if given. This one has none from now on."""
        content = bytes(self._memory)
        wanted = len(content) if length is None else int(length)
        self._memory = bytearray()
        self._view = memoryview(self._memory)
        self.detached = True
        return JsArrayBuffer(content[:wanted].ljust(wanted, b"\0"))

    transferToFixedLength = transfer


class TypedArray(Buffer):
    """The base of the typed arrays."""

    _format: ClassVar[str] = "B"

    class Statics(JsProxy.Statics):
        """Uint8Array.of and the like. The class itself is put in for each."""

    def __init__(self, source: Any = 0, offset: Any = None, length: Any = None) -> None:
        size = struct.calcsize(self._format)
        start = 0
        if isinstance(source, JsArrayBuffer):
            start = 0 if is_nullish(offset) else offset
            end = len(source) if is_nullish(length) else start + length * size
            if start % size or end > len(source) or (is_nullish(length) and (end - start) % size):
                raise JsRangeError(f"start offset or length of {self._js_name} does not fit its buffer")
            self.buffer = source
        else:
            self.buffer = JsArrayBuffer(self._content(source, size))
            end = len(self.buffer)
        self.byteOffset = start
        self._view = _cast(self.buffer._view[start:end], self._format)

    def _content(self, source: Any, size: int) -> Any:
        if is_nullish(source):
            return 0
        if isinstance(source, int):
            return source * size
        if isinstance(source, bytes | bytearray | memoryview) and self._format == "B":
            return source
        if self._format == "e":
            return b"".join(packed_half(float(value)) for value in source)
        return array.array(self._format, map(self._element, source)).tobytes()

    def _element(self, value: Any) -> Any:
        if self._format in "efd":
            return float(value)
        bits = 8 * struct.calcsize(self._format)
        wrapped = int(value) & ((1 << bits) - 1)
        return wrapped - (1 << bits) if self._format.islower() and wrapped >> (bits - 1) else wrapped

    @property
    def length(self) -> int:
        """How many elements there are."""
        return len(self._view)

    @property
    def BYTES_PER_ELEMENT(self) -> int:
        """The size of one element."""
        return self._view.itemsize

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._view)

    def __contains__(self, value: object) -> bool:
        return value in self._view.tolist()

    def __getitem__(self, index: Any) -> Any:
        return type(self)(self._view[index].tolist()) if isinstance(index, slice) else self._view[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._view[index] = self._element(value)

    def toString(self) -> str:
        """The elements, with commas between."""
        return ",".join(map(str, self._view))

    def at(self, index: Any) -> Any:
        """Return one element, or undefined."""
        return self._view[index] if -len(self._view) <= index < len(self._view) else None

    def slice(self, start: Any, end: Any) -> Any:
        """Return a copy of a part."""
        return type(self)(self._view[slice(start, end)].tolist())

    def subarray(self, start: Any, end: Any) -> Any:
        """Return a view of a part."""
        first, last, _ = slice(start, end).indices(len(self._view))
        return type(self)(self.buffer, self.byteOffset + first * self._view.itemsize, max(last - first, 0))

    def set(self, source: Iterable[Any], offset: Any = 0) -> None:
        """Put the elements of ``source`` in."""
        for n, value in enumerate(source, offset or 0):
            self[n] = value

    def fill(self, value: Any, start: Any = None, end: Any = None) -> Any:
        """Put ``value`` everywhere, or from ``start`` to ``end``."""
        for n in range(*slice(start, end).indices(len(self._view))):
            self[n] = value
        return self

    def map(self, change: Callable[..., Any]) -> Any:
        """Return what ``change`` makes of each."""
        return type(self)(list(JsArray(self).map(change)))

    def filter(self, test: Callable[..., Any]) -> Any:
        """Return those for which ``test`` says yes."""
        return type(self)(list(JsArray(self).filter(test)))

    def reverse(self) -> Any:
        """Turn it round."""
        self.set(self._view.tolist()[::-1], 0)
        return self

    def sort(self, compare: Any = None) -> Any:
        """Sort it by ``compare``, or else as numbers."""
        self.set(JsArray(self).sort(compare) if callable(compare) else sorted(self._view), 0)
        return self

    def toReversed(self) -> Any:
        """Return the elements from the end to the beginning."""
        return type(self)(list(self)).reverse()

    def toSorted(self, compare: Any = None) -> Any:
        """Return the elements sorted."""
        return type(self)(list(self)).sort(compare)

    def toHex(self) -> str:
        """Return the bytes as hexadecimal digits."""
        return self._bytes().hex()

    def toBase64(self) -> str:
        """Return the bytes in base64."""
        return base64.b64encode(self._bytes()).decode()


def _as_arrays_do(name: str) -> None:
    method = getattr(JsArray, name)

    @functools.wraps(method)
    def ask(self: TypedArray, *args: Any) -> Any:
        return method(JsArray(self), *args)

    setattr(TypedArray, name, ask)


for _name in (
    *("join", "indexOf", "lastIndexOf", "includes", "find", "findIndex", "findLast", "findLastIndex", "some", "every"),
    *("reduce", "reduceRight", "forEach", "keys", "values", "entries"),
):
    _as_arrays_do(_name)


def _cast(view: memoryview, form: Any) -> Any:
    return HalfFloats(view) if form == "e" else view.cast(form)


def _typed_array(name: str, form: str) -> type[TypedArray]:
    def of(*items: Any) -> TypedArray:
        """Make one of the arguments."""
        return made(items)

    def from_(items: Any = ()) -> TypedArray:
        """Make one of what can be iterated."""
        return made(list(items))

    def from_hex(digits: Any = "") -> TypedArray:
        """Make one of hexadecimal digits."""
        return made(bytes.fromhex(str(digits)))

    def from_base64(text: Any = "") -> TypedArray:
        """Make one of bytes in base64."""
        return made(base64.b64decode(str(text)))

    members: dict[str, Any] = {"of": of, "from_": from_, "BYTES_PER_ELEMENT": struct.calcsize(form)}
    if name == "Uint8Array":
        members |= {"fromHex": from_hex, "fromBase64": from_base64}
    statics = type("Statics", (), members)
    made = type(name, (TypedArray,), {"_format": form, "_js_name": name, "Statics": statics, "__doc__": f"``{name}``."})
    return made


Uint8Array = _typed_array("Uint8Array", "B")

TYPED_ARRAYS: dict[str, type[TypedArray]] = {
    "Uint8Array": Uint8Array,
    **{
        name: _typed_array(name, form)
        for name, form in {
            "Int8Array": "b",
            "Uint8ClampedArray": "B",
            "Int16Array": "h",
            "Uint16Array": "H",
            "Int32Array": "i",
            "Uint32Array": "I",
            "Float16Array": "e",
            "Float32Array": "f",
            "Float64Array": "d",
            "BigInt64Array": "q",
            "BigUint64Array": "Q",
        }.items()
    },
}
_BY_FORMAT = {made._format: made for name, made in TYPED_ARRAYS.items() if name != "Uint8ClampedArray"}


class JsDataView(Buffer):
    """``DataView``: numbers of any kind at any place."""

    _js_name = "DataView"

    def __init__(self, source: JsArrayBuffer, offset: Any = None, length: Any = None) -> None:
        start = 0 if is_nullish(offset) else offset
        end = len(source) if is_nullish(length) else start + length
        if end > len(source) or start > end:
            raise JsRangeError(f"Start offset {start} is outside the bounds of the buffer")
        self.buffer, self.byteOffset = source, start
        self._view = source._view[start:end]

    def _read(self, form: str, offset: int, little: Any) -> Any:
        try:
            return struct.unpack_from(("<" if little else ">") + form, self._view, offset)[0]
        except struct.error:
            raise JsRangeError("Offset is outside the bounds of the DataView") from None

    def _write(self, form: str, offset: int, value: Any, little: Any) -> None:
        if form not in "efd":
            bits = 8 * struct.calcsize(form)
            value = int(value) & ((1 << bits) - 1)
            form = form.upper()
        try:
            struct.pack_into(("<" if little else ">") + form, self._view, offset, value)
        except struct.error:
            raise JsRangeError("Offset is outside the bounds of the DataView") from None


def _accessors(name: str, form: str) -> None:
    def get(self: JsDataView, offset: Any, little: Any = None) -> Any:
        return self._read(form, offset, little)

    def set_(self: JsDataView, offset: Any, value: Any, little: Any = None) -> None:
        self._write(form, offset, value, little)

    setattr(JsDataView, f"get{name}", get)
    setattr(JsDataView, f"set{name}", set_)


for _name, _form in {
    "Int8": "b", "Uint8": "B", "Int16": "h", "Uint16": "H", "Int32": "i", "Uint32": "I",
    "Float16": "e", "Float32": "f", "Float64": "d", "BigInt64": "q", "BigUint64": "Q",
}.items():  # fmt: skip
    _accessors(_name, _form)


def from_buffer(source: Any) -> TypedArray:
    """Return a typed array with a copy of what is in Python's buffer, of its element type."""
    view = memoryview(source)
    made = _BY_FORMAT.get({"c": "B", "?": "B", "l": "q", "L": "Q"}.get(view.format, view.format), Uint8Array)
    return made(JsArrayBuffer(view.tobytes()))


def bytes_of(value: Any) -> bytes | None:
    """Return the bytes of JavaScript's or Python's buffer; None for anything else."""
    if isinstance(value, Buffer):
        return value.to_bytes()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return None
