"""The chat agents whose plays are compared with the TypeScript SDK: their twins stand in ``workerd/chat.mjs``.

What they answer is written in the request's body: ``script`` is a list of chunks, with gates that the test opens and
failures between them; ``then`` the same for a continuation; ``form`` says what kind of thing is returned.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from edgeagents import AIChatAgent, ChatOptions, Connection, ConnectionContext, Response, callable, get_current_agent
from edgeagents.agents import ChatResponse, Debounce

__all__ = ["CHATS"]

Script = Sequence[dict[str, Any]]
Messages = list[dict[str, Any]]

HELLO: Script = [
    {"type": "start"},
    {"type": "start-step"},
    {"type": "text-start", "id": "t"},
    {"type": "text-delta", "id": "t", "delta": "Hello"},
    {"type": "text-delta", "id": "t", "delta": " world"},
    {"type": "text-end", "id": "t"},
    {"type": "finish-step"},
    {"type": "finish", "finishReason": "stop"},
]


class Gates:
    """Points that a script waits at until they are opened, and that a test waits for until they are reached."""

    def __init__(self) -> None:
        self._opened: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}

    async def pass_through(self, name: str) -> None:
        self._reached.setdefault(name, asyncio.Event()).set()
        await self._opened.setdefault(name, asyncio.Event()).wait()

    async def reached(self, name: str) -> None:
        await self._reached.setdefault(name, asyncio.Event()).wait()

    def open(self, name: str) -> None:
        self._opened.setdefault(name, asyncio.Event()).set()


async def steps(script: Script, gates: Gates) -> AsyncIterator[dict[str, Any]]:
    for step in script:
        if "gate" in step:
            await gates.pass_through(step["gate"])
        elif "fail" in step:
            raise RuntimeError(step["fail"])
        else:
            yield step


def event_stream(script: Script, gates: Gates) -> Response:
    """Answer with a UI message stream. ``{"sse": text}`` stands in it as it is."""

    async def body() -> AsyncIterator[str]:
        async for step in steps(script, gates):
            yield step["sse"] if "sse" in step else f"data: {json.dumps(step)}\n\n"
        yield "data: [DONE]\n\n"

    return Response(body(), headers={"content-type": "text/event-stream"})


def plain_text(script: Script, gates: Gates) -> Response:
    async def body() -> AsyncIterator[str]:
        async for step in steps(script, gates):
            yield step["text"]

    return Response(body(), headers={"content-type": "text/plain"})


def told(message: dict[str, Any]) -> str:
    return "|".join(part.get("text", part["type"]) for part in message["parts"])


def user(text: str) -> dict[str, Any]:
    return {"id": "more", "role": "user", "parts": [{"type": "text", "text": text}]}


class Chat(AIChatAgent):
    """Answers as it is told to, and remembers how it was asked."""

    def on_start(self) -> None:
        self.gates = Gates()
        self.seen: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.closings: list[Any] = []
        self.current = ""

    def should_connection_be_readonly(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return "readonly" in ctx.request.query

    def should_send_protocol_messages(self, connection: Connection, ctx: ConnectionContext) -> bool:
        return ctx.request.query.get("protocol") != "off"

    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        body = options.body or {}
        custom = {key: value for key, value in body.items() if key not in ("script", "then", "form")}
        connection = get_current_agent().connection
        turn = {
            "continuation": options.continuation,
            "messages": self._gist(),
            "body": custom if options.body else None,
            "tools": [tool["name"] for tool in options.client_tools] if options.client_tools else None,
            "connection": connection.id if connection is not None else None,
            "aborted": False,
        }
        self.seen.append(turn)
        self.current = options.request_id
        options.abort_signal.add_listener(lambda: turn.update(aborted=True))
        if "before" in custom:
            await self.gates.pass_through(custom["before"])
        if options.continuation:
            return event_stream(body.get("then", HELLO), self.gates)
        match body.get("form"):
            case "nothing":
                return None
            case "raise":
                raise RuntimeError("no answer: a secret of the server")
            case "text":
                return plain_text(body["script"], self.gates)
            case _:
                return event_stream(body.get("script", HELLO), self.gates)

    async def on_chat_response(self, response: ChatResponse) -> None:
        self.told.append(
            {
                "text": told(response.message),
                "continuation": response.continuation,
                "status": response.status,
                "error": response.error,
            }
        )

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(f"echo:{message}")

    def on_close(self, connection: Connection, code: int) -> None:
        self.closings.append([connection.id, code])

    def _gist(self) -> list[list[str]]:
        return [[message["role"], told(message)] for message in self.messages]

    @callable()
    async def ping(self) -> str:
        return "pong"

    @callable()
    async def open(self, gate: str) -> None:
        self.gates.open(gate)

    @callable()
    async def reached(self, gate: str) -> None:
        await self.gates.reached(gate)

    @callable()
    async def turns(self) -> Any:
        return self.seen

    @callable()
    async def responses(self) -> Any:
        return self.told

    @callable()
    async def closed(self) -> Any:
        return self.closings

    @callable()
    async def history(self) -> Messages:
        return self.messages

    @callable()
    async def gist(self) -> Any:
        return self._gist()

    @callable()
    async def save(self, messages: Messages) -> Any:
        result = await self.save_messages(messages)
        return {"status": result.status, "error": result.error}

    @callable()
    async def save_more(self, text: str) -> Any:
        result = await self.save_messages(lambda messages: [*messages, user(text)])
        return {"status": result.status}

    @callable()
    async def persist(self, messages: Messages) -> None:
        await self.persist_messages(messages)

    @callable()
    async def go_on(self, body: dict[str, Any] | None = None) -> Any:
        result = await self.continue_last_turn(body)
        return {"status": result.status}

    @callable()
    async def abort_current(self) -> None:
        self.abort_request(self.current)

    @callable()
    async def abort_all(self) -> None:
        self.abort_all_requests()

    @callable()
    async def reset(self) -> None:
        self.reset_turn_state()

    @callable()
    async def stable(self, milliseconds: float) -> bool:
        return await self.wait_until_stable(milliseconds / 1000)

    @callable()
    async def pending(self) -> bool:
        return self.has_pending_interaction()


class LatestChat(Chat):
    message_concurrency = "latest"


class MergingChat(Chat):
    message_concurrency = "merge"


class DroppingChat(Chat):
    message_concurrency = "drop"


class PatientChat(Chat):
    message_concurrency = Debounce(100)


class ShortChat(Chat):
    """Keeps the last three messages."""

    max_persisted_messages = 3


class DiscreetChat(Chat):
    """Keeps no word "secret"."""

    def sanitize_message_for_persistence(self, message: dict[str, Any]) -> dict[str, Any]:
        parts = [
            {**part, "text": part["text"].replace("secret", "***")} if part["type"] == "text" else part
            for part in message["parts"]
        ]
        return {**message, "parts": parts}


class TalkativeChat(Chat):
    """Starts one more turn by itself, after the first."""

    async def on_chat_response(self, response: ChatResponse) -> None:
        await super().on_chat_response(response)
        if len(self.told) == 1:
            await self.save_messages(lambda messages: [*messages, user("go on")])


class ForgetfulChat(Chat):
    """A turn that a crash interrupts stays so."""

    chat_recovery = False


CHATS = [
    Chat,
    LatestChat,
    MergingChat,
    DroppingChat,
    PatientChat,
    ShortChat,
    DiscreetChat,
    TalkativeChat,
    ForgetfulChat,
]
