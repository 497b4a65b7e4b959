"""An agent of Pydantic AI behind a chat: a browser's frames in, a browser's frames out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from edgeagents_pydantic_ai import stream_agent
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from edgeagents import Agent, AIChatAgent
from edgeagents.http import Request, Response
from edgeagents.runtime import Runtime
from edgeagents.testing import TestSocket, agent_runtime, connect

RESPONSE = "cf_agent_use_chat_response"
PATIENCE = 10


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    """Ask to remove a file, then tell what came of it."""
    returned = [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
    if returned:
        yield f"I heard: {returned[-1].content}"
    else:
        yield {0: DeltaToolCall(name="remove", json_args='{"path":"a.txt"}', tool_call_id="c1")}


clerk: PydanticAgent[list[str], Any] = PydanticAgent(FunctionModel(stream_function=say), deps_type=list[str])


@clerk.tool(requires_approval=True)
def remove(ctx: RunContext[list[str]], path: str) -> str:
    ctx.deps.append(path)
    return f"{path} is gone"


class Files(AIChatAgent):
    removed: list[str] = []

    async def on_chat_message(self, on_finish: Any, options: Any) -> Any:
        return stream_agent(clerk, self.messages, deps=self.removed)


class Plain(Agent):
    async def on_request(self, request: Request) -> Response:
        return stream_agent(clerk, "Remove a.txt", deps=[]).to_ui_message_stream_response()


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    Files.removed = []
    async with agent_runtime(Files, Plain) as running:
        yield running


async def heard_until_done(socket: TestSocket) -> list[dict[str, Any]]:
    """Return the chunks up to the end of a turn."""
    chunks: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while True:
            frame = json.loads(await socket.receive())
            if frame.get("type") == RESPONSE:
                if frame.get("body"):
                    chunks.append(json.loads(frame["body"]))
                if frame.get("done"):
                    return chunks


async def parts_of(runtime: Runtime) -> list[dict[str, Any]]:
    response = await runtime.route(Request("/agents/files/x/get-messages"))
    assert response is not None
    return (await response.json())[-1]["parts"]


async def asked(runtime: Runtime) -> TestSocket:
    socket = await connect(runtime, "/agents/files/x")
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Remove a.txt"}]}
    body = json.dumps({"messages": [message], "trigger": "submit-message"})
    socket.send(json.dumps({"id": "t1", "type": "cf_agent_use_chat_request", "init": {"method": "POST", "body": body}}))
    chunks = await heard_until_done(socket)
    assert {"type": "tool-approval-request", "approvalId": "c1", "toolCallId": "c1"} in chunks
    return socket


def decide(socket: TestSocket, approved: bool) -> None:
    frame = {"type": "cf_agent_tool_approval", "toolCallId": "c1", "approved": approved, "autoContinue": True}
    socket.send(json.dumps(frame))


async def test_a_call_that_needs_leave_waits_in_the_chat(runtime: Runtime) -> None:
    await asked(runtime)
    (*_, part) = await parts_of(runtime)
    assert (part["type"], part["state"], part["input"]) == ("tool-remove", "approval-requested", {"path": "a.txt"})
    assert Files.removed == []


@pytest.mark.parametrize(
    ("approved", "removed", "state", "said"),
    [
        (True, ["a.txt"], "output-available", "I heard: a.txt is gone"),
        (False, [], "output-denied", "I heard: Tool call execution denied."),
    ],
    ids=["allowed", "denied"],
)
async def test_the_chat_goes_on_after_a_decision(
    runtime: Runtime, approved: bool, removed: list[str], state: str, said: str
) -> None:
    socket = await asked(runtime)
    decide(socket, approved)
    await heard_until_done(socket)
    parts = await parts_of(runtime)
    (call,) = [part for part in parts if part["type"] == "tool-remove"]
    assert call["state"] == state
    assert parts[-1]["text"] == said
    assert Files.removed == removed


async def test_an_agent_answers_a_request_with_it(runtime: Runtime) -> None:
    response = await runtime.route(Request("/agents/plain/x"))
    assert response is not None
    body = await response.text()
    assert '"type":"tool-input-available","toolCallId":"c1","toolName":"remove"' in body
    assert '"type":"tool-approval-request"' in body
