"""Files whose lock stands for this process: the children that it forks do not have them.

The operating system's lock is on the open file, which a forked child shares. A worker of ``multiprocessing`` that
outlives a killed server would keep for it what the server had.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["close_lock_file", "open_lock_file"]

_open: Final[set[int]] = set()


def open_lock_file(path: Path, flags: int = 0) -> int:
    """Open the file, which is made if need be, for this process alone. Return its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | flags, 0o600)
    _open.add(fd)
    return fd


def close_lock_file(fd: int) -> None:
    """Close what ``open_lock_file`` opened, and so end its lock. In a forked child it is closed already."""
    if fd in _open:
        _open.remove(fd)
        os.close(fd)


def _leave_to_parent() -> None:
    for fd in _open:
        os.close(fd)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
