"""The file format of SQLite's write-ahead log, as far as the history of a database needs it.

A log begins with a header of 32 bytes, which holds two salts. Frames follow, each a header of 24 bytes and a page; one
whose header names a size of the database ends a commit. When all frames have been moved into the database, the next
commit begins the log anew, from the start of the same file: the first salt is then greater by one, and the log's
number, which counts from 0 for a new file, too. Frames of before that stand behind the new ones are ignored, as their
salts are others.

https://www.sqlite.org/fileformat.html#walformat
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

__all__ = ["LogHeader", "count_frames", "frames_end", "is_commit", "log_path", "read_header"]

_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682


class LogHeader(NamedTuple):
    """What the header of a log says."""

    page_size: int
    number: int
    salts: str

    @property
    def next_salt(self) -> str:
        """The first salt of the log that follows this one, of which the second is random."""
        return f"{(int(self.salts[:8], 16) + 1) & 0xFFFFFFFF:08x}"


def log_path(database: Path) -> Path:
    """Return the log of the database at this path."""
    return database.with_name(f"{database.name}-wal")


def read_header(file: BinaryIO) -> LogHeader | None:
    """Return the header of the log that ``file`` stands at the start of; None where there is none."""
    data = file.read(_HEADER.size)
    if len(data) < _HEADER.size:
        return None
    magic, _, page_size, number, salt, other_salt, _, _ = _HEADER.unpack(data)
    if magic & ~1 != _MAGIC:
        return None
    return LogHeader(page_size, number, f"{salt:08x}{other_salt:08x}")


def frames_end(page_size: int, frames: int) -> int:
    """Return where in a log so many frames end."""
    return _HEADER.size + frames * (_FRAME_HEADER + page_size)


def count_frames(log: bytes, page_size: int) -> int:
    """Return how many frames belong to ``log``: those up to the first one with other salts."""
    salts, size, frames = log[16:24], _FRAME_HEADER + page_size, 0
    start = _HEADER.size
    while len(log) >= start + size and log[start + 8 : start + 16] == salts:
        frames += 1
        start += size
    return frames


def is_commit(log: bytes, page_size: int, frames: int) -> bool:
    """Return whether the last of the first ``frames`` of ``log`` ends a commit."""
    start = frames_end(page_size, frames - 1)
    return len(log) >= frames_end(page_size, frames) and log[start + 4 : start + 8] != b"\0\0\0\0"
