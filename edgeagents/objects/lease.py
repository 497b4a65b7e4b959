"""Leases: the right to write for an object, as its database sees it.

Who has the right is decided elsewhere (``edgeagents.placement``). Here is what proves it: a token that is larger than
that of every owner before. The database compares it with the one it holds inside the transaction that commits, so a
process that slept through its lease cannot commit after another one took over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Lease"]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write. ``token`` is larger than that of every earlier owner.

    ``is_shared`` says that other processes own other objects of the same folder, so that SQLite's own locks guard the
    files too. ``displace`` is there when the owner before may still run: it did not renew its lease in time. Calling
    it ends that process, which is the last resort when it stopped while it held a lock of SQLite's.
    """

    token: int
    is_shared: bool = False
    displace: Callable[[], None] | None = None
