"""Prepared statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from edgeagents.objects import writes_kept
from edgeagents_d1.engine import D1Error, Engine, Outcome

__all__ = ["D1PreparedStatement", "result_of"]


class D1PreparedStatement:
    """A statement with its values, ready to run as often as you like."""

    js_name: ClassVar[str] = "D1PreparedStatement"

    def __init__(
        self,
        engine: Engine,
        sql: str,
        values: tuple[Any, ...] = (),
        on_run: Callable[[], object] | None = None,
    ) -> None:
        self._engine, self._sql, self._values, self._on_run = engine, sql, values, on_run

    def bind(self, *values: Any) -> D1PreparedStatement:
        """Return the statement with these values for its parameters: None, bool, int, float, str, bytes.

        Numbers are what JavaScript has, of which 1 and 1.0 are one: SQLite gets them as REAL.
        """
        return D1PreparedStatement(self._engine, self._sql, tuple(map(_bound, values)), self._on_run)

    async def first(self, column: str | None = None) -> Any:
        """Return the first row as a dict, or one ``column`` of it; None when there is no row."""
        outcome = await self._kept()
        if not outcome.rows:
            return None
        row = dict(zip(outcome.columns, outcome.rows[0], strict=True))
        if column is None:
            return row
        if column not in row:
            raise D1Error(f"D1_COLUMN_NOTFOUND: Column not found ({column})")
        return row[column]

    async def all(self) -> dict[str, Any]:
        """Return ``{"success", "results", "meta"}``; ``results`` are the rows as dicts."""
        return result_of(await self._kept())

    async def run(self) -> dict[str, Any]:
        """Return the same as ``all``."""
        return await self.all()

    async def raw(self, *, column_names: bool = False) -> list[list[Any]]:
        """Return the rows as lists; with ``column_names`` the names stand before them."""
        outcome = await self._kept()
        rows = [list(row) for row in outcome.rows]
        return [list(outcome.columns), *rows] if column_names else rows

    async def _kept(self) -> Outcome:
        await writes_kept()
        before = self._engine.commits
        outcome = self.outcome()
        if self._engine.commits != before:
            await self._engine.kept()
        return outcome

    def outcome(self) -> Outcome:
        """Run it. What it has written is kept when the engine has ``kept`` it."""
        outcome = self._engine.run(self._sql, self._values)
        if self._on_run is not None:
            self._on_run()
        return outcome


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Return what ``all`` and ``batch`` give for a statement that was run."""
    rows = [dict(zip(outcome.columns, row, strict=True)) for row in outcome.rows]
    return {"success": True, "results": rows, "meta": outcome.meta}


def _bound(value: Any) -> Any:
    if value is None or isinstance(value, str | bytes | float):
        return value
    if isinstance(value, bool | int):
        return _number(value)
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if isinstance(value, list) and all(isinstance(item, int) and 0 <= item < 256 for item in value):
        return bytes(value)
    kind = "function" if callable(value) else "object"
    raise D1Error(f"D1_TYPE_ERROR: Type '{kind}' not supported for value '{_written(value)}'")


def _number(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return "[object Object]"
    return ",".join(map(_written, value)) if isinstance(value, list | tuple) else str(value)
