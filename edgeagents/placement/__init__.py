"""Placement: who owns an object, and how events reach it there.

| to | look in |
|---|---|
| see what a placement must do | `contract.py` |
| have all objects in one process | `single_process.py`, `folder_claim.py` |
| share a state folder among processes | `shared_folder.py` |
| know who is alive, who owns which shard | `members.py`, `registry.py` |
| lock a file so that a forked child has not the lock | `lock_files.py` |
| open a SQLite file that several processes have | `shared_file.py` |
| carry events between processes | `link.py`, `wire.py`, `remote_call.py`, `owners_end.py`, `carried_socket.py` |

Nothing above this room knows where an object lives. What crosses from one process to another is data, small and
serialisable, so that another placement can carry it further.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgeagents.objects import Address, Lease
from edgeagents.placement.contract import Local, Placement
from edgeagents.placement.folder_claim import FolderClaim, wait_for_lock
from edgeagents.placement.single_process import SingleProcess

__all__ = [
    "Address",
    "FolderClaim",
    "Lease",
    "Local",
    "Placement",
    "SingleProcess",
    "default_placement",
    "wait_for_lock",
]


def default_placement(folder: Path | None, worker: str = "") -> Placement:
    """Return what shares ``folder`` with other processes; for memory, and on Windows, what needs one for itself.

    The processes that run one ``worker`` share its objects; workers of other names are not asked for them.
    """
    if folder is None or sys.platform == "win32":
        return SingleProcess(folder, worker)
    from edgeagents.placement.shared_folder import SharedFolder

    return SharedFolder(folder, worker)
