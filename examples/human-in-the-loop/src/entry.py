"""A chat whose tools need a person: one asks for leave, one runs in the browser, one runs at once.

A port of the guide "human-in-the-loop" of the Agents SDK. A call that waits for somebody rests in the conversation: the
server may be restarted and the tab reloaded before the answer comes.
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
    tool,
)


@tool(name="getWeatherInformation", needs_approval=True)
async def get_weather_information(city: str) -> str:
    """Show the weather in a city. The user has to agree first."""
    return f"The weather in {city} is sunny."


@tool(name="getLocalNews")
async def get_local_news(location: str) -> str:
    """Return the news of a place. Runs at once."""
    return f"{location} is fine."


get_local_time = tool(
    None,
    name="getLocalTime",
    description="Return the local time of a place. The user's browser answers.",
    input_schema={"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
)


class HumanInTheLoop(AIChatAgent):
    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        """Answer, with tools. Called again when the calls that waited for somebody are answered."""
        return self.stream_text(
            model="openai:gpt-4o",
            messages=convert_to_model_messages(self.messages),
            tools=[get_weather_information, get_local_time, get_local_news],
            max_steps=5,
            abort_signal=options.abort_signal,
        )


class Default(WorkerEntrypoint):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/human-in-the-loop/<name>``; the page is an asset."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
