"""The offline model: an answer without a key, a network or a model.

It is there so that everything around a model can be seen at work: streaming, resuming, stopping, tools. It says
what it is, talks about the prompt in sentences drawn with a seed, and waits a little between words. It knows
nothing and does not pretend to.

``provider_options={"offline": {...}}`` takes ``words`` (how many), ``pause_ms`` (between words) and ``tool_calls``
(a list of ``{"tool_name": ..., "input": ...}``, made before it answers).

When the one tool that it is shown must be called, it calls it with made-up values that are as the tool's schema asks:
that is how ``generate_object`` asks.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.models.example_values import example_of
from edgeagents.models.messages import Message, ToolResultContent, output_text
from edgeagents.models.parts import (
    FinishStep,
    Json,
    Part,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
    Usage,
)
from edgeagents.models.provider import ModelRequest
from edgeagents.objects.clock import Clock

__all__ = ["OfflineProvider"]

DEFAULT_PAUSE_MS = 40
MOST_WORDS = 100_000
LONGEST_PAUSE_MS = 3_600_000

_SUBJECTS = (
    "A small server",
    "An agent",
    "A stream",
    "The log of a turn",
    "A client that comes back",
    "One object per name",
    "Its own database",
    "A real model in this place",
    "The next word",
    "A slow reader",
)
_VERBS = ("keeps", "sends", "remembers", "waits for", "picks up", "answers", "counts", "carries", "writes down")
_OBJECTS = (
    "what was said",
    "every word in order",
    "the place where it stopped",
    "one thing at a time",
    "the request and its answer",
    "what a reader has not seen yet",
    "the rest of the sentence",
    "more than it shows",
    "nothing twice",
)
_ENDINGS = (
    "and nothing is lost on the way",
    "as long as it takes",
    "without a session store",
    "before anybody hears of it",
    "and then the next one follows",
    "even when the line is cut",
    "whether or not somebody listens",
)


class OfflineProvider:
    """Answers for every model of the name ``offline:...``, and in place of models that are not set up."""

    name = "offline"
    continues = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Yield the answer word by word. The same request with the same seed has the same answer."""
        options = request.provider_options
        pause = _number(options, "pause_ms", DEFAULT_PAUSE_MS, most=LONGEST_PAUSE_MS) / 1000
        calls = cast("Sequence[Mapping[str, Json]]", options.get("tool_calls") or ()) or _forced_call(request)
        if calls and request.tool_choice != "none" and request.messages[-1].role != "tool" and not request.prefix:
            for part in _scripted_calls(calls, len(request.messages)):
                await self._pause(pause)
                yield part
            yield FinishStep("tool-calls", _usage(request.messages, 0))
            return
        words = answer_words(request, int(_number(options, "words", 0, most=MOST_WORDS)))
        limit = request.max_output_tokens
        cut = limit is not None and limit < len(words)
        if cut:
            words = words[:limit]
        text_id = "answer"
        yield TextStart(text_id)
        for word in _after_prefix(words, request.prefix):
            await self._pause(pause)
            yield TextDelta(text_id, word)
        yield TextEnd(text_id)
        yield FinishStep("length" if cut else "stop", _usage(request.messages, len(words)))

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await self._clock.sleep(seconds)


def answer_words(request: ModelRequest, wanted: int) -> list[str]:
    """Return the words of the answer, each with the space that follows it."""
    prompt = _prompt(request)
    rng = _rng(request)
    words = re.findall(r"\S+\s*", "".join(_sentences(request, prompt, rng, wanted)))
    if wanted:
        words = words[:wanted]
    if words:
        words[-1] = words[-1].rstrip()
    return words


def _prompt(request: ModelRequest) -> str:
    return next((m.text for m in reversed(request.messages) if m.role == "user"), "")


def _rng(request: ModelRequest) -> random.Random:
    if request.seed is not None:
        return random.Random(request.seed)
    # hash() differs from process to process; a resumed answer must not.
    digest = hashlib.sha256(_prompt(request).encode("utf-8", "replace")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def _forced_call(request: ModelRequest) -> Sequence[Mapping[str, Json]]:
    """Return the call that the request leaves no choice but to make, if there is one."""
    choice = request.tool_choice
    if isinstance(choice, str) or [tool.name for tool in request.tools] != [choice["tool_name"]]:
        return ()
    (tool,) = request.tools
    return [{"tool_name": tool.name, "input": example_of(tool.input_schema, _rng(request))}]


def _sentences(request: ModelRequest, prompt: str, rng: random.Random, wanted: int) -> Iterator[str]:
    if request.stands_in_for:
        yield f"(This is the built-in offline model, in place of {request.stands_in_for}, which is not set up.) "
    else:
        yield "(This is the built-in offline model, not a real one.) "
    results = [part for part in request.messages[-1].content if isinstance(part, ToolResultContent)]
    for result in results:
        outcome = "failed" if result.is_error else "answered"
        yield f"The tool {result.tool_name} {outcome}: {output_text(result.output)}. "
    asked = " ".join(prompt.split())
    if asked:
        yield f"You asked: “{asked if len(asked) <= 120 else asked[:119] + '…'}”. "
    count = number = 0
    most = rng.randint(4, 6)
    while count < wanted if wanted else number < most:
        ending = rng.choice(_ENDINGS)
        sentence = f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)}, {ending}. "
        # A paragraph now and then, so that readers see line breaks too.
        yield f"\n\n{sentence}" if number and number % 4 == 0 else sentence
        count += sentence.count(" ")
        number += 1


def _after_prefix(words: Sequence[str], prefix: str) -> Iterator[str]:
    said = ""
    for word in words:
        if len(said) >= len(prefix):
            yield word
        else:
            said += word
            if not prefix.startswith(said):
                raise ModelError("The offline model did not say what it is to continue.")


def _scripted_calls(calls: Sequence[Mapping[str, Json]], turn: int) -> Iterator[Part]:
    for number, call in enumerate(calls):
        call_id, name, given = f"call_{turn}_{number}", str(call["tool_name"]), call.get("input", {})
        yield ToolInputStart(call_id, name)
        yield ToolInputDelta(call_id, json.dumps(given))
        yield ToolCall(call_id, name, given)


def _usage(messages: Sequence[Message], output: int) -> Usage:
    read = sum(len(message.text.split()) for message in messages)
    return Usage(input_tokens=read, output_tokens=output, total_tokens=read + output)


def _number(options: Mapping[str, Json], name: str, default: float, *, most: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ModelError(f"The offline model's option {name!r} is a number from 0 to {most}, not {value!r}.")
    return value
