"""Logs of a history on disk: compressed, in as many streams as there were times when more of the log was copied."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final

from edgeagents.objects.disk import sync_descriptor

__all__ = ["pack", "unpack"]

_COMPRESSION: Final = 1
_CHUNK: Final = 1024 * 1024


def pack(source: BinaryIO, length: int, target: BinaryIO) -> None:
    """Append the next ``length`` bytes of ``source`` to ``target``, as a compressed stream of its own."""
    packer = zlib.compressobj(_COMPRESSION)
    while length:
        data = source.read(min(length, _CHUNK))
        if not data:
            raise OSError("The log is shorter than its commits.")
        length -= len(data)
        target.write(packer.compress(data))
    target.write(packer.flush())
    target.flush()
    sync_descriptor(target.fileno())


def unpack(data: bytes) -> bytes:
    """Return what all streams in ``data`` hold."""
    parts: list[bytes] = []
    while data:
        unpacker = zlib.decompressobj()
        parts.append(unpacker.decompress(data))
        data = unpacker.unused_data
    return b"".join(parts)
