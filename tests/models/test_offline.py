from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types
import pytest

from edgeagents.errors import ModelError
from edgeagents.models import (
    ModelRegistry,
    ModelRequest,
    OfflineProvider,
    StreamTextResult,
    TextDelta,
    generate_object,
    stream_text,
)
from edgeagents.models.messages import read_messages
from tests.models.fakes import HandClock


@dataclass
class Meal:
    kind: Literal["soup", "cake"]
    steps: list[str]
    stars: Annotated[int, annotated_types.Interval(ge=1, le=5)]


def ask(clock: HandClock, prompt: str = "Write me a Worker", *, pause_ms: int = 0, **more: Any) -> StreamTextResult:
    options = {"offline": {"pause_ms": pause_ms, **more.pop("options", {})}}
    return stream_text(
        model="offline:any", prompt=prompt, models=ModelRegistry(clock=clock), provider_options=options, **more
    )


async def test_it_says_what_it_is_and_what_was_asked() -> None:
    text = await ask(HandClock()).text
    assert text.startswith("(This is the built-in offline model, not a real one.) You asked: “Write me a Worker”.")
    assert 40 <= len(text.split()) <= 140


async def test_the_same_seed_has_the_same_answer() -> None:
    clock = HandClock()
    assert await ask(clock).text == await ask(clock).text
    assert await ask(clock, seed=1).text == await ask(clock, seed=1).text
    assert await ask(clock, seed=1).text != await ask(clock, seed=2).text


async def test_it_streams_words_with_a_pause_before_each() -> None:
    clock = HandClock()
    words: list[str] = []

    async def read() -> None:
        async for word in ask(clock, pause_ms=100, options={"words": 5}).text_stream:
            words.append(word)  # noqa: PERF401 - the list is looked at meanwhile

    reading = asyncio.create_task(read())
    await clock.advance(0.25)
    assert words == ["(This ", "is "]
    await clock.advance(0.25)
    await reading
    assert len(words) == 5


async def test_it_can_go_on_for_long() -> None:
    assert len((await ask(HandClock(), options={"words": 5000}).text).split()) == 5000


async def test_a_limit_cuts_it() -> None:
    result = ask(HandClock(), max_output_tokens=3)
    assert len((await result.text).split()) == 3
    assert await result.finish_reason == "length"
    assert (await result.usage).output_tokens == 3


async def test_it_calls_the_tools_that_it_is_told_to_and_tells_their_answer() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    script = {"tool_calls": [{"tool_name": "add", "input": {"a": 1, "b": 2}}]}
    result = ask(HandClock(), tools=[add], max_steps=2, options=script)
    assert "The tool add answered: 3." in await result.text
    assert len(await result.steps) == 2


async def test_it_makes_an_object_up_when_one_is_asked_for() -> None:
    async def make(prompt: str) -> Meal:
        result = await generate_object(
            model="offline:any",
            models=ModelRegistry(clock=HandClock()),
            schema=Meal,
            prompt=prompt,
            provider_options={"offline": {"pause_ms": 0}},
        )
        return result.object

    meal = await make("Cook something")
    assert meal.kind in ("soup", "cake")
    assert 1 <= meal.stars <= 5
    assert len(meal.steps) == 2
    assert meal == await make("Cook something") != await make("Cook something else")


async def test_a_call_that_it_must_make_is_made_once() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    choice = {"type": "tool", "tool_name": "add"}
    result = ask(HandClock(), tools=[add], tool_choice=choice, max_steps=2)
    assert (await result.text).startswith("(This is the built-in offline model, not a real one.) The tool add answered")
    assert [len(step.tool_calls) for step in await result.steps] == [1, 0]


async def test_it_goes_on_where_it_was_cut() -> None:
    clock = HandClock()
    provider = OfflineProvider(clock)

    async def say(prefix: str) -> list[str]:
        request = ModelRequest(model="m", messages=read_messages("hi"), provider_options={"pause_ms": 0}, prefix=prefix)
        return [p.text async for p in provider.stream(request, env={}, signal=None) if isinstance(p, TextDelta)]

    words = await say("")
    for cut in (0, 1, 7, len(words)):
        assert await say("".join(words[:cut])) == words[cut:]
    with pytest.raises(ModelError, match="did not say"):
        await say("Something else")


@pytest.mark.parametrize("options", [{"words": -1}, {"words": "many"}, {"words": True}])
async def test_options_that_make_no_sense_are_an_error(options: dict[str, Any]) -> None:
    result = ask(HandClock(), options=options, on_error=lambda part: None)
    with pytest.raises(ModelError, match="'words' is a number from 0"):
        await result.text
