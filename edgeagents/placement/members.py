"""Members: the processes that serve one state folder, and how each knows of the others' life and death.

    <state>/owners/<number>.member
    <state>/owners/<worker>/<number>.member     of a worker that has a name

A member keeps its file locked while it lives, so its death is seen at once, however it came. In the file stands until
when the member's leases hold, which a thread renews: a member that is frozen does not, and after that time the others
may take what it has. They first put a mark beside the file, which the member looks for each time it has renewed: of the
two, at least one sees what the other wrote.

Times are of the clock that all processes of a machine share since it was started (CLOCK_MONOTONIC); it stands still
while the machine sleeps, as all of its processes do.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from edgeagents.placement.lock_files import close_lock_file, open_lock_file

__all__ = ["Member", "Peer", "Standing", "find", "owners_folder", "peers"]

Standing = Literal["alive", "lapsed", "dead"]

_TIME: Final = struct.Struct("<d")


class Member:
    """This process as a member. Made by ``join``, and over after ``leave``."""

    def __init__(self, folder: Path, number: int, socket: str, seconds: float) -> None:
        self.number, self.seconds = number, seconds
        self.holds_until = time.monotonic() + seconds
        """Until when, by ``time.monotonic()``, what this member owns is its own."""
        path = _file(folder, number)
        # What is there was left by a process that was killed while it joined: its number was never given to it.
        path.unlink(missing_ok=True)
        self._fd = open_lock_file(path, os.O_EXCL)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            about = json.dumps({"pid": os.getpid(), "pids": _pid_namespace(), "socket": socket}).encode()
            os.pwrite(self._fd, _TIME.pack(self.holds_until) + about, 0)
        except BaseException:
            self.drop()
            raise
        self._path, self._mark = path, _mark(folder, number)

    def renew(self) -> bool:
        """Hold what this member owns for another time. False when it is too late: others may have taken it."""
        until = time.monotonic() + self.seconds
        if self.holds_until < time.monotonic():
            return False
        os.pwrite(self._fd, _TIME.pack(until), 0)
        if self._mark.exists():
            self.holds_until = 0.0
            return False
        self.holds_until = until
        return True

    def drop(self) -> None:
        """Give up a membership of which nobody was told: its number may be another's already, and so its file."""
        close_lock_file(self._fd)

    def leave(self) -> None:
        """End the membership. Nothing of what it owned is in use any more."""
        self.holds_until = 0.0
        self._path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)
        close_lock_file(self._fd)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another process, as its file tells."""

    folder: Path
    number: int
    pid: int
    socket: str
    is_within_reach: bool
    """Whether its pid means the same process here, which it does not across containers."""

    @property
    def standing(self) -> Standing:
        """Whether it holds what it owns, or no longer renews, or is gone."""
        try:
            fd = os.open(_file(self.folder, self.number), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return "dead"
        try:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return "dead"
            return "alive" if _TIME.unpack(os.pread(fd, _TIME.size, 0))[0] > time.monotonic() else "lapsed"
        except struct.error:
            return "alive"  # It has just begun to write.
        finally:
            os.close(fd)

    def depose(self) -> bool:
        """Take from a lapsed member what it has. False when it has renewed after all: ask it again later."""
        _mark(self.folder, self.number).touch(mode=0o600)
        return self.standing != "alive"

    def bury(self) -> None:
        """Remove what a dead member has left."""
        for path in (_file(self.folder, self.number), _mark(self.folder, self.number)):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            os.unlink(self.socket)
        folder = os.path.dirname(self.socket)
        if folder != str(self.folder.absolute()):
            # It was made for the socket alone.
            with suppress(OSError):
                os.rmdir(folder)

    def end(self) -> None:
        """Kill the process, if it is one of this machine and still lapsed. For one that is frozen with a lock."""
        if self.is_within_reach:
            with _killing(self.pid) as kill:
                # Looked at while the process is held: if it lives, it is the one that has the lock.
                if self.standing == "lapsed":
                    kill()


def peers(folder: Path) -> Iterator[Peer]:
    """Yield the members of ``folder`` whose files are there, the dead ones too."""
    for path in sorted(folder.glob("*.member")):
        peer = find(folder, int(path.stem))
        if peer is not None:
            yield peer


def find(folder: Path, number: int) -> Peer | None:
    """Return the member with this number, or None if it has left."""
    try:
        about = json.loads(_file(folder, number).read_bytes()[_TIME.size :])
    except (FileNotFoundError, ValueError):
        return None
    return Peer(folder, number, about["pid"], about["socket"], about["pids"] == _pid_namespace())


@contextmanager
def _killing(pid: int) -> Generator[Callable[[], None]]:
    """Give what kills the process that has ``pid`` now, and no later one that is given its number."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda: None
        return
    except (AttributeError, OSError):  # It is not Linux, or an old one.
        fd = None

    def kill() -> None:
        with suppress(ProcessLookupError):
            if fd is None:
                os.kill(pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(fd, signal.SIGKILL)

    try:
        yield kill
    finally:
        if fd is not None:
            os.close(fd)


def owners_folder(state: Path, worker: str) -> Path:
    """Return where the processes that run ``worker`` meet, in the folder ``state``."""
    return state / "owners" / quote(worker, safe="") if worker else state / "owners"


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.member"


def _mark(folder: Path, number: int) -> Path:
    return folder / f"{number}.deposed"


def _pid_namespace() -> int | None:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None
