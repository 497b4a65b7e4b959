"""A chat that asks with forms: choices, yes or no, text, a scale.

A port of ``examples/structured-input`` of the Agents SDK. A question is a call of a tool that the server cannot run. It
ends the turn; the browser shows the form, sends what the user put in as the tool's output, and the turn goes on.
"""

from __future__ import annotations

from typing import Any

from questions import QUESTIONS

from edgeagents import (
    AIChatAgent,
    ChatOptions,
    Env,
    Request,
    Response,
    WorkerEntrypoint,
    convert_to_model_messages,
    route_agent_request,
)

INSTRUCTIONS = """\
You help people by asking them: to plan a trip, fill in a survey, choose between things, say what a project needs.
Whenever you need to know something, ask with the tool whose form is the easiest to answer, one question at a time.
When you have an answer, say in a sentence what you make of it, and go on."""


class StructuredInputAgent(AIChatAgent[Env]):
    async def on_chat_message(self, on_finish: Any = None, options: ChatOptions | None = None) -> Response:
        """Answer, or ask. A call of a tool without a function is the end of the turn."""
        answer = self.stream_text(
            model="openai:gpt-4o",
            system=INSTRUCTIONS,
            messages=convert_to_model_messages(self.messages),
            tools=QUESTIONS,
            abort_signal=options.abort_signal if options else None,
        )
        return answer.to_ui_message_stream_response()


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/structured-input-agent/<chat>``."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
