"""The registry: which member owns which shard of the objects, and the tokens that prove it.

    <owners>/registry.db, in the folder that the members have in common

Every change is one transaction of a SQLite file that all members share. A shard is taken when nobody has it, or when
its owner is dead or has lapsed. Tokens only grow: when no member is left, which is how a loss of power ends, they leap
ahead of all that could have been given out and not be on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from edgeagents.objects import SHARDS, Lease
from edgeagents.placement.members import Member, Peer, find, peers
from edgeagents.placement.shared_file import open_shared, transaction

__all__ = ["Registry"]

_LEAP: Final = 1 << 32
_BUSY_SECONDS: Final = 0.5
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS shards (shard INTEGER PRIMARY KEY, member INTEGER NOT NULL, token INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT OR IGNORE INTO numbers VALUES ('member', 0), ('token', 0)",
)


class Registry:
    """One process's view of who owns what."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = open_shared(folder / "registry.db", _BUSY_SECONDS)
        self._database.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            for statement in _SCHEMA:
                self._database.execute(statement)

    def join(self, socket: Callable[[int], str], seconds: float) -> Member:
        """Become a member that listens at what ``socket`` makes of its number. Its leases hold for ``seconds``."""
        member: Member | None = None
        try:
            with self._transaction():
                others = self._living()
                if not others:
                    self._next("token", _LEAP)
                number = self._next("member")
                member = Member(self._folder, number, socket(number), seconds)
        except BaseException:
            if member is not None:
                member.drop()
            raise
        # Later changes may be lost with the power, as those of an earlier start: the leap above is on disk.
        self._database.execute("PRAGMA synchronous = NORMAL")
        return member

    def _living(self) -> list[Peer]:
        living: list[Peer] = []
        for peer in peers(self._folder):
            if peer.standing == "dead":
                peer.bury()
            else:
                living.append(peer)
        return living

    def claim(self, member: Member, shard: int) -> Lease | Peer:
        """Take the shard if it is free; else return who has it."""
        with self._transaction():
            row = self._database.execute("SELECT member, token FROM shards WHERE shard = ?", (shard,)).fetchone()
            if row is not None and row[0] == member.number:
                return Lease(row[1], is_shared=True, displace=self._displace())
            owner = self._owner_in_force(row[0]) if row is not None else None
            return owner or self._take(member, shard, self._displace())

    def claim_free(self, member: Member, count: int) -> dict[int, Lease]:
        """Take up to ``count`` shards that nobody has. Return the leases."""
        taken: dict[int, Lease] = {}
        with self._transaction():
            has = dict(self._database.execute("SELECT shard, member FROM shards"))
            in_force: dict[int, bool] = {}
            displace = self._displace()
            for shard in range(SHARDS):
                if len(taken) >= count:
                    break
                owner = has.get(shard)
                if owner is not None and owner not in in_force:
                    in_force[owner] = owner == member.number or self._owner_in_force(owner) is not None
                    displace = self._displace()
                if owner is None or not in_force[owner]:
                    taken[shard] = self._take(member, shard, displace)
        return taken

    def release(self, member: Member, shards: Iterable[int]) -> None:
        """Give up shards of which nothing is in use here any more."""
        with self._transaction():
            self._database.executemany(
                "DELETE FROM shards WHERE shard = ? AND member = ?", ((shard, member.number) for shard in shards)
            )

    def count_members(self) -> int:
        """Return how many members hold what they own."""
        return sum(peer.standing == "alive" for peer in peers(self._folder))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def end_lapsed(self) -> None:
        """Kill the members that did not renew: one that stopped in a transaction keeps all others from theirs."""
        displace = self._displace()
        if displace is not None:
            displace()

    def _owner_in_force(self, number: int) -> Peer | None:
        owner = find(self._folder, number)
        if owner is None:
            return None
        standing = owner.standing
        if standing == "dead":
            owner.bury()
            return None
        return None if standing == "lapsed" and owner.depose() else owner

    def _take(self, member: Member, shard: int, displace: Callable[[], None] | None) -> Lease:
        token = self._next("token")
        self._database.execute("INSERT OR REPLACE INTO shards VALUES (?, ?, ?)", (shard, member.number, token))
        return Lease(token, is_shared=True, displace=displace)

    def _displace(self) -> Callable[[], None] | None:
        """Return what ends the members that lapsed, or None if there are none."""
        lapsed = [peer for peer in peers(self._folder) if peer.standing == "lapsed"]
        if not lapsed:
            return None

        def displace() -> None:
            for peer in lapsed:
                peer.end()

        return displace

    def _next(self, name: str, step: int = 1) -> int:
        ((value,),) = self._database.execute(
            "UPDATE numbers SET value = value + ? WHERE name = ? RETURNING value", (step, name)
        )
        return value

    def _transaction(self) -> AbstractContextManager[None]:
        return transaction(self._database)
