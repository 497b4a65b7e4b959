"""What an assistant knows of the runs of its helpers, and what its clients are told of them.

A run is a row from its start until it is cleared. Clients hear of it in frames of the type ``agent-tool-event``, which
the hook ``useAgentToolEvents`` reads: that it started, each chunk of what the helper says, and how it ended. Who
connects later is told the same again, and knows by the numbers of the chunks which of them it has.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, cast

from edgeagents import Response
from edgeagents.http import EventStreamParser

__all__ = ["Ended", "HelperRun", "HelperRuns", "Milestone", "chunks_of"]

Ended = Literal["completed", "error", "aborted", "interrupted"]
Query = Callable[..., list[Any]]

_TABLES = (
    """create table if not exists helper_runs (
        run_id text primary key, tool_call_id text, helper text not null, preview text not null,
        display_order integer not null, is_background integer not null, started_at integer not null,
        status text not null default 'running', summary text, error text, request_id text
    )""",
    """create table if not exists helper_milestones (
        run_id text not null, sequence integer not null, name text not null, at integer not null, data text,
        primary key (run_id, sequence)
    )""",
)


@dataclass(frozen=True, kw_only=True)
class HelperRun:
    """One run. ``request_id`` is the helper's turn, ``tool_call_id`` the call that the run answers, if it does."""

    run_id: str
    tool_call_id: str | None
    helper: str
    preview: str
    display_order: int
    is_background: bool
    started_at: int
    status: Literal["running"] | Ended = "running"
    summary: str | None = None
    error: str | None = None
    request_id: str | None = None

    def frame(self, sequence: int, event: Mapping[str, Any], *, is_replay: bool = False) -> str:
        """Return a frame about this run."""
        about = {} if self.tool_call_id is None else {"parentToolCallId": self.tool_call_id}
        replay = {"replay": True} if is_replay else {}
        told = {"type": "agent-tool-event", **about, "sequence": sequence, "event": {**event, "runId": self.run_id}}
        return json.dumps({**told, **replay})

    def start_frame(self, *, is_replay: bool = False) -> str:
        event = {
            "kind": "started",
            "agentType": self.helper,
            "inputPreview": self.preview,
            "order": self.display_order,
            "display": {"name": self.helper},
        }
        return self.frame(0, event, is_replay=is_replay)

    def chunk_frame(self, number: int, chunk: Mapping[str, Any], *, is_replay: bool = False) -> str:
        return self.frame(number + 1, {"kind": "chunk", "body": json.dumps(chunk)}, is_replay=is_replay)

    def end_frame(self, sequence: int, *, is_replay: bool = False) -> str:
        match self.status:
            case "completed":
                event = {"kind": "finished", "summary": self.summary or ""}
            case "aborted":
                event = {"kind": "aborted", "reason": self.error}
            case _:
                event = {"kind": self.status, "error": self.error or "The helper failed."}
        return self.frame(sequence, event, is_replay=is_replay)


@dataclass(frozen=True, kw_only=True)
class Milestone:
    """Something that a run has reached. ``at`` is in milliseconds since 1970."""

    name: str
    sequence: int
    at: int
    data: Any = None

    @property
    def chunk(self) -> dict[str, Any]:
        told = {"name": self.name, "sequence": self.sequence, "at": self.at}
        return {"type": "data-agent-milestone", "data": told if self.data is None else {**told, "data": self.data}}


class HelperRuns:
    """The rows. ``query`` is the agent's ``sql``."""

    def __init__(self, query: Query) -> None:
        self._query = query
        for table in _TABLES:
            query(table)

    def __iter__(self) -> Iterator[HelperRun]:
        """Yield all runs, the oldest first."""
        return iter([_run(row) for row in self._query("select * from helper_runs order by started_at, display_order")])

    def get(self, run_id: str) -> HelperRun | None:
        rows = self._query("select * from helper_runs where run_id = ?", run_id)
        return _run(rows[0]) if rows else None

    def add(self, run: HelperRun) -> None:
        self._query(
            "insert into helper_runs (run_id, tool_call_id, helper, preview, display_order, is_background, started_at) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            *(run.run_id, run.tool_call_id, run.helper, run.preview),
            *(run.display_order, int(run.is_background), run.started_at),
        )

    def note_request(self, run_id: str, request_id: str) -> None:
        self._query("update helper_runs set request_id = ? where run_id = ?", request_id, run_id)

    def end(
        self, run_id: str, status: Ended, *, summary: str | None = None, error: str | None = None
    ) -> HelperRun | None:
        """Note how a run ended; return it, or None when it had ended already or was cleared."""
        rows = self._query(
            "update helper_runs set status = ?, summary = ?, error = ? "
            "where run_id = ? and status = 'running' returning *",
            *(status, summary, error, run_id),
        )
        return _run(rows[0]) if rows else None

    def clear(self) -> None:
        self._query("delete from helper_runs")
        self._query("delete from helper_milestones")

    def add_milestone(self, run_id: str, name: str, data: Any, at: int) -> Milestone:
        sequence = len(self.milestones(run_id))
        self._query(
            "insert into helper_milestones (run_id, sequence, name, at, data) values (?, ?, ?, ?, ?)",
            *(run_id, sequence, name, at, json.dumps(data)),
        )
        return Milestone(name=name, sequence=sequence, at=at, data=data)

    def milestones(self, run_id: str) -> list[Milestone]:
        rows = self._query("select * from helper_milestones where run_id = ? order by sequence", run_id)
        return [
            Milestone(name=row["name"], sequence=row["sequence"], at=row["at"], data=json.loads(row["data"]))
            for row in rows
        ]


def _run(row: Mapping[str, Any]) -> HelperRun:
    return HelperRun(**cast(Any, {**row, "is_background": bool(row["is_background"])}))


async def chunks_of(response: Response) -> AsyncGenerator[tuple[int | None, dict[str, Any]], None]:
    """Yield the chunks of a turn with their numbers. One that only tells how the turn ended has none."""
    parser, last = EventStreamParser(), None
    pieces: Any = response.stream()
    async with aclosing(pieces):
        async for piece in pieces:
            for event in parser.feed(piece):
                if event.data and event.data != "[DONE]":
                    # An event without an id is told under the one before.
                    is_numbered, last = event.id != last, event.id
                    yield int(event.id) if is_numbered and event.id else None, json.loads(event.data)
