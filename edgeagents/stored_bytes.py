"""Bytes that a store keeps beside its database, since they may be many: a file for each, or memory.

A file is written whole before a database names it, and removed after none does any more. Until it is whole its name
ends in ``.new``, which no copy of the folder takes. What takes long with many bytes is done in a thread, so that nobody
else waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from edgeagents.objects.disk import sync_descriptor, sync_folder

__all__ = ["KeptBytes", "NewBytes", "StoredBytes"]

_AT_ONCE: Final = 128 * 1024
"""So many bytes are read or written where they are asked for: a thread would cost more."""
_PIECE: Final = 512 * 1024
_BINARY: Final = getattr(os, "O_BINARY", 0)


class NewBytes:
    """Bytes that are being written. You must ``keep`` or ``drop`` them."""

    def __init__(self, path: Path | None, memory: dict[str, bytes], name: str) -> None:
        self._path, self._memory, self._name = path, memory, name
        self._unfinished = None if path is None else path.with_name(f"{path.name}.new")
        self._file = None if self._unfinished is None else open(self._unfinished, "xb", opener=_private)  # noqa: SIM115
        self._pieces: list[bytes] = []

    async def write(self, piece: bytes) -> None:
        """Add to the bytes."""
        if self._file is None or len(piece) <= _AT_ONCE:
            self.write_now(piece)
        else:
            await asyncio.to_thread(self.write_now, piece)

    async def keep(self) -> None:
        """The bytes are whole, and survive a loss of power when this returns."""
        if self._file is None:
            self.keep_now()
        else:
            await asyncio.to_thread(self.keep_now)

    def write_now(self, piece: bytes) -> None:
        """Add to the bytes, in this thread."""
        if self._file is None:
            self._pieces.append(piece)
        else:
            self._file.write(piece)

    def keep_now(self) -> None:
        """The same as ``keep``, in this thread."""
        if self._file is None:
            self._memory[self._name] = b"".join(self._pieces)
            return
        self._file.flush()
        sync_descriptor(self._file.fileno())
        self._file.close()
        assert self._path is not None
        assert self._unfinished is not None
        os.rename(self._unfinished, self._path)
        sync_folder(self._path.parent)

    def drop(self) -> None:
        """Forget the bytes."""
        if self._file is not None and self._path is not None and self._unfinished is not None:
            self._file.close()
            for path in (self._unfinished, self._path):
                path.unlink(missing_ok=True)


class KeptBytes:
    """Bytes as they are now, whatever becomes of their name while they are read."""

    def __init__(self, path: Path | None, memory: bytes = b"") -> None:
        self._memory = memory
        self._fd = None if path is None else os.open(path, os.O_RDONLY | _BINARY)
        self._size = len(memory) if self._fd is None else os.fstat(self._fd).st_size

    @property
    def size(self) -> int:
        """How many there are."""
        return self._size

    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of them."""
        end = offset + length
        is_quick = self._fd is None or length <= _AT_ONCE
        while offset < end:
            count = min(_PIECE, end - offset)
            piece = self._read(offset, count) if is_quick else await asyncio.to_thread(self._read, offset, count)
            if not piece:
                return
            offset += len(piece)
            yield piece

    async def whole(self) -> bytes:
        """Return them all."""
        if self._fd is None or self._size <= _AT_ONCE:
            return self._read(0, self._size)
        return await asyncio.to_thread(self._read, 0, self._size)

    def _read(self, offset: int, length: int) -> bytes:
        if self._fd is None:
            return self._memory[offset : offset + length]
        os.lseek(self._fd, offset, os.SEEK_SET)
        found = os.read(self._fd, length)
        # One call may give less than was asked for, and never gives more than two gigabytes.
        while 0 < len(found) < length and (more := os.read(self._fd, length - len(found))):
            found += more
        return found

    def __del__(self) -> None:
        fd: int | None = getattr(self, "_fd", None)
        if fd is not None:
            os.close(fd)


class StoredBytes:
    """The bytes in ``folder``, by names that are plain words; None keeps them in memory, while this value lives."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, bytes] = {}

    def new(self, name: str) -> NewBytes:
        """Begin to write the bytes of ``name``, which there must be none of."""
        path = self._file(name)
        if path is not None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        return NewBytes(path, self._memory, name)

    def open(self, name: str) -> KeptBytes:
        """Return the bytes of ``name``. Raises FileNotFoundError when they are not there any more."""
        path = self._file(name)
        if path is not None:
            return KeptBytes(path)
        if name not in self._memory:
            raise FileNotFoundError(name)
        return KeptBytes(None, self._memory[name])

    def forget(self, name: str) -> None:
        """Remove the bytes of ``name``. None are no error."""
        path = self._file(name)
        if path is None:
            self._memory.pop(name, None)
        else:
            path.unlink(missing_ok=True)

    def _file(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
