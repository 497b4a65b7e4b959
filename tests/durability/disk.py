"""What a disk may have when the power goes: all that was synced, and of the rest whatever chance leaves.

A ``Disk`` knows of each file under its root what it held when it was last synced, and of each folder which names had
been. It learns that from the calls of fsync themselves: Python's, and SQLite's own through a VFS that hands everything
on. ``image`` makes a folder as it could be found after a loss of power:

- a file that was written since its last sync has the old bytes, the new ones, or some of both by sectors of 512 bytes,
  of which those that differ may be zero or garbage too; its size is the old one, the new one, or one between;
- a file that was never synced has some of its pages and zeros for the others, up to some size;
- a name that was made, moved or removed since its folder was synced may be there or not.

Bytes that a write did not touch are never harmed, which is what SQLite relies on (``POWERSAFE_OVERWRITE``).
"""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from typing import Any

import apsw

__all__ = ["Disk"]

SECTOR = 512
PAGE = 4096


class Disk:
    """The disk under ``root``. ``install`` makes it learn of every fsync of this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.syncs = 0
        self._vfs: Any = None

    def install(self) -> None:
        fsync = os.fsync

        def learn_and_sync(descriptor: Any) -> None:
            fsync(descriptor)
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            status = os.fstat(number)
            if stat.S_ISDIR(status.st_mode):
                self.note(Path(os.readlink(f"/proc/self/fd/{number}")))
            else:
                # By its descriptor: it may have got another name since it was opened.
                self.syncs += 1
                self._contents[status.st_ino] = Path(f"/proc/self/fd/{number}").read_bytes()

        os.fsync = learn_and_sync
        self._vfs = _Vfs(self)

    def note(self, path: Path) -> None:
        """``path`` was synced."""
        if not path.is_relative_to(self.root) or not path.exists():
            return
        self.syncs += 1
        if path.is_dir():
            self._names[path.stat().st_ino] = _names(path)
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def settle(self, folder: Path) -> None:
        """Everything under ``folder`` is on the disk: a machine starts with it."""
        for path in (folder, *folder.rglob("*")):
            self.note(path)
        self._names.setdefault(folder.parent.stat().st_ino, {})[folder.name] = folder.stat().st_ino

    def image(self, folder: Path, target: Path, rng: random.Random) -> int:
        """Make ``target`` what could be left of ``folder``; return how many files are not as they were last."""
        target.mkdir()
        now = _names(folder)
        kept = self._names.get(folder.stat().st_ino, {})
        changed = 0
        for name in sorted(now.keys() | kept.keys()):
            new, old = now.get(name), kept.get(name)
            chosen = new if new == old else rng.choice([new, old])
            changed += chosen != new
            if chosen is None:
                continue
            path = folder / name
            if chosen == new and path.is_dir():
                changed += self.image(path, target / name, rng)
                continue
            synced = self._contents.get(chosen)
            written = path.read_bytes() if chosen == new else synced or b""
            content = _begun(written, rng) if synced is None else _mixed(synced, written, rng)
            changed += content != written
            (target / name).write_bytes(content)
        return changed


def _names(folder: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(folder)}


def _begun(new: bytes, rng: random.Random) -> bytes:
    size = rng.choice([0, len(new), rng.randint(0, len(new))])
    keeps = rng.choice([0.0, 0.5, 1.0])
    pages = (new[at : at + PAGE] for at in range(0, size, PAGE))
    return b"".join(page if rng.random() < keeps else bytes(len(page)) for page in pages)[:size]


def _mixed(old: bytes, new: bytes, rng: random.Random) -> bytes:
    if old == new:
        return new
    size = rng.choice([len(old), len(new), rng.randint(*sorted((len(old), len(new))))])
    how = rng.choice(["old", "new", "first", "some"])
    first = rng.randrange(0, max(len(old), len(new)) + 1)
    sectors: list[bytes] = []
    for at in range(0, size, SECTOR):
        before, after = (whole[at : at + SECTOR].ljust(SECTOR, b"\0") for whole in (old, new))
        match how:
            case "old":
                sectors.append(before)
            case "new":
                sectors.append(after)
            case "first":
                sectors.append(after if at < first else before)
            case _:
                sectors.append(_one_of(before, after, rng))
    return b"".join(sectors)[:size]


def _one_of(before: bytes, after: bytes, rng: random.Random) -> bytes:
    if before == after:
        return after
    what = rng.randrange(4)
    if what < 2:
        return (before, after)[what]
    differs = [at for at in range(SECTOR) if before[at] != after[at]]
    begin, end = differs[0], differs[-1] + 1
    harmed = bytes(end - begin) if what == 2 else rng.randbytes(end - begin)
    return after[:begin] + harmed + after[end:]


class _Vfs(apsw.VFS):
    """SQLite's own, with an ear for syncs."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__("heard", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _File(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        if syncdir:
            self.disk.note(Path(filename).parent)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._path:
            self._disk.note(Path(self._path))
