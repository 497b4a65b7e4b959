"""A database: what is found in ``env``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from edgeagents.objects import writes_kept
from edgeagents_d1.engine import NO_STATEMENT, D1Error, Engine
from edgeagents_d1.statement import D1PreparedStatement, result_of

__all__ = ["D1Database", "D1DatabaseSession"]

_CONSTRAINTS = frozenset({"first-primary", "first-unconstrained"})


class D1Database:
    """One database."""

    js_name: ClassVar[str] = "D1Database"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prepare(self, query: str) -> D1PreparedStatement:
        """Return a statement. Whether SQLite takes it is told when it runs."""
        return D1PreparedStatement(self._engine, query)

    async def batch(self, statements: Sequence[D1PreparedStatement]) -> list[dict[str, Any]]:
        """Run ``statements`` in order, all or none of them; return a result for each."""
        return await _batch(self._engine, statements)

    async def exec(self, query: str) -> dict[str, Any]:
        """Run each line of ``query``, which holds one statement or several, all or none of them.

        Return ``{"count", "duration"}``: how many lines there were.
        """
        await writes_kept()
        lines = query.strip().split("\n")
        count, duration, before = 0, 0.0, self._engine.commits
        with self._engine.together():
            for number, line in enumerate(lines, 1):
                if not line.strip() and len(lines) > 1:
                    continue
                try:
                    duration += self._engine.run(line).meta["duration"]
                except D1Error as error:
                    text = str(error).removeprefix("D1_ERROR: ")
                    raise D1Error(f"D1_EXEC_ERROR: Error in line {number}: {line}: {text}") from error
                count += 1
        if self._engine.commits != before:
            await self._engine.kept()
        return {"count": count, "duration": duration}

    def with_session(self, constraint: str | None = None) -> D1DatabaseSession:
        """Return a session, which reads what was written before ``constraint``, a bookmark, and more."""
        return D1DatabaseSession(self._engine, constraint)

    async def dump(self) -> NoReturn:
        """Refuse: D1 does not give its file any more."""
        raise D1Error("D1_DUMP_ERROR: dump() is not supported. Copy the file in the state folder.")


class D1DatabaseSession:
    """A series of queries, each of which sees what those before it have written."""

    js_name: ClassVar[str] = "D1DatabaseSession"

    def __init__(self, engine: Engine, constraint: str | None) -> None:
        self._engine = engine
        self._bookmark = None if constraint is None or constraint in _CONSTRAINTS else constraint

    def prepare(self, query: str) -> D1PreparedStatement:
        """Return a statement."""
        return D1PreparedStatement(self._engine, query, on_run=self._note)

    async def batch(self, statements: Sequence[D1PreparedStatement]) -> list[dict[str, Any]]:
        """Run ``statements`` in order, all or none of them; return a result for each."""
        results = await _batch(self._engine, statements)
        self._note()
        return results

    def get_bookmark(self) -> str | None:
        """Return the bookmark of the latest query, or None before the first."""
        return self._bookmark

    def _note(self) -> None:
        self._bookmark = f"{self._engine.commits:08x}-00000000-00000000-{0:032x}"


async def _batch(engine: Engine, statements: Sequence[D1PreparedStatement]) -> list[dict[str, Any]]:
    if not all(isinstance(statement, D1PreparedStatement) for statement in statements):
        raise D1Error("D1_ERROR: batch() takes statements that prepare() has made.")
    if not statements:
        raise D1Error(f"D1_ERROR: {NO_STATEMENT}")
    await writes_kept()
    before = engine.commits
    with engine.together():
        results = [result_of(statement.outcome()) for statement in statements]
    if engine.commits != before:
        await engine.kept()
    return results
