"""The file of a new database: what is in it, how it comes to its place, and how one is told from what is not whole.

The file is a copy of a template, which saves making tables one by one. It may not have been synced when the power was
lost: then there is a file of the right size with some of its pages empty, and the object had nothing yet.

Nothing here may be done with a file that SQLite has open: closing a descriptor of it would drop SQLite's locks.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from edgeagents.errors import StorageUnavailable
from edgeagents.objects import own_tables
from edgeagents.objects.authorizer import Authorizer
from edgeagents.objects.limits import Limits
from edgeagents.objects.sqlite_driver import Driver

__all__ = ["has_content", "is_untouched", "is_whole", "place", "start_of", "template"]

_PAGE: Final = 4096
_BINARY: Final = getattr(os, "O_BINARY", 0)
_BESIDE: Final = ("-wal", "-shm", "-journal")


@functools.cache
def template(module: Any) -> bytes:
    """Return the content of a new database file, made with the driver's ``module``: our tables, in WAL mode."""
    authorizer = Authorizer()
    authorizer.is_trusted = True
    driver: Driver = module.connect(":memory:", authorizer, Limits())
    try:
        own_tables.make(driver)
        content = bytearray(driver.serialize())
    finally:
        driver.close()
    # The read and write version of the file format: 2 is WAL.
    content[18] = content[19] = 2
    return bytes(content)


def start_of(path: Path, length: int) -> bytes:
    """Return the first bytes of the file, none if it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageUnavailable(f"The database {path} cannot be opened: {error}") from error
    try:
        return os.read(descriptor, length)
    finally:
        os.close(descriptor)


def has_content(path: Path) -> bool:
    """Whether there is a database, as far as the first bytes tell."""
    # After a loss of power a file that was never synced may be there with its size and without its content.
    return any(start_of(path, 16))


def is_untouched(content: bytes, template: bytes) -> bool:
    """Whether ``content`` is that of a new file, so that all that was ever written is in the log."""
    # Another release of SQLite writes its own number there.
    return content[:92] == template[:92] and content[100:] == template[100:]


def is_whole(content: bytes, template: bytes) -> bool:
    """Whether there is a database, and not what a loss of power left of a new one, which nobody has synced.

    ``content`` is the start of the file, as far as the template goes and one byte more.
    """
    if not any(content[:16]):
        return False
    if content[:92] != template[:92]:
        return len(content) >= 512  # Another database, or one into which a log was moved.
    pages = (content[at : at + _PAGE] for at in range(0, len(template), _PAGE))
    return len(content) >= len(template) and all(page.count(0) < len(page) for page in pages)


def place(path: Path, content: bytes, *, is_shared: bool) -> tuple[int | None, list[Path]]:
    """Put a file with ``content`` at ``path``, whole or not at all; nothing of it is synced.

    Return its descriptor, and the folders that have a new entry because folders were made. Where it ``is_shared``
    another process may make it first, at any moment: then that one's file stays, and there is no descriptor.
    """
    folders: list[Path] = []
    folder = path.parent
    while not folder.exists():
        folders.append(folder)
        folder = folder.parent
    for folder in reversed(folders):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = f"{path}-new{os.getpid() if is_shared else ''}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        if is_shared:
            _move_to_free_place(temporary, path, content)
        else:
            for end in _BESIDE:
                path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
            os.replace(temporary, path)
    except FileExistsError:
        os.close(descriptor)
        os.unlink(temporary)
        return None, []  # Whoever made it meanwhile owns it, or did: the tokens tell.
    except BaseException:
        os.close(descriptor)
        Path(temporary).unlink(missing_ok=True)
        raise
    return descriptor, [folder.parent for folder in folders]


def _in_the_way(path: Path) -> list[Path]:
    """Return what is left of a database that is no more, in its place and beside it."""
    return [left for left in (*(path.with_name(f"{path.name}{end}") for end in _BESIDE), path) if left.exists()]


def _move_to_free_place(temporary: str, path: Path, content: bytes) -> None:
    in_the_way = _in_the_way(path)
    if in_the_way:
        # Where something is in the way the file is made under this lock alone. What is unlinked last is what is locked:
        # from then on others may make the file, and what is beside it is theirs.
        with _lock(in_the_way[-1]):
            if is_whole(start_of(path, len(content) + 1), content):
                raise FileExistsError(path)
            for left in _in_the_way(path):
                left.unlink()
            os.link(temporary, path)
    else:
        # A link, unlike a rename, never takes the place of a file that is there.
        os.link(temporary, path)
    os.unlink(temporary)


@contextmanager
def _lock(path: Path) -> Generator[None]:
    """Hold the lock of the file, which is there. Raises ``StorageUnavailable`` when another process has it."""
    taken = StorageUnavailable(f"Another process is about to make the database of {path}.")
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise taken from None
    try:
        if not (_try_lock(descriptor) and path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())):
            raise taken
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return True  # There is one process.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
