"""Rate limits: how often something may be done, counted in windows of ten seconds or a minute.

A window begins when the clock says a multiple of its length, for every key at once. The counters are kept beside the
other stores, so that all processes of one state folder count together; after a loss of power they may begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgeagents.errors import ConfigError, EdgeAgentsError

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.stores import Stores

__all__ = ["RateLimit", "RateLimitError", "rate_limit_of"]

PERIODS: Final = (10, 60)
_SCHEMA: Final = (
    "PRAGMA synchronous = OFF",
    "CREATE TABLE IF NOT EXISTS counters (key TEXT, period INTEGER, epoch INTEGER NOT NULL, count INTEGER NOT NULL, "
    "PRIMARY KEY (key, period)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS counters_old ON counters (period, epoch)",
)
# One statement, so that of two processes one is first. No row comes back when the limit is reached.
_COUNT: Final = (
    "INSERT INTO counters VALUES (?1, ?2, ?3, 1) ON CONFLICT (key, period) DO UPDATE "
    "SET count = iif(epoch = ?3, count + 1, 1), epoch = ?3 WHERE epoch <> ?3 OR count < ?4 RETURNING count"
)


class RateLimitError(EdgeAgentsError):
    """What was asked of a rate limit means nothing."""


class RateLimit:
    """One namespace of counters, with a limit of its own."""

    js_name: ClassVar[str] = "Ratelimit"

    def __init__(self, stores: Stores, namespace_id: str, limit: float, period: int, clock: Clock) -> None:
        self._stores, self._id, self._clock = stores, namespace_id, clock
        self._limit, self._period = limit, period

    async def limit(
        self, options: Any = None, *, key: Any = None, limit: Any = None, period: Any = None
    ) -> dict[str, bool]:
        """Count one for ``key``, and return ``{"success"}``: whether the limit allows it.

        ``limit`` and ``period`` (seconds, 10 or 60) are the binding's unless they are given.
        """
        if options is None:
            named = {"key": key, "limit": limit, "period": period}
            options = {name: value for name, value in named.items() if value is not None} or None
        if not isinstance(options, Mapping):
            raise RateLimitError("invalid rate limit options")
        unknown = [name for name in options if name not in ("key", "limit", "period")]
        if unknown:
            raise RateLimitError(f"bad rate limit options: [{','.join(unknown)}]")
        return {"success": self._allows(**{str(name): value for name, value in options.items() if value is not None})}

    def _allows(self, key: Any = "", limit: Any = None, period: Any = None) -> bool:
        if not isinstance(key, str):
            raise RateLimitError(f"invalid key: {key}")
        most = self._limit if limit is None else limit
        window = self._period if period is None else period
        for name, value in (("limit", most), ("period", window)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise RateLimitError(f"{name} must be a number: {value}")
        if window not in PERIODS:
            raise RateLimitError(f"unsupported period: {window}")
        return most >= 1 and self._count(key, int(window), most)

    def _count(self, key: str, period: int, limit: float) -> bool:
        database: Any = self._stores.open("ratelimits", self._id, _SCHEMA)
        epoch = int(self._clock.now().timestamp() // period)
        # A lone surrogate is no text for SQLite.
        name = key.encode("utf-8", "backslashreplace").decode()
        row = database.execute(_COUNT, (name, period, epoch, int(limit))).fetchone()
        if row is not None and row[0] == 1:
            database.execute("DELETE FROM counters WHERE period = ? AND epoch < ?", (period, epoch))
        return row is not None


def rate_limit_of(name: str, options: Mapping[str, Any], runtime: Any) -> RateLimit:
    """Return the rate limit that a binding declares. Options: ``namespace_id``, ``simple`` (``limit``, ``period``)."""
    simple: Mapping[str, Any] = options.get("simple") or {}
    limit, period = simple.get("limit"), simple.get("period")
    if not isinstance(limit, int | float) or period not in PERIODS:
        raise ConfigError(f'The rate limit {name!r} needs "simple": {{"limit": a number, "period": 10 or 60}}.')
    return RateLimit(runtime.stores, str(options.get("namespace_id") or name), limit, period, runtime.clock)
