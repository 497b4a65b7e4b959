"""What ``stream_text`` returns: one stream, read in many ways.

``TextResult`` is the reading side: iterate, await what it comes to, answer a request with it. Where the parts stand
is left to its two kinds: ``StreamTextResult`` keeps them in memory for as long as it lives, an agent's
``DurableTextStream`` in the agent's storage.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from edgeagents.errors import ModelError
from edgeagents.http import Headers, HeadersInit, Response
from edgeagents.models.encoding import (
    TEXT_STREAM_HEADERS,
    UI_MESSAGE_STREAM_HEADERS,
    UIOptions,
    encode_text,
    encode_ui,
)
from edgeagents.models.messages import Message
from edgeagents.models.parts import (
    AbortPart,
    ErrorPart,
    FilePart,
    FinishReason,
    FinishStep,
    Json,
    Part,
    ReasoningDelta,
    SourcePart,
    TextDelta,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
)
from edgeagents.models.steps import Collector, StepResult

__all__ = ["Callbacks", "FinishEvent", "StreamTextResult", "TextResult", "merge_headers"]

T = TypeVar("T")

_log = logging.getLogger("edgeagents.models")

_CHUNKS = (
    TextDelta,
    ReasoningDelta,
    SourcePart,
    ToolCall,
    ToolApprovalRequest,
    ToolInputStart,
    ToolInputDelta,
    ToolResult,
    ToolError,
)


@dataclass(frozen=True, slots=True)
class FinishEvent:
    """What ``on_finish`` is told: the last step's text and the whole of the steps."""

    text: str
    finish_reason: FinishReason
    steps: Sequence[StepResult]
    total_usage: Usage
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Functions that are told while a stream is made. Each may be sync or async; the stream waits for it.

    What one raises is logged and changes nothing.
    """

    on_chunk: Callable[[Part], Any] | None = None
    on_step_finish: Callable[[StepResult], Any] | None = None
    on_finish: Callable[[FinishEvent], Any] | None = None
    on_error: Callable[[ErrorPart], Any] | None = None
    on_abort: Callable[[Sequence[StepResult]], Any] | None = None

    async def tell(self, part: Part, collector: Collector) -> None:
        """Call what is to be told of ``part``, which ``collector`` has taken into account."""
        if self.on_chunk is not None and isinstance(part, _CHUNKS):
            await _call(self.on_chunk, part)
        if self.on_step_finish is not None and isinstance(part, FinishStep):
            await _call(self.on_step_finish, collector.steps[-1])
        if part is not collector.end:
            return
        if isinstance(part, ErrorPart):
            if self.on_error is None:
                _log.error("A model failed: %s", part.message)
            else:
                await _call(self.on_error, part)
        elif isinstance(part, AbortPart):
            if self.on_abort is not None:
                await _call(self.on_abort, collector.steps)
        elif self.on_finish is not None:
            last = collector.last_step
            steps, usage = collector.steps, collector.total_usage
            event = FinishEvent(last.text, last.finish_reason, steps, usage, collector.messages)
            await _call(self.on_finish, event)


async def _call(fn: Callable[..., Any], *args: object) -> None:
    try:
        result = fn(*args)
        if inspect.isawaitable(result):
            await result
    except Exception:
        _log.exception("%s of a text stream failed.", getattr(fn, "__qualname__", fn))


class TextResult(ABC):
    """A stream of text that a model makes. It may be read many times, each time from its start.

    Awaiting what it comes to (``await result.text``) reads it to its end, and raises ``ModelError`` when that is
    an error. A stream that was aborted comes to what there was.
    """

    @abstractmethod
    def numbered_parts(self, start: int = 0) -> AsyncGenerator[tuple[int, Part], None]:
        """Yield each part with its position, from ``start`` to the end."""

    def response_parts(self, start: int = 0) -> AsyncGenerator[tuple[int, Part], None]:
        """Yield parts for a response. Closing it says that its client has gone."""
        return self.numbered_parts(start)

    @property
    async def full_stream(self) -> AsyncGenerator[Part, None]:
        """Every part. Errors are parts too: iterating does not raise."""
        async for _, part in self.numbered_parts():
            yield part

    @property
    async def text_stream(self) -> AsyncGenerator[str, None]:
        """The text, as it comes. It ends early and silently when the model fails; ``full_stream`` tells why."""
        async for _, part in self.numbered_parts():
            if isinstance(part, TextDelta):
                yield part.text

    async def consume_stream(self) -> None:
        """Read to the end, whatever that is. Raises nothing."""
        async for _ in self.numbered_parts():
            pass

    @property
    def text(self) -> Awaitable[str]:
        """The text of the last step."""
        return self._ask(lambda found: found.last_step.text)

    @property
    def reasoning_text(self) -> Awaitable[str]:
        """The reasoning of the last step."""
        return self._ask(lambda found: found.last_step.reasoning_text)

    @property
    def usage(self) -> Awaitable[Usage]:
        """What the last step used."""
        return self._ask(lambda found: found.last_step.usage)

    @property
    def total_usage(self) -> Awaitable[Usage]:
        """What all steps used."""
        return self._ask(lambda found: found.total_usage)

    @property
    def finish_reason(self) -> Awaitable[FinishReason]:
        """Why the last step ended. ``"error"`` when the stream ended with one."""
        return self._finish_reason()

    @property
    def steps(self) -> Awaitable[list[StepResult]]:
        """All steps."""
        return self._ask(lambda found: found.steps)

    @property
    def tool_calls(self) -> Awaitable[list[ToolCall]]:
        """The calls of the last step."""
        return self._ask(lambda found: found.last_step.tool_calls)

    @property
    def tool_results(self) -> Awaitable[list[ToolResult]]:
        """What tools answered in the last step."""
        return self._ask(lambda found: found.last_step.tool_results)

    @property
    def sources(self) -> Awaitable[list[SourcePart]]:
        """The sources of the last step."""
        return self._ask(lambda found: found.last_step.sources)

    @property
    def files(self) -> Awaitable[list[FilePart]]:
        """The files of the last step."""
        return self._ask(lambda found: found.last_step.files)

    @property
    def response_messages(self) -> Awaitable[list[Message]]:
        """What this stream adds to the conversation."""
        return self._ask(lambda found: found.messages)

    async def _collect(self) -> Collector:
        collector = Collector()
        async for _, part in self.numbered_parts():
            collector.add(part)
        return collector

    async def _ask(self, question: Callable[[Collector], T]) -> T:
        found = await self._collect()
        if isinstance(found.end, ErrorPart):
            end = found.end
            raise ModelError(end.message, status=end.status, retryable=end.retryable, retry_after=end.retry_after)
        return question(found)

    async def _finish_reason(self) -> FinishReason:
        found = await self._collect()
        return "error" if isinstance(found.end, ErrorPart) else found.last_step.finish_reason

    def to_text_stream_response(self, *, headers: HeadersInit = None, status: int = 200) -> Response:
        """Answer with the text alone, as it comes. ``headers`` go before the usual ones.

        When the model fails the connection is cut, so that the client does not take half an answer for a whole one.
        """
        body = encode_text(self.response_parts())
        return Response(body, status=status, headers=merge_headers(TEXT_STREAM_HEADERS, headers))

    def to_ui_message_stream_response(
        self,
        *,
        headers: HeadersInit = None,
        status: int = 200,
        message_id: str | None = None,
        send_reasoning: bool = True,
        send_sources: bool = False,
        send_start: bool = True,
        send_finish: bool = True,
        on_error: Callable[[ErrorPart | ToolError | ToolCall], str] | None = None,
        message_metadata: Callable[[Part], Json] | None = None,
    ) -> Response:
        """Answer with what the AI SDK's ``useChat`` reads. ``headers`` go before the usual ones.

        Errors reach the browser as a text that says nothing; ``on_error`` gives another.
        """
        options = UIOptions(
            message_id=message_id,
            send_reasoning=send_reasoning,
            send_sources=send_sources,
            send_start=send_start,
            send_finish=send_finish,
            message_metadata=message_metadata,
            **({} if on_error is None else {"on_error": on_error}),
        )
        body = encode_ui(self.response_parts(), options)
        return Response(body, status=status, headers=merge_headers(UI_MESSAGE_STREAM_HEADERS, headers))


def merge_headers(usual: dict[str, str], given: HeadersInit) -> Headers:
    """Return ``given``, with those of ``usual`` that it leaves out."""
    headers = Headers(given)
    for name, value in usual.items():
        headers.setdefault(name, value)
    return headers


class StreamTextResult(TextResult):
    """A stream that is kept in memory. It begins when it is first read and then runs to its end.

    When all responses that were made of it have lost their client, and nobody else reads, the model is stopped.
    """

    def __init__(self, make: Callable[[], AsyncGenerator[Part, None]], callbacks: Callbacks) -> None:
        self._make = make
        self._callbacks = callbacks
        # Tools and callbacks run where stream_text was called, not where the first reader happens to stand.
        self._context = contextvars.copy_context()
        self._parts: list[Part] = []
        self._collector = Collector()
        self._pump: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._readers = 0

    async def numbered_parts(self, start: int = 0) -> AsyncGenerator[tuple[int, Part], None]:
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="stream_text", context=self._context)
        position = start
        self._readers += 1
        try:
            while True:
                for part in self._parts[position:]:
                    yield position, part
                    position += 1
                if self._collector.end is not None and position >= len(self._parts):
                    return
                if position >= len(self._parts):
                    await self._news.wait()
        finally:
            self._readers -= 1

    async def response_parts(self, start: int = 0) -> AsyncGenerator[tuple[int, Part], None]:
        parts = self.numbered_parts(start)
        try:
            async for numbered in parts:
                yield numbered
        finally:
            await parts.aclose()
            if self._readers == 0 and self._pump is not None:
                self._pump.cancel()

    async def _run(self) -> None:
        parts = self._make()
        try:
            async for part in parts:
                self._add(part)
                await self._callbacks.tell(part, self._collector)
        finally:
            await parts.aclose()
            if self._collector.end is None:
                self._add(AbortPart("Nobody reads any more."))

    def _add(self, part: Part) -> None:
        self._parts.append(part)
        self._collector.add(part)
        news, self._news = self._news, asyncio.Event()
        news.set()
