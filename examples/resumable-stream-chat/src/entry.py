"""A chat whose answers survive a reload, another tab, a lost network and a killed server.

A port of the example "resumable-stream-chat" of the Agents SDK. There is nothing to do for it: a turn belongs to the
agent, and a client that comes back is given what it missed.
"""

from __future__ import annotations

from typing import Any

from edgeagents import (
    AIChatAgent,
    ChatOptions,
    Request,
    Response,
    WorkerEntrypoint,
    convert_to_model_messages,
    route_agent_request,
)


class ResumableStreamingChat(AIChatAgent):
    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        """Answer with what the model says."""
        return self.stream_text(
            model="openai:gpt-4o",
            messages=convert_to_model_messages(self.messages),
            abort_signal=options.abort_signal,
        )


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/resumable-streaming-chat/<name>``; the page is an asset."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
