"""How much memory and time of the processor a server takes: all processes of its group, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


_TICKS = os.sysconf("SC_CLK_TCK")


def processor(leader: int) -> float:
    """Return the seconds of the processor that the group has had so far."""
    ticks = 0
    for pid in group(leader):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def group(leader: int) -> list[int]:
    """Return the processes of the process group that ``leader`` leads."""
    members: list[int] = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name in parentheses may hold anything; the group is the third field after it.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader:
            members.append(int(entry.name))
    return members


def _status(pid: int, key: str) -> int:
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0


def resident(leader: int) -> int:
    """Return the bytes of memory that the group has now."""
    return sum(_status(pid, "VmRSS:") for pid in group(leader))


def peak(leader: int) -> int:
    """Return the most bytes that the processes of the group had since ``forget_peak``."""
    return sum(_status(pid, "VmHWM:") for pid in group(leader))


def forget_peak(leader: int) -> None:
    """Let the peak start again from now."""
    for pid in group(leader):
        (PROC / str(pid) / "clear_refs").write_text("5")


def can_forget_peak() -> bool:
    return os.access("/proc/self/clear_refs", os.W_OK)


def own() -> int:
    """Return the bytes of memory that this process has."""
    return _status(os.getpid(), "VmRSS:")
