"""An agent of Pydantic AI in the place of a model.

``stream_text`` asks it as it asks any model. The agent's own tools run inside of its answer, as a vendor's own tools
do; the tools of ``stream_text`` are shown to it too, and run where ``stream_text`` runs them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelRequest, ModelResponse, ToolReturnPart
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests

from edgeagents.http import AbortSignal
from edgeagents.models import FinishStep, ModelHandle, Part, ReasoningEnd, ToolCall, Usage
from edgeagents.models import ModelRequest as OurRequest
from edgeagents_pydantic_ai.errors import bare_agent, broken_off, mapped_errors, secret_of
from edgeagents_pydantic_ai.events import EventReader
from edgeagents_pydantic_ai.history import MARK, conversation_of
from edgeagents_pydantic_ai.tools import FirstChoice, outer_tools

__all__ = ["PydanticAIProvider", "pydantic_ai_model"]


class PydanticAIProvider:
    """Answers with ``agent``; without one, with a bare agent of the model that is asked for.

    ``deps`` is what the agent's tools are given.
    """

    name = "pydantic_ai"

    def __init__(self, agent: Agent[Any, Any] | None = None, *, deps: Any = None) -> None:
        self._agent, self._deps = agent, deps

    async def stream(
        self, request: OurRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Yield what the agent says and does. Closing the iterator ends its run."""
        agent: Agent[Any, Any] = self._agent or bare_agent(request.model)
        outer = {tool.name for tool in request.tools}
        told = conversation_of(request.messages)
        choice = [FirstChoice(request.tool_choice)] if request.tools and request.tool_choice != "auto" else []
        usage = Usage()
        with mapped_errors(secret_of(agent)):
            async with agent.run_stream_events(
                told.prompt,
                message_history=told.history,
                deferred_tool_results=told.decided,
                instructions=told.system or None,
                deps=self._deps,
                model_settings=_settings(request),
                output_type=[agent.output_type, DeferredToolRequests],
                toolsets=[outer_tools(request.tools)] if request.tools else None,
                capabilities=choice,
            ) as events:
                reader = EventReader(
                    lambda: _responses(events.new_messages()), marks=lambda name: None if name in outer else True
                )
                step: FinishStep | None = None
                calls = own = 0
                async for event in events:
                    for part in reader.read(event):
                        if isinstance(part, FinishStep):
                            step, usage = part, usage + part.usage
                            continue
                        if isinstance(part, ToolCall):
                            calls, own = (calls, own + 1) if part.provider_executed else (calls + 1, own)
                        yield part
                said = _kept(events.new_messages())
        if step is None:
            raise broken_off()
        if calls and own:
            # What the agent did by itself is not in the conversation that the next step is told.
            yield ReasoningEnd("run", {MARK: {"messages": said}})
        reason = "tool-calls" if calls else step.finish_reason
        yield FinishStep(reason, usage, step.raw_finish_reason, step.response_id)


def pydantic_ai_model(agent: Agent[Any, Any], *, deps: Any = None) -> ModelHandle:
    """Return ``agent`` as a model: ``stream_text(model=pydantic_ai_model(agent), ...)``."""
    return ModelHandle(PydanticAIProvider(agent, deps=deps), agent.name or "agent", is_reopenable=False)


def _settings(request: OurRequest) -> ModelSettings:
    given: dict[str, Any] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_output_tokens,
        "stop_sequences": list(request.stop_sequences) or None,
        "seed": request.seed,
        "extra_headers": dict(request.headers) or None,
        **request.provider_options,
    }
    return ModelSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[typeddict-item]


def _responses(messages: list[ModelMessage]) -> list[ModelResponse]:
    return [message for message in messages if isinstance(message, ModelResponse)]


def _kept(messages: list[ModelMessage]) -> Any:
    """Return what the agent said and what its tools answered. Prompts and instructions stay here."""
    kept: list[ModelMessage] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            kept.append(message)
            continue
        returns = [part for part in message.parts if isinstance(part, ToolReturnPart)]
        if returns:
            kept.append(ModelRequest(parts=list(returns)))
    return ModelMessagesTypeAdapter.dump_python(kept, mode="json")
