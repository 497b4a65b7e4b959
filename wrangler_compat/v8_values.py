"""Values as V8 serialises them, which is how workerd keeps what an object puts into its storage.

Read only, and into the same data that a Python Worker's values are kept as (``cloned.py``, ``host/clone.py``).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wrangler_compat.cloned import BoxedData, BufferData, DateData, ErrorData, MapData, RegExpData, SetData, ViewData

__all__ = ["NotReadable", "read_v8_value"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST: Final = 15
_MOST_DEEP: Final = 200
_LARGEST_EXACT: Final = 2**53
_VIEWS: Final = {
    "b": "Int8Array",
    "B": "Uint8Array",
    "C": "Uint8ClampedArray",
    "w": "Int16Array",
    "W": "Uint16Array",
    "d": "Int32Array",
    "D": "Uint32Array",
    "f": "Float32Array",
    "F": "Float64Array",
    "q": "BigInt64Array",
    "Q": "BigUint64Array",
    "?": "DataView",
}
_FLAGS: Final = "gimyus-dv"
_ERRORS: Final = {"E": "EvalError", "R": "RangeError", "F": "ReferenceError", "S": "SyntaxError", "T": "TypeError"}


class NotReadable(ValueError):
    """These bytes are no value that can be told here."""


def read_v8_value(data: bytes) -> Any:
    """Return the value. Raises ``NotReadable``: for other bytes, and for what has no counterpart, such as a stub."""
    reader = _Reader(data)
    try:
        return reader.whole()
    except (IndexError, struct.error, UnicodeDecodeError, OverflowError, TypeError, KeyError) as error:
        raise NotReadable(f"not a value as V8 writes it: {error}") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._depth = data, 0, 0
        self._version = 0
        self._known: list[Any] = []
        """What may be referred to again, in the order in which it came."""

    def whole(self) -> Any:
        if self._data[:1] != b"\xff":
            raise NotReadable("it does not begin as V8's values do")
        self._at = 1
        self._version = self._varint()
        if self._version > _NEWEST:
            raise NotReadable(f"it was written by a newer V8 (version {self._version})")
        return self._value()

    def _value(self) -> Any:
        self._depth += 1
        if self._depth > _MOST_DEEP:
            raise NotReadable("it is nested too deeply")
        try:
            tag = self._tag()
            read = _READERS.get(tag)
            if read is None:
                raise NotReadable(f"it holds something that is no data ({tag!r})")
            value = read(self)
            # A buffer, or what refers to one, may be that of a view which follows.
            return self._view(value) if isinstance(value, BufferData) and self._next_is("V") else value
        finally:
            self._depth -= 1

    # Pieces

    def _tag(self) -> str:
        while True:
            tag = chr(self._data[self._at])
            self._at += 1
            if tag == "?":
                self._varint()
            elif tag != "\0":
                return tag

    def _next_is(self, tag: str) -> bool:
        at = self._at
        if at < len(self._data) and self._tag() == tag:
            return True
        self._at = at
        return False

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _bytes(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise NotReadable("it ends too early")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def _double(self) -> float:
        return struct.unpack("<d", self._bytes(8))[0]

    def _remember(self, value: Any) -> Any:
        self._known.append(value)
        return value

    # Values

    def integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def number(self) -> int | float:
        value = self._double()
        is_whole = math.isfinite(value) and value.is_integer() and abs(value) < _LARGEST_EXACT
        return int(value) if is_whole and (value or math.copysign(1, value) > 0) else value

    def big_integer(self) -> int:
        bits = self._varint()
        value = int.from_bytes(self._bytes(bits >> 1), "little")
        return -value if bits & 1 else value

    def latin1(self) -> str:
        return self._bytes(self._varint()).decode("latin-1")

    def utf16(self) -> str:
        return self._bytes(self._varint()).decode("utf-16-le", "surrogatepass")

    def utf8(self) -> str:
        return self._bytes(self._varint()).decode()

    def date(self) -> datetime | DateData:
        milliseconds = self._double()
        try:
            return self._remember(_EPOCH + timedelta(milliseconds=milliseconds))
        except (OverflowError, ValueError):
            return self._remember(DateData(milliseconds))

    def pattern(self) -> RegExpData:
        at = len(self._known)
        self._known.append(None)
        source, flags = self._value(), self._varint()
        made = self._known[at] = RegExpData(source, "".join(f for n, f in enumerate(_FLAGS) if flags >> n & 1))
        return made

    def seen(self) -> Any:
        return self._known[self._varint()]

    def object(self) -> dict[str, Any]:
        made = self._remember({})
        self._properties(made, "{")
        self._varint()
        return made

    def dense_array(self) -> list[Any]:
        made = self._remember([])
        for _ in range(self._varint()):
            made.append(None if self._next_is("-") else self._value())
        self._properties({}, "$")
        self._varint()
        self._varint()
        return made

    def sparse_array(self) -> list[Any]:
        made, length, items = self._remember([]), self._varint(), dict[Any, Any]()
        if length > len(self._data) * 1000:
            raise NotReadable(f"an array of {length} elements, most of them empty")
        self._properties(items, "@")
        self._varint()
        self._varint()
        made.extend(items.get(str(at)) for at in range(length))
        return made

    def _properties(self, into: dict[Any, Any], end: str) -> None:
        while not self._next_is(end):
            key = self._value()
            into[str(key)] = self._value()

    def map(self) -> MapData:
        made = self._remember(MapData())
        while not self._next_is(":"):
            key = self._value()
            made.fill([(key, self._value())])
        self._varint()
        return made

    def set(self) -> SetData:
        made, members = self._remember(SetData()), list[Any]()
        while not self._next_is(","):
            members.append(self._value())
        self._varint()
        made.fill(members)
        return made

    def buffer(self) -> BufferData:
        return self._remember(BufferData(self._bytes(self._varint())))

    def resizable_buffer(self) -> BufferData:
        length = self._varint()
        self._varint()
        return self._remember(BufferData(self._bytes(length)))

    def _view(self, buffer: BufferData) -> ViewData:
        kind = _VIEWS.get(chr(self._bytes(1)[0]))
        if kind is None:
            raise NotReadable("it holds a kind of typed array that is not known")
        offset, length = self._varint(), self._varint()
        if self._version >= 14:
            self._varint()
        return self._remember(ViewData.part_of(buffer, kind, offset, length))

    def boxed(self, read: Callable[[_Reader], Any]) -> BoxedData:
        at = len(self._known)
        self._known.append(None)
        made = self._known[at] = BoxedData(read(self))
        return made

    def error(self) -> ErrorData:
        made = self._remember(ErrorData(name="Error", message=""))
        while (part := self._tag()) != ".":
            if part == "m":
                made["message"] = self._value()
            elif part == "c":
                made["cause"] = self._value()
            elif part == "s":
                made.stack = self._value()
            else:
                made["name"] = made.class_name = _ERRORS.get(part, "URIError" if part == "U" else "Error")
        return made


_READERS: Final[dict[str, Callable[[_Reader], Any]]] = {
    "_": lambda _: None,
    "0": lambda _: None,
    "T": lambda _: True,
    "F": lambda _: False,
    "I": _Reader.integer,
    "U": _Reader._varint,
    "N": _Reader.number,
    "Z": _Reader.big_integer,
    '"': _Reader.latin1,
    "c": _Reader.utf16,
    "S": _Reader.utf8,
    "D": _Reader.date,
    "^": _Reader.seen,
    "o": _Reader.object,
    "A": _Reader.dense_array,
    "a": _Reader.sparse_array,
    ";": _Reader.map,
    "'": _Reader.set,
    "B": _Reader.buffer,
    "~": _Reader.resizable_buffer,
    "y": lambda reader: reader.boxed(lambda _: True),
    "x": lambda reader: reader.boxed(lambda _: False),
    "R": _Reader.pattern,
    "n": lambda reader: reader.boxed(_Reader.number),
    "z": lambda reader: reader.boxed(_Reader.big_integer),
    "s": lambda reader: reader.boxed(_Reader._value),
    "r": _Reader.error,
}
