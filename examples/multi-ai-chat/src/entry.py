"""Many chats of one user: an inbox that knows them, and what they all shall remember.

A port of ``examples/multi-ai-chat`` of the Agents SDK. Each chat is a sub-agent of the inbox, with a conversation and
a database of its own, so two of them answer at the same time. A chat may ask a researcher, a sub-agent of the chat.
Which chats there are is known by the registry of sub-agents alone; titles and previews only decorate it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from secrets import token_urlsafe
from typing import Any, NotRequired, TypedDict

from edgeagents import (
    Agent,
    AIChatAgent,
    ChatOptions,
    Env,
    Request,
    Response,
    WorkerEntrypoint,
    callable,
    convert_to_model_messages,
    route_agent_request,
)

MODEL = "openai:gpt-4o"
MEMORY = "memory"
INSTRUCTIONS = """\
You are friendly and brief. Keep what users tell of themselves, for all their chats, with `rememberFact`; read what is
kept with `recallMemory`. `getCurrentTime` tells the time. For a question that deserves a second, careful
look at this conversation, ask `askResearcher`."""


class ChatSummary(TypedDict):
    """A line of the sidebar. Times are in milliseconds since 1970."""

    id: str
    title: str
    createdAt: int
    updatedAt: int
    lastMessagePreview: NotRequired[str]


class InboxState(TypedDict):
    chats: list[ChatSummary]


class Inbox(Agent[Env, InboxState]):
    initial_state: InboxState = {"chats": []}

    async def on_start(self, props: Any = None) -> None:
        self.sql(
            """create table if not exists chat_meta (
                id text primary key, title text not null, updated_at integer not null, last_message_preview text
            )"""
        )
        self.sql("create table if not exists inbox_memory (label text primary key, content text not null)")
        self.refresh()

    def on_before_sub_agent(self, request: Request, child: Any) -> Response | None:
        """Let nobody make a chat by asking for it: only those of ``create_chat`` are there."""
        if self.has_sub_agent(child.class_name, child.name):
            return None
        return Response(f'{child.class_name} "{child.name}" not found', status=404)

    @callable()
    async def create_chat(self, options: dict[str, str] | None = None) -> ChatSummary:
        """Make a chat, ``{"title": ...}`` if it shall have one."""
        id, now = token_urlsafe(8), self.ctx.clock.now()
        title = (options or {}).get("title") or default_title(now)
        # The registry first: a chat without a line in our table is shown and can be deleted, a line without one not.
        await self.sub_agent(Chat, id)
        self.sql("insert into chat_meta (id, title, updated_at) values (?, ?, ?)", id, title, milliseconds(now))
        self.refresh()
        return {"id": id, "title": title, "createdAt": milliseconds(now), "updatedAt": milliseconds(now)}

    @callable()
    async def rename_chat(self, id: str, title: str) -> None:
        self.decorate(id, title=title)

    @callable()
    async def delete_chat(self, id: str) -> None:
        """Delete a chat and all that was said in it. One that is gone already is no error."""
        await self.delete_sub_agent(Chat, id)
        self.sql("delete from chat_meta where id = ?", id)
        self.refresh()

    @callable()
    async def get_shared_memory(self, label: str) -> str | None:
        rows = self.sql("select content from inbox_memory where label = ?", label)
        return rows[0]["content"] if rows else None

    @callable()
    async def set_shared_memory(self, label: str, content: str) -> None:
        self.sql("insert or replace into inbox_memory (label, content) values (?, ?)", label, content)

    async def remember(self, fact: str) -> int:
        """Add a fact to the memory; return how many there are. In one call, so that two chats lose none."""
        memory = await self.get_shared_memory(MEMORY)
        facts = [*(memory.split("\n") if memory else ()), f"- {fact}"]
        await self.set_shared_memory(MEMORY, "\n".join(facts))
        return len(facts)

    @callable()
    async def record_chat_turn(self, chat_id: str, preview: str) -> None:
        """Show what was said last. A chat calls this after each turn."""
        self.decorate(chat_id, preview=preview)

    def decorate(self, id: str, *, title: str | None = None, preview: str | None = None) -> None:
        now = self.ctx.clock.now()
        self.sql(
            """insert into chat_meta (id, title, updated_at, last_message_preview)
               values ({id}, coalesce({title}, {default}), {now}, {preview})
               on conflict(id) do update set
                 title = coalesce({title}, title),
                 updated_at = excluded.updated_at,
                 last_message_preview = coalesce({preview}, last_message_preview)""",
            id=id,
            title=title,
            default=default_title(now),
            now=milliseconds(now),
            preview=preview,
        )
        self.refresh()

    def refresh(self) -> None:
        """Show the chats that there are, the one that was used last at the top."""
        lines = {line["id"]: line for line in self.sql("select * from chat_meta")}
        chats: list[ChatSummary] = []
        for info in self.list_sub_agents(Chat):
            created, line = milliseconds(info.created_at), lines.get(info.name, {})
            chat: ChatSummary = {
                "id": info.name,
                "title": line.get("title", default_title(info.created_at)),
                "createdAt": created,
                "updatedAt": line.get("updated_at", created),
            }
            if line.get("last_message_preview") is not None:
                chat["lastMessagePreview"] = line["last_message_preview"]
            chats.append(chat)
        self.set_state({"chats": sorted(chats, key=lambda chat: chat["updatedAt"], reverse=True)})


class Chat(AIChatAgent[Env]):
    async def on_chat_message(self, on_finish: Any = None, options: ChatOptions | None = None) -> Response:
        memory = await (await self.parent_agent(Inbox)).get_shared_memory(MEMORY)
        answer = self.stream_text(
            model=MODEL,
            system=f"{INSTRUCTIONS}\n\nWhat you know of the user:\n{memory}" if memory else INSTRUCTIONS,
            messages=convert_to_model_messages(self.messages),
            tools={
                "rememberFact": self.remember_fact,
                "recallMemory": self.recall_memory,
                "getCurrentTime": self.get_current_time,
                "askResearcher": self.ask_researcher,
            },
            # It may call a tool, see what that says, and answer in the same turn.
            max_steps=5,
            abort_signal=options.abort_signal if options else None,
        )
        return answer.to_ui_message_stream_response()

    async def on_chat_response(self, response: Any) -> None:
        inbox = await self.parent_agent(Inbox)
        await inbox.record_chat_turn(self.name, text_of(self.messages[-1]["parts"])[:120])

    # Tools. Their docstrings are what the model is told.

    async def remember_fact(self, fact: str) -> dict[str, Any]:
        """Keep a fact about the user for all chats, from the next message on.

        Args:
            fact: One short sentence, such as "The user lives in Bern."
        """
        return {"saved": True, "totalFacts": await (await self.parent_agent(Inbox)).remember(fact)}

    async def recall_memory(self) -> dict[str, Any]:
        """Read all facts that are kept about the user."""
        memory = await (await self.parent_agent(Inbox)).get_shared_memory(MEMORY) or ""
        return {"memory": memory or "(nothing saved yet)", "facts": len(memory.split("\n")) if memory else 0}

    async def get_current_time(self) -> dict[str, str]:
        """Tell the time of the server."""
        return {"now": self.ctx.clock.now().isoformat(), "tz": "UTC"}

    async def ask_researcher(self, topic: str) -> dict[str, Any]:
        """Have a researcher look at this conversation with one question in mind.

        Args:
            topic: The question.
        """
        researcher = await self.sub_agent(Researcher, "default")
        return await researcher.investigate(topic)

    async def get_research_context(self) -> dict[str, Any]:
        """Return what a researcher may read: the end of the conversation."""
        recent = [{"role": m["role"], "text": text_of(m["parts"])[:500]} for m in self.messages[-6:]]
        return {"chatId": self.name, "messageCount": len(self.messages), "recentMessages": recent}


class Researcher(Agent[Env]):
    async def investigate(self, topic: str) -> dict[str, Any]:
        """Answer a question from the conversation of the chat that asks."""
        context = await (await self.parent_agent(Chat)).get_research_context()
        said = "\n".join(f"{message['role']}: {message['text']}" for message in context["recentMessages"])
        answer = self.stream_text(
            model=MODEL,
            system="You are a researcher. Answer briefly, from the conversation alone, and say what it leaves open.",
            prompt=f"The question: {topic}\n\nThe conversation:\n{said}",
        )
        return {"chatId": context["chatId"], "finding": await answer.text, "messageCount": context["messageCount"]}


def text_of(parts: Iterable[Any]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def default_title(created: datetime) -> str:
    return f"Chat — {created:%Y-%m-%d}"


def milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/inbox/<user>`` and ``/agents/inbox/<user>/sub/chat/<chat>``."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
