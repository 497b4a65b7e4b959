"""Rows read and written, as Cloudflare counts them: every row that is passed, and entries of indexes too.

The SQLite of workerd is patched so that its instructions count. Any other tells how many instructions it has run, how
many rows it has passed in scans of whole tables, and how many it has changed. From these, and from the statement as it
was compiled (``EXPLAIN``), the counts follow:

* Rows written are those that were changed, and for each of them the entries that its statement puts into indexes. This
  is exact but for partial indexes, into which every row is taken to go, and for what defines tables and indexes.
* Rows read are exact in scans of whole tables and where rows are found by their key. In a search through an index they
  follow from the instructions that were run and how many of them a row takes: an estimate where rows take different
  ways, as with several conditions, in joins, in sorting and in subqueries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

__all__ = ["Compiled", "StatementWork"]

_STEPS: Final = frozenset({"Next", "Prev", "SorterNext", "VNext"})
_SCANS: Final = frozenset({"Rewind", "Last", "Sort", "SorterSort"})
_SEARCHES: Final = frozenset({"SeekGE", "SeekGT", "SeekLE", "SeekLT"})
_LOOKUPS: Final = frozenset({"SeekRowid", "NotExists"})
_LIMITS: Final = frozenset({"IdxGE", "IdxGT", "IdxLE", "IdxLT", "Ge", "Gt", "Le", "Lt"})
_TEMPORARY: Final = frozenset({"OpenEphemeral", "OpenAutoindex", "OpenDup", "OpenPseudo", "SorterOpen"})
# In p5: of a Next that goes through a whole table; of what writes a row that is counted; of an UPDATE's Insert; of an
# Insert that only tells of itself. Of what opens an index: that keys are looked for which are equal.
_FULL, _COUNTS, _UPDATES, _TELLS = 1, 1, 4, 64
_EQUAL: Final = 2
_KNOWN: Final = 100


@dataclass(slots=True)
class StatementWork:
    """What SQLite tells of a statement that was run."""

    steps: int = 0
    """Instructions that were run."""
    passed: int = 0
    """Rows that scans of whole tables have gone on to: all but the first of each."""
    changed: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])
    """Rows that were written, by their table and whether they were there before, where somebody asks for them."""


@dataclass(frozen=True, slots=True)
class _Instruction:
    address: int
    name: str
    p1: int
    p2: int
    p3: int
    p4: Any
    p5: int
    is_lasting: bool
    """Whether its cursor is that of a table or an index."""


@dataclass(slots=True, eq=False)
class _Loop:
    begin: int
    end: _Instruction
    own: int = 0
    """Instructions in it that are in no loop within it."""
    turns: float = 0

    @property
    def is_full(self) -> bool:
        return self.end.name in _STEPS and self.end.p5 == _FULL

    def holds(self, address: int) -> bool:
        return self.begin <= address <= self.end.address


class Compiled:
    """A statement as SQLite has compiled it.

    ``rows`` are those of its ``EXPLAIN``; ``defines`` says whether it makes or drops something.
    """

    def __init__(self, rows: Iterable[Sequence[Any]], *, defines: bool) -> None:
        self._main, *self._called = _programs(rows)
        self._sites: dict[tuple[str, bool], list[int]] = {}
        for program in (self._main, *self._called):
            self._note_sites(program)
        # What is changed in the schema, or by a module that has a table of its own, is no change for SQLite.
        self._is_untold = defines or any(one.name == "VUpdate" for one in self._main)
        self._writes = [one for one in self._main if _writes(one) or one.name == "VUpdate"]
        # The highest number that an AUTOINCREMENT has given is kept once.
        self._once = sum(one.name == "Insert" and not one.p5 & _COUNTS for one in self._writes)
        self._counted = _counted(self._main)
        self._known: dict[tuple[int, ...], tuple[int, int]] = {}

    @property
    def writes_variously(self) -> bool:
        """Whether ``StatementWork.changed`` must be told: rows of several tables, or new and old ones, are written."""
        return len(self._sites) > 1

    def counts(self, rows: Sequence[Sequence[Any]], changes: int, work: StatementWork) -> tuple[int, int]:
        """Return how many rows and entries were read, and written, to give ``rows`` and to make ``changes``."""
        # Most statements look for one row or write one, and what does the same again has the same counts.
        done = work.steps, work.passed, changes, bool(rows)
        known = None if self.writes_variously else self._known.get(done)
        if known is None:
            known = self._read(work, has_found=bool(rows) or changes > 0), self._written(changes, work)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[done] = known
        read, written = known
        for column in self._counted if rows else ():
            read += rows[0][column]
        return read, written

    def _written(self, changes: int, work: StatementWork) -> int:
        if self._is_untold:
            turns = _Turns(self._main, work)
            return round(sum(turns.at(one.address) for one in self._writes))
        written = changes + self._once
        rows = work.changed if self.writes_variously else dict.fromkeys(self._sites, changes)
        for site, entries in self._sites.items():
            written += round(rows.get(site, 0) * sum(entries) / len(entries))
        return written

    def _read(self, work: StatementWork, *, has_found: bool) -> int:
        turns = _Turns(self._main, work, self._called)
        read = turns.read(has_found=has_found)
        for call, program in zip(_calls(self._main), self._called, strict=False):
            read += turns.at(call.address) * _Turns(program, StatementWork(len(program))).read(has_found=True)
        return round(read)

    def _note_sites(self, program: list[_Instruction]) -> None:
        # A row is written after its entries; where the table is an index by itself, it is the last of them.
        table, entries = "", 0
        for one in program:
            if one.name in {"Insert", "Delete"} and one.p4:
                table = one.p4
            if not _writes(one):
                continue
            if one.p5 & _COUNTS:
                self._sites.setdefault((table, bool(one.p5 & _UPDATES)), []).append(entries)
                entries = 0
            else:
                entries += one.name == "IdxInsert"


def _calls(program: list[_Instruction]) -> list[_Instruction]:
    """Return what runs triggers and actions of foreign keys, which stand behind in this order."""
    return [one for one in program if one.name == "Program"]


def _writes(one: _Instruction) -> bool:
    return one.is_lasting and (one.name == "IdxInsert" or (one.name == "Insert" and not one.p5 & _TELLS))


class _Turns:
    """How often the instructions of a program were run."""

    def __init__(
        self, program: list[_Instruction], work: StatementWork, called: Sequence[list[_Instruction]] = ()
    ) -> None:
        self._program = program
        self._equal = {one.p1 for one in program if one.name in {"OpenRead", "OpenWrite"} and one.p5 & _EQUAL}
        steps = [_Loop(one.p2, one) for one in program if one.name in _STEPS and one.p2 < one.address]
        # What goes back into the middle of a loop is a way of its own through that one, and no other loop.
        repeats = [_Loop(one.p2, one) for one in program if one.name == "Goto" and 1 < one.p2 < one.address]
        repeats = [
            loop
            for loop in repeats
            if all(step.holds(loop.end.address) or not step.holds(loop.begin) for step in steps)
        ]
        self._loops = sorted(steps + repeats, key=lambda loop: loop.end.address - loop.begin)
        outside = 0
        for one in program:
            loop = self._around(one.address)
            if loop is None:
                outside += 1
            else:
                loop.own += 1
        for call, other in zip(_calls(program), called, strict=False):
            loop = self._around(call.address)
            if loop is None:
                outside += len(other)
            else:
                loop.own += len(other)
        full = [loop for loop in self._loops if loop.is_full]
        others = [loop for loop in self._loops if not loop.is_full]
        for loop in full:
            loop.turns = work.passed / len(full) + 1
        left = max(work.steps - outside - sum(loop.turns * loop.own for loop in full), 0)
        for loop in others:
            loop.turns = left / sum(other.own for other in others)
        for loop in others:
            self._add_end(loop)

    def _add_end(self, loop: _Loop) -> None:
        """Count the row that a search ends at, since it is past what is looked for, where there is one."""
        body = self._program[loop.begin : loop.begin + 3]
        steps = next((n for n, one in enumerate(body, 1) if one.name in _LIMITS and one.p2 > loop.end.address), None)
        if steps is None:
            return
        is_whole = loop.turns.is_integer()
        begun = next((one for one in reversed(self._program[: loop.begin]) if one.name in _SEARCHES), None)
        ends = min(1 if begun is None else self.at(begun.address), loop.turns)
        if loop.end.p1 not in self._equal:
            loop.turns += 0 if is_whole else ends * (1 - steps / loop.own)
        elif is_whole or ends > 1:
            # What is equal when it is found is not compared again, so that the row at the end takes no more steps.
            loop.turns += ends
        else:
            loop.turns = ceil(loop.turns)

    def _around(self, address: int) -> _Loop | None:
        return next((loop for loop in self._loops if loop.holds(address)), None)

    def at(self, address: int) -> float:
        """Return how often the instruction at ``address`` was run."""
        loop = self._around(address)
        return 1 if loop is None else loop.turns

    def read(self, *, has_found: bool) -> float:
        """Return how many rows were read."""
        read = 0.0
        stepped = {loop.end.p1: loop for loop in self._loops if loop.end.name in _STEPS}
        for one in self._program:
            loop = stepped.get(one.p1)
            if one.name in _LOOKUPS or (loop is None and (one.name in _SCANS or (has_found and one.name in _SEARCHES))):
                read += self.at(one.address)
            elif loop is not None and one.name in _SCANS:
                # To find that there is no row counts as well.
                read += max(self.at(one.address) - loop.turns, 0)
        return read + sum(loop.turns for loop in stepped.values())


def _programs(rows: Iterable[Sequence[Any]]) -> list[list[_Instruction]]:
    """Return the instructions of the statement, and those of each trigger and each action of a foreign key."""
    programs: list[list[Sequence[Any]]] = []
    for row in rows:
        if row[0] == 0:
            programs.append([])
        programs[-1].append(row)
    return [_program(program) for program in programs]


def _program(rows: list[Sequence[Any]]) -> list[_Instruction]:
    made: list[_Instruction] = []
    temporary: set[int] = set()
    # The first one goes on near the end, and comes back from there.
    begin = rows[0][3]
    for address, name, p1, p2, p3, p4, p5, *_ in rows[begin:] + rows[:begin]:
        if name in _TEMPORARY:
            temporary.add(p1)
        elif name in {"OpenWrite", "OpenRead"}:
            temporary.discard(p1)
        made.append(_Instruction(address, name, p1, p2, p3, p4, p5, p1 not in temporary))
    return sorted(made, key=lambda one: one.address)


def _counted(program: list[_Instruction]) -> list[int]:
    """Return the columns in which ``count(*)`` tells how many rows it has counted, without a look at them."""
    counts = {one.p2 for one in program if one.name == "Count"}
    copies = {one.p2 for one in program if one.name in {"Copy", "SCopy"} and one.p1 in counts}
    result = next((one for one in program if one.name == "ResultRow"), None)
    return [] if result is None else [copy - result.p1 for copy in copies if 0 <= copy - result.p1 < result.p2]
