"""Who may write to a database: the token of the last owner stands in it, and is compared within each transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edgeagents.errors import OwnershipLost
from edgeagents.objects.lease import Lease
from edgeagents.objects.own_tables import MARK, PUT_METADATA
from edgeagents.objects.sqlite_driver import Driver

__all__ = ["GET_OWNER", "Ownership"]

GET_OWNER: Final = "SELECT value FROM _cf_METADATA WHERE key = 'owner'"


class Ownership:
    """The right to write by ``lease``."""

    __slots__ = ("_lease",)

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    @property
    def may_displace(self) -> bool:
        """Whether the owner before may still run, so that the database has to be taken from it."""
        return self._lease.displace is not None

    def check(self, driver: Driver) -> None:
        """Raise ``OwnershipLost`` when a later owner has the database."""
        for (token,) in driver.fetch_trusted(GET_OWNER):
            if token > self._lease.token:
                raise OwnershipLost

    def take_over(self, driver: Driver) -> bool:
        """See that no later owner has the database, and that an earlier one that still runs can no longer write.

        Return whether there was an earlier one.
        """
        displace = self._lease.displace
        if displace is None:
            self.check(driver)
            return False
        try:
            had_other = self._put(driver)
        except driver.errors as error:
            if driver.explain(error).code != "SQLITE_BUSY":
                raise
            displace()
            had_other = self._put(driver)
        # Whoever was there before has been seen off: when the file is opened again it is enough to look.
        self._lease = replace(self._lease, displace=None)
        return had_other

    def _put(self, driver: Driver) -> bool:
        token, had_other = self._lease.token, False
        driver.fetch_trusted(f"BEGIN IMMEDIATE {MARK}")
        try:
            for (known,) in driver.fetch_trusted(GET_OWNER):
                if known > token:
                    raise OwnershipLost
                had_other = had_other or known < token
            driver.fetch_trusted(PUT_METADATA, ("owner", token))
            driver.fetch_trusted(f"COMMIT {MARK}")
        except BaseException:
            driver.fetch_trusted(f"ROLLBACK {MARK}")
            raise
        return had_other
