"""Numbers of 16 bits, which Python's memoryviews do not read."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

__all__ = ["HalfFloats", "packed_half"]


def packed_half(value: float) -> bytes:
    """Return the bytes of a number. One that is too large is infinite."""
    try:
        return struct.pack("e", value)
    except OverflowError:
        return struct.pack("e", math.copysign(math.inf, value))


class HalfFloats:
    """A view of bytes as such numbers, with what typed arrays ask of a memoryview."""

    format, itemsize = "e", 2

    def __init__(self, view: memoryview) -> None:
        self._bits = view.cast("H")

    @property
    def nbytes(self) -> int:
        """How many bytes there are."""
        return self._bits.nbytes

    def __len__(self) -> int:
        return len(self._bits)

    def __iter__(self) -> Iterator[float]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return HalfFloats(memoryview(self._bits[index].tobytes()))
        return struct.unpack("e", struct.pack("H", self._bits[index]))[0]

    def __setitem__(self, index: int, value: float) -> None:
        self._bits[index] = struct.unpack("H", packed_half(value))[0]

    def tolist(self) -> list[float]:
        """Return the numbers."""
        return list(struct.unpack(f"{len(self)}e", self._bits.tobytes()))

    def tobytes(self) -> bytes:
        """Return the bytes."""
        return self._bits.tobytes()

    def cast(self, form: Any) -> memoryview:
        """Return the memory as what Python reads."""
        return self._bits.cast("B").cast(form)
