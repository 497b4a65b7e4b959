"""An agent of Pydantic AI as the whole answer: its run is the stream."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.capabilities import ReinjectSystemPrompt
from pydantic_ai.exceptions import RunCancelled
from pydantic_ai.messages import ModelResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.toolsets import AbstractToolset
from pydantic_ai.usage import UsageLimits

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.models import (
    AbortPart,
    ErrorPart,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Start,
    StartStep,
    StreamTextResult,
    TextDelta,
    TextEnd,
    TextStart,
    Usage,
)
from edgeagents.models.messages import MessageLike
from edgeagents.models.result import Callbacks, FinishEvent
from edgeagents_pydantic_ai.errors import broken_off, mapped_errors, secret_of
from edgeagents_pydantic_ai.events import EventReader
from edgeagents_pydantic_ai.history import Conversation, read_conversation

__all__ = ["stream_agent"]

_log = logging.getLogger("edgeagents.models")


def stream_agent(
    agent: Agent[Any, Any],
    messages: str | Iterable[MessageLike],
    *,
    deps: Any = None,
    instructions: str | None = None,
    model: Any = None,
    model_settings: ModelSettings | None = None,
    usage_limits: UsageLimits | None = None,
    toolsets: Sequence[AbstractToolset[Any]] | None = None,
    abort_signal: AbortSignal | None = None,
    on_finish: Callable[[FinishEvent], Any] | None = None,
    on_error: Callable[[ErrorPart], Any] | None = None,
) -> StreamTextResult:
    """Run ``agent`` and return its answer, as ``stream_text`` returns a model's.

    ``messages`` is a prompt, messages as ``stream_text`` takes them, or those of a browser's ``useChat``. Return the
    result from ``on_chat_message``, or answer a request with one of its ``to_..._response`` methods.

    The run begins when the result is first read. A call that needs leave ends it with a ``ToolApprovalRequest``. When
    the messages say that the call was allowed, the next run makes it; when it was denied, the model is told so.
    Raises ValueError when ``messages`` cannot be read. What fails later is a part of the stream.
    """
    told = read_conversation(messages)

    def make() -> AsyncGenerator[Part, None]:
        return _parts(
            agent,
            told,
            abort_signal,
            deps=deps,
            instructions="\n\n".join(filter(None, [told.system, instructions])) or None,
            model=model,
            model_settings=model_settings,
            usage_limits=usage_limits,
            toolsets=toolsets,
        )

    return StreamTextResult(make, Callbacks(on_finish=on_finish, on_error=on_error))


async def _parts(
    agent: Agent[Any, Any], told: Conversation, signal: AbortSignal | None, **options: Any
) -> AsyncGenerator[Part, None]:
    yield Start()
    framing = _Framing()
    end: Part
    try:
        run = _run(agent, told, signal, options)
        try:
            async for part in run:
                for framed in framing.frame(part):
                    yield framed
        finally:
            await run.aclose()
        if framing.reason is None:
            raise broken_off()
        end = Finish(framing.reason, framing.usage)
    except RunCancelled:
        reason = None if signal is None or signal.reason is None else str(signal.reason)
        end = AbortPart(reason)
    except ModelError as error:
        end = ErrorPart(str(error), error.status, error.retryable, error.retry_after)
    except Exception as error:
        _log.exception("The agent %s failed.", agent.name)
        end = ErrorPart(f"{type(error).__name__}: {error}")
    yield end


async def _run(
    agent: Agent[Any, Any], told: Conversation, signal: AbortSignal | None, options: dict[str, Any]
) -> AsyncGenerator[Part, None]:
    with mapped_errors(secret_of(agent)):
        async with agent.run_stream_events(
            told.prompt,
            message_history=told.history,
            deferred_tool_results=told.decided,
            output_type=[agent.output_type, DeferredToolRequests],
            # A browser's messages have no system prompt, and must not have one.
            capabilities=[ReinjectSystemPrompt()],
            **options,
        ) as events:
            remove = (lambda: None) if signal is None else signal.add_listener(events.cancel)
            try:
                reader = EventReader(
                    lambda: [each for each in events.new_messages() if isinstance(each, ModelResponse)],
                    resumed=told.resumed,
                )
                async for event in events:
                    for part in reader.read(event):
                        yield part
            finally:
                remove()


class _Framing:
    """Begins and ends blocks and steps."""

    def __init__(self) -> None:
        self.reason: FinishReason | None = None
        self.usage = Usage()
        self._is_in_step = False
        self._texts: dict[str, str] = {}
        self._reasonings: dict[str, str] = {}
        self._blocks = 0

    def frame(self, part: Part) -> list[Part]:
        """Return ``part`` with what goes before and after it."""
        found: list[Part] = []
        if not self._is_in_step:
            self._is_in_step = True
            found.append(StartStep())
        match part:
            case TextDelta():
                if part.id not in self._texts:
                    found.append(TextStart(self._begin(self._texts, part.id, "txt")))
                found.append(TextDelta(self._texts[part.id], part.text, part.provider_metadata))
            case TextEnd():
                if part.id in self._texts:
                    found.append(TextEnd(self._texts.pop(part.id), part.provider_metadata))
            case ReasoningDelta():
                if part.id not in self._reasonings:
                    found.append(ReasoningStart(self._begin(self._reasonings, part.id, "rsn")))
                found.append(ReasoningDelta(self._reasonings[part.id], part.text, part.provider_metadata))
            case ReasoningEnd():
                if part.id not in self._reasonings and part.provider_metadata:
                    found.append(ReasoningStart(self._begin(self._reasonings, part.id, "rsn")))
                if part.id in self._reasonings:
                    found.append(ReasoningEnd(self._reasonings.pop(part.id), part.provider_metadata))
            case FinishStep():
                found += [TextEnd(each) for each in self._texts.values()]
                found += [ReasoningEnd(each) for each in self._reasonings.values()]
                found.append(part)
                self._texts.clear()
                self._reasonings.clear()
                self._is_in_step = False
                self.reason, self.usage = part.finish_reason, self.usage + part.usage
            case _:
                found.append(part)
        return found

    def _begin(self, blocks: dict[str, str], part_id: str, kind: str) -> str:
        blocks[part_id] = f"{kind}-{self._blocks}"
        self._blocks += 1
        return blocks[part_id]
