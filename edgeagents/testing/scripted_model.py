"""A model that says what a test wants it to say: texts, thoughts, calls of tools, errors.

    model = ScriptedModel([call_tool("weather", city="Rome"), "It rains in Rome."])

    async with agent_runtime(Assistant, plugins=[model]) as runtime:
        ...

It is a plugin with one provider, which answers for ``scripted:...``, or for every model of the provider that ``name``
says. It needs no key and no network, and ends no answer otherwise than a vendor's model does.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from edgeagents.errors import ModelError
from edgeagents.hookspecs import hookimpl
from edgeagents.http import AbortSignal
from edgeagents.models import (
    FinishStep,
    ModelProvider,
    ModelRequest,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    Usage,
)

__all__ = ["Answer", "ScriptedModel", "call_tool", "think"]

Item: TypeAlias = str | Part | Usage | BaseException | asyncio.Event
Answer: TypeAlias = Item | Mapping[str, Any] | Sequence[Item]
"""What a model says when it is asked once: one item or several.

A ``str`` is a piece of text, ``think(...)`` a thought, ``call_tool(...)`` a call. An exception is raised, after what
stands before it; an ``asyncio.Event`` is waited for; ``Usage`` is what the answer has cost; every other part is said as
it is. A dict, alone, is the value that ``generate_object`` asks for.
"""


def call_tool(tool: str, /, **input: Any) -> ToolCall:
    """Return the call of a tool with these arguments, for an answer of a ``ScriptedModel``."""
    return ToolCall("", tool, input)


def think(text: str) -> ReasoningDelta:
    """Return a thought, which a model shows before it answers."""
    return ReasoningDelta("", text)


class ScriptedModel:
    """Answers with ``answers``, one each time it is asked; or with what ``answers(request)`` returns, sync or async.

    A step of a turn is one question: after a call of a tool the model is asked again, and finds the tool's result in
    ``request.messages``. What it was asked is in ``requests``. When it is asked once more than there are answers, that
    fails with ``ModelError``.

    ``name`` is the provider that it is: ``ScriptedModel([...], name="openai")`` answers for ``openai:gpt-4o`` where no
    plugin does. With ``continues`` it can be asked to go on with an answer that broke off (``request.prefix``): what it
    then says is the rest.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[ModelRequest], Any],
        *,
        name: str = "scripted",
        continues: bool = False,
    ) -> None:
        if isinstance(answers, str | Mapping):
            raise TypeError(f"ScriptedModel takes a list of answers, one for each time it is asked: [{answers!r}].")
        self.name = name
        self.continues = continues
        self.requests: list[ModelRequest] = []
        # What plugins are told apart by: a runtime may have several of these.
        self.__name__ = f"scripted model {name}"
        self._answer = answers if callable(answers) else None
        self._answers = [] if callable(answers) else list(answers)

    @hookimpl
    def register_model_providers(self) -> list[ModelProvider]:
        """Bring itself to the runtime that it is a plugin of."""
        return [self]

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Say the next answer."""
        self.requests.append(request)
        number = len(self.requests)
        speech = _Speech(number, request)
        for item in await self._next(number, request):
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
                continue
            for part in speech.say(item):
                yield part
        for part in speech.end():
            yield part

    async def _next(self, number: int, request: ModelRequest) -> Sequence[Item]:
        if self._answer is not None:
            answer = self._answer(request)
            return _items(await answer if inspect.isawaitable(answer) else answer, request)
        if number > len(self._answers):
            raise ModelError(
                f"The model {self.name!r} of the test has {len(self._answers)} answers and is asked once more, after: "
                f"{_last(request)}. Write another answer, or give it a function of the request."
            )
        return _items(self._answers[number - 1], request)

    def __repr__(self) -> str:
        return f"<ScriptedModel {self.name}, asked {len(self.requests)} times>"


class _Speech:
    """One answer as parts: opens and ends blocks, names the calls, and says how it ended."""

    def __init__(self, number: int, request: ModelRequest) -> None:
        self._number, self._request = number, request
        self._block: TextStart | ReasoningStart | None = None
        self._blocks = self._calls = self._words = 0
        self._usage: Usage | None = None
        self._is_over = False

    def say(self, item: Item) -> list[Part]:
        match item:
            case str():
                return self._more(TextStart, TextDelta, item)
            case TextDelta("", text):
                return self._more(TextStart, TextDelta, text)
            case ReasoningDelta("", text):
                return self._more(ReasoningStart, ReasoningDelta, text)
            case ToolCall(""):
                return [*self._end_block(), *self._call(item)]
            case Usage():
                self._usage = item
                return []
            case FinishStep():
                self._is_over = True
                return [*self._end_block(), item]
            case _:
                self._calls += isinstance(item, ToolCall)
                return [*self._end_block(), cast("Part", item)]

    def end(self) -> list[Part]:
        if self._is_over:
            return []
        read = sum(len(message.text.split()) for message in self._request.messages)
        usage = self._usage or Usage(read, self._words, read + self._words)
        return [*self._end_block(), FinishStep("tool-calls" if self._calls else "stop", usage)]

    def _more(self, start: type[TextStart | ReasoningStart], delta: type[Any], text: str) -> list[Part]:
        opened: list[Part] = []
        if not isinstance(self._block, start):
            opened = self._end_block()
            self._blocks += 1
            self._block = start(f"{self._number}-{self._blocks}")
            opened.append(self._block)
        assert self._block is not None
        self._words += len(text.split())
        return [*opened, delta(self._block.id, text)]

    def _end_block(self) -> list[Part]:
        ended, self._block = self._block, None
        match ended:
            case None:
                return []
            case TextStart():
                return [TextEnd(ended.id)]
            case ReasoningStart():
                return [ReasoningEnd(ended.id)]

    def _call(self, call: ToolCall) -> list[Part]:
        self._calls += 1
        id = f"call_{self._number}_{self._calls}"
        return [
            ToolInputStart(id, call.tool_name),
            ToolInputDelta(id, json.dumps(call.input)),
            replace(call, tool_call_id=id),
        ]


def _items(answer: Any, request: ModelRequest) -> Sequence[Item]:
    if isinstance(answer, Mapping):
        choice = request.tool_choice
        if isinstance(choice, str):
            raise ModelError(f"{answer!r} answers generate_object only; what a model says is a str, or call_tool(...).")
        return [ToolCall("", choice["tool_name"], dict(cast("Mapping[str, Any]", answer)))]
    items = list(answer) if isinstance(answer, list | tuple) else [answer]
    for item in items:
        if not isinstance(item, Item):
            raise ModelError(
                f"A scripted model cannot say {item!r}: it takes texts, think(...), call_tool(...), errors."
            )
    if any(isinstance(item, FinishStep) for item in items[:-1]):
        raise ModelError("An answer of a scripted model ends with its FinishStep; something comes after it.")
    return items


def _last(request: ModelRequest) -> str:
    message = request.messages[-1]
    return f"{message.role}: {message.text or message.content!r:.200}"
