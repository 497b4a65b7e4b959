"""What makes a file, and its name, survive a loss of power."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["sync_descriptor", "sync_file", "sync_folder", "sync_if_there"]


def _mac_sync() -> Callable[[int], object] | None:
    try:
        import fcntl
    except ImportError:
        return None
    command = getattr(fcntl, "F_FULLFSYNC", None)
    # On macOS fsync leaves data in the drive's own cache.
    return None if command is None else lambda descriptor: fcntl.fcntl(descriptor, command)


_full_sync: Final = _mac_sync()


def sync_descriptor(descriptor: int) -> None:
    """Return when the content of the open file survives a loss of power."""
    if _full_sync is not None:
        _full_sync(descriptor)
    else:
        os.fsync(descriptor)


def sync_file(path: Path | str) -> None:
    """Return when the content of the file survives a loss of power."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_if_there(path: str) -> bool:
    """The same, of a file that may not be there; return whether it was."""
    try:
        sync_file(path)
    except FileNotFoundError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder survive a loss of power."""
    if os.name == "nt":
        return  # Folders cannot be opened there.
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return  # It was removed since, with all that was in it.
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
