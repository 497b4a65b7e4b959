"""The transcript: the messages of a conversation, in memory and in the agent's own database.

A message is a row that holds its JSON, in the order in which messages came. One that is larger than a row is cut into
slices and comes back whole. Writing is synchronous, so what is written without an ``await`` in between, such as a
message and the end of its turn, is kept together or not at all. What does not change is not written.

Tables and columns are those of the TypeScript SDK's sessions. Who is told of a change is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from edgeagents.agents.chat.reconcile import plan
from edgeagents.agents.chat.ui import UIMessage
from edgeagents.agents.protocol import encode
from edgeagents.agents.tables import Tables
from edgeagents.objects.clock import Clock
from edgeagents.objects.database_events import nothing

if TYPE_CHECKING:
    from edgeagents.objects.sqlite import Database

__all__ = ["Transcript"]

SLICE_BYTES = 1536 * 1024
HYDRATION_BYTES = 32 * 1024 * 1024

_SCHEMA = (
    """create table if not exists cf_agents_session_messages (
        session_id text not null,
        id text not null,
        seq integer not null,
        parent_id text,
        type text not null default 'message',
        role text not null,
        content text not null,
        content_chunks integer not null default 0,
        token_estimate integer not null default 0,
        created_at integer not null,
        content_hash text,
        primary key (session_id, id)
    ) without rowid""",
    """create table if not exists cf_agents_session_message_chunks (
        session_id text not null,
        id text not null,
        idx integer not null,
        content text not null,
        primary key (session_id, id, idx)
    ) without rowid""",
)

_SIZES = """select m.seq, length(cast(m.content as blob)) + coalesce((
        select sum(length(cast(c.content as blob))) from cf_agents_session_message_chunks c
        where c.session_id = '' and c.id = m.id and m.content_chunks > 0), 0)
    from cf_agents_session_messages m where m.session_id = '' order by m.seq desc"""


class Transcript:
    """The messages of one agent.

    ``sanitize`` gives a message the form in which it is kept, ``limit`` how many are kept at most, ``budget`` how many
    bytes of them are held in memory after waking: older ones stay in the database and are still given to browsers.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        sanitize: Callable[[UIMessage], UIMessage],
        limit: Callable[[], int | None],
        budget: Callable[[], int],
    ) -> None:
        self._database, self._clock = database, clock
        self._sanitize, self._limit, self._budget = sanitize, limit, budget
        self._tables = Tables(database, "cf_agents_session_messages", *_SCHEMA)
        self._messages: list[UIMessage] | None = None
        self._has_older = False
        self._next = 0

    @property
    def messages(self) -> list[UIMessage]:
        """The messages, the oldest first. Another list after each change, so that one in hand stays as it is."""
        if self._messages is None:
            self._messages = self._load()
        return self._messages

    def find(self, message_id: str) -> UIMessage | None:
        """Return the message with this id."""
        return next((each for each in self.messages if each["id"] == message_id), None)

    def known(self, message_ids: Iterable[str]) -> list[UIMessage]:
        """Return the messages in memory, and before them those of ``message_ids`` that are kept and not in memory."""
        messages = self.messages
        if not self._has_older:
            return messages
        here = {message["id"] for message in messages}
        wanted = json.dumps([id for id in dict.fromkeys(message_ids) if id not in here])
        older = self._texts("id in (select value from json_each(?))", wanted)
        return [*map(json.loads, older), *messages]

    # Changing

    def merge(self, incoming: Sequence[UIMessage], *, forget_missing: bool = False) -> list[UIMessage]:
        """Take in what somebody says the conversation is, and return it with what is known better here.

        Messages that did not come are kept; with ``forget_missing`` they go when nothing new came.
        """
        stored = self.known(message["id"] for message in incoming)
        what = plan(incoming, stored, self._sanitize, forget_missing=forget_missing)
        limit = self._limit()
        changed = what.changed
        if limit is not None:
            # What was dropped for its age is still sent by clients, and must not come back as the newest.
            newest = {message["id"] for message in what.messages[-limit:]} if limit > 0 else set()
            known = {message["id"] for message in stored}
            changed = [each for each in changed if each["id"] in newest or each["id"] in known]
        for message in changed:
            self._write(message)
        self.remove(what.stale)
        self._drop_oldest()
        return what.messages

    def put(self, message: UIMessage) -> UIMessage:
        """Keep one message, in place of the one with its id or as the newest, and return it as it is kept."""
        kept = self._sanitize(message)
        if self.find(kept["id"]) != kept:
            self._write(kept)
            self._drop_oldest()
        return kept

    def remove(self, message_ids: Iterable[str]) -> None:
        """Forget messages."""
        gone = set(message_ids)
        if not gone or not self._tables.exist:
            return
        self._follow()
        for message_id in gone:
            self._delete_slices(message_id)
            self._database.fetch(
                "update cf_agents_session_messages set parent_id = (select parent_id from cf_agents_session_messages "
                "where session_id = '' and id = ?1) where session_id = '' and parent_id = ?1",
                (message_id,),
            )
            self._database.fetch(
                "delete from cf_agents_session_messages where session_id = '' and id = ?", (message_id,)
            )
        self._messages = [each for each in self.messages if each["id"] not in gone]

    def clear(self) -> None:
        """Forget the whole conversation."""
        self._follow()
        self._messages = []
        self._has_older = False
        if self._tables.exist:
            self._database.fetch("delete from cf_agents_session_messages where session_id = ''")
            self._database.fetch("delete from cf_agents_session_message_chunks where session_id = ''")

    def _write(self, message: UIMessage) -> None:
        messages = self.messages
        self._follow()
        self._tables.make()
        text = encode(message)
        first, *rest = _slices(text)
        id = message["id"]
        index = next((i for i, each in enumerate(messages) if each["id"] == id), None)
        if index is None and not self._is_older(id):
            parent = messages[-1]["id"] if messages else None
            self._database.fetch(
                "insert or replace into cf_agents_session_messages (session_id, id, seq, parent_id, role, content, "
                "content_chunks, token_estimate, created_at) values ('', ?, ?, ?, ?, ?, ?, ?, ?)",
                (id, self._next, parent, message["role"], first, len(rest), len(text) // 4, self._now()),
            )
            self._next += 1
            self._messages = [*messages, message]
        else:
            self._delete_slices(id)
            self._database.fetch(
                "update cf_agents_session_messages set role = ?, content = ?, content_chunks = ?, token_estimate = ? "
                "where session_id = '' and id = ?",
                (message["role"], first, len(rest), len(text) // 4, id),
            )
            if index is not None:
                self._messages = [*messages[:index], message, *messages[index + 1 :]]
        for number, piece in enumerate(rest, 1):
            self._database.fetch(
                "insert or replace into cf_agents_session_message_chunks (session_id, id, idx, content) "
                "values ('', ?, ?, ?)",
                (id, number, piece),
            )

    def _follow(self) -> None:
        # What is remembered goes with a transaction that is rolled back.
        if self._database.held:
            self._database.follow(nothing, self._forget)

    def _forget(self) -> None:
        self._messages, self._has_older, self._next = None, False, 0

    def _is_older(self, message_id: str) -> bool:
        """Whether a message that is not in memory is kept."""
        query = "select 1 from cf_agents_session_messages where session_id = '' and id = ?"
        return self._has_older and bool(list(self._database.fetch(query, (message_id,))))

    def _delete_slices(self, message_id: str) -> None:
        self._database.fetch(
            "delete from cf_agents_session_message_chunks where session_id = '' and id = ?", (message_id,)
        )

    def _drop_oldest(self) -> None:
        limit = self._limit()
        if limit is None or not self._tables.exist:
            return
        query = "select id from cf_agents_session_messages where session_id = '' order by seq desc limit -1 offset ?"
        self.remove([id for (id,) in self._database.fetch(query, (max(limit, 0),))])

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    # Reading

    def texts(self) -> Iterator[str]:
        """Yield the JSON of every message that is kept, the oldest first, also of those that are not in memory."""
        return self._texts("seq >= ?", 0) if self._tables.exist else iter(())

    def _load(self) -> list[UIMessage]:
        if not self._tables.exist:
            return []
        budget, start = self._budget(), 0
        for seq, size in self._database.fetch(_SIZES):
            self._next = max(self._next, seq + 1)
            budget -= size
            if budget < 0 and seq + 1 < self._next:
                self._has_older = True
                break
            start = seq
        return [json.loads(text) for text in self._texts("seq >= ?", start)]

    def _texts(self, which: str, given: int | str) -> Iterator[str]:
        query = (
            "select id, content, content_chunks from cf_agents_session_messages "
            f"where session_id = '' and {which} order by seq"
        )
        slices = "select content from cf_agents_session_message_chunks where session_id = '' and id = ? order by idx"
        for id, content, count in self._database.fetch(query, (given,)):
            yield content if not count else content + "".join(c for (c,) in self._database.fetch(slices, (id,)))


def _slices(text: str) -> list[str]:
    """Cut ``text`` into pieces whose UTF-8 fits into a row."""
    if len(text) * 4 <= SLICE_BYTES or len(text.encode()) <= SLICE_BYTES:
        return [text]
    # Four bytes are the most that a character takes.
    size = SLICE_BYTES // 4
    return [text[start : start + size] for start in range(0, len(text), size)]
