"""How the tests of chat talk to an agent: requests in, frames out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edgeagents.http import Request
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, connect, settle
from tests.agents.frames import heard, say

RESPONSE = "cf_agent_use_chat_response"
MESSAGES = "cf_agent_chat_messages"


def user(id: str, text: str = "hi") -> dict[str, Any]:
    """Return a message of the user."""
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def ask(
    socket: TestSocket, request_id: str, *messages: dict[str, Any], trigger: str = "submit-message", **body: Any
) -> None:
    """Ask for a turn."""
    text = json.dumps({"messages": messages, "trigger": trigger, **body})
    say(socket, id=request_id, type="cf_agent_use_chat_request", init={"method": "POST", "body": text})


async def tab(runtime: Runtime, id: str, path: str = "/agents/bot/x") -> TestSocket:
    """Open a tab and read the frames that greet it."""
    socket = await connect(runtime, f"{path}?_pk={id}")
    await heard(socket)
    return socket


async def hear_until(socket: TestSocket, type: str, **fields: Any) -> list[Any]:
    """Return the frames up to the first one of this type with these fields, however long that takes."""
    frames: list[Any] = []
    while True:
        frame = json.loads(await socket.receive())
        frames.append(frame)
        if frame.get("type") == type and all(frame.get(name) == value for name, value in fields.items()):
            return frames


async def hear_turn(socket: TestSocket, request_id: str) -> list[Any]:
    """Return the frames up to the one that ends a request."""
    return await hear_until(socket, RESPONSE, id=request_id, done=True)


def chunks(frames: list[Any]) -> list[Any]:
    """Return the chunks in frames."""
    return [json.loads(f["body"]) for f in frames if f["type"] == RESPONSE and f["body"] and not f.get("error")]


def seqs(frames: list[Any]) -> list[int]:
    """Return the numbers of the chunks in frames."""
    return [frame["seq"] for frame in frames if "seq" in frame]


def text_of(frames: list[Any]) -> str:
    """Return the text in frames."""
    return "".join(chunk.get("delta", "") for chunk in chunks(frames))


def types(frames: list[Any]) -> list[str]:
    """Return the types of frames, without what they begin with."""
    return [frame["type"].removeprefix("cf_agent_") for frame in frames]


def speech(*words: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a reply that says words."""
    yield {"type": "start"}
    yield {"type": "start-step"}
    yield {"type": "text-start", "id": "t"}
    for word in words:
        yield {"type": "text-delta", "id": "t", "delta": word}
    yield {"type": "text-end", "id": "t"}
    yield {"type": "finish-step"}
    yield {"type": "finish", "finishReason": "stop"}


async def history(runtime: Runtime, path: str = "/agents/bot/x") -> list[Any]:
    """Return the messages that a page is given."""
    response = await runtime.route(Request(f"{path}/get-messages"))
    assert response is not None
    return await response.json()


async def call(runtime: Runtime, method: str, *args: Any, path: str = "/agents/bot/x") -> Any:
    """Call a method of the agent that clients may call."""
    socket = await connect(runtime, path)
    say(socket, type="rpc", id="call", method=method, args=list(args))
    frames = await hear_until(socket, "rpc", id="call")
    socket.close()
    await settle()
    return frames[-1]
