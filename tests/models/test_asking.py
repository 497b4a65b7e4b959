"""A provider that is cut in the middle of an answer goes on, and nobody who reads can tell."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents.errors import ModelError
from edgeagents.models import (
    ErrorPart,
    Finish,
    ModelRegistry,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    stream_text,
)
from tests.models.fakes import HandClock, ScriptedProvider, said, settle

CUT = ModelError("the connection was lost", retryable=True)


async def read(provider: ScriptedProvider, *, max_retries: int = 2) -> list[Part]:
    clock = HandClock()
    models = ModelRegistry([provider], clock=clock)
    result = stream_text(model="scripted:m", prompt="hi", models=models, max_retries=max_retries)

    async def collect() -> list[Part]:
        return [part async for _, part in result.numbered_parts()]

    task = asyncio.create_task(collect())
    for _ in range(50):
        await settle()
        if task.done():
            break
        await clock.advance(60)
    return await task


def texts(parts: list[Part]) -> list[Part]:
    return [part for part in parts if isinstance(part, TextStart | TextDelta | TextEnd)]


async def test_a_cut_answer_is_gone_on_with_in_the_same_block():
    provider = ScriptedProvider([TextDelta("t", "one "), TextDelta("t", "two "), CUT], said("three"), continues=True)
    parts = await read(provider)
    assert texts(parts) == [
        TextStart("txt-0"),
        TextDelta("txt-0", "one "),
        TextDelta("txt-0", "two "),
        TextDelta("txt-0", "three"),
        TextEnd("txt-0"),
    ]
    assert isinstance(parts[-1], Finish)
    assert [request.prefix for request in provider.requests] == ["", "one two "]


async def test_it_may_be_cut_as_often_as_it_gets_on():
    scripts = [[TextDelta("t", f"{i} "), CUT] for i in range(9)]
    provider = ScriptedProvider(*scripts, said("end"), continues=True)
    parts = await read(provider)
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == "0 1 2 3 4 5 6 7 8 end"
    assert provider.requests[-1].prefix == "0 1 2 3 4 5 6 7 8 "


async def test_it_is_not_paid_for_without_end():
    scripts = [[TextDelta("t", f"{i} "), CUT] for i in range(40)]
    provider = ScriptedProvider(*scripts, continues=True)
    parts = await read(provider)
    assert isinstance(parts[-1], ErrorPart)
    assert len(provider.requests) == 20


async def test_one_that_gets_no_further_is_given_up():
    provider = ScriptedProvider([TextDelta("t", "one"), CUT], [CUT], [CUT], [CUT], continues=True)
    parts = await read(provider)
    assert isinstance(parts[-1], ErrorPart)
    assert len(provider.requests) == 3


async def test_a_provider_that_cannot_go_on_fails():
    provider = ScriptedProvider([TextDelta("t", "one"), CUT], said("never"))
    parts = await read(provider)
    assert parts[-1] == ErrorPart("the connection was lost", None, True)


async def test_a_failure_that_will_not_get_better_is_told_at_once():
    provider = ScriptedProvider([TextDelta("t", "one"), ModelError("refused", status=400)], continues=True)
    assert (await read(provider))[-1] == ErrorPart("refused", 400)


async def test_an_answer_with_a_call_in_it_is_not_gone_on_with():
    provider = ScriptedProvider([TextDelta("t", "one"), ToolCall("c", "add", {}), CUT], said("never"), continues=True)
    parts = await read(provider)
    assert isinstance(parts[-1], ErrorPart)


async def test_a_thought_that_was_cut_is_ended():
    provider = ScriptedProvider(
        [ReasoningStart("r"), ReasoningDelta("r", "hm"), CUT],
        [ReasoningStart("r"), ReasoningDelta("r", "so"), ReasoningEnd("r"), *said("yes")],
        continues=True,
    )
    parts = await read(provider)
    thoughts = [part for part in parts if isinstance(part, ReasoningStart | ReasoningDelta | ReasoningEnd)]
    assert thoughts == [
        ReasoningStart("rsn-0"),
        ReasoningDelta("rsn-0", "hm"),
        ReasoningEnd("rsn-0"),
        ReasoningStart("rsn-1"),
        ReasoningDelta("rsn-1", "so"),
        ReasoningEnd("rsn-1"),
    ]


async def test_a_block_that_was_complete_stays_so():
    provider = ScriptedProvider(
        [TextStart("t"), TextDelta("t", "one"), TextEnd("t"), CUT],
        [TextStart("t"), TextDelta("t", "two"), TextEnd("t"), *said()],
        continues=True,
    )
    assert texts(await read(provider)) == [
        TextStart("txt-0"),
        TextDelta("txt-0", "one"),
        TextEnd("txt-0"),
        TextStart("txt-1"),
        TextDelta("txt-1", "two"),
        TextEnd("txt-1"),
    ]


@given(st.lists(st.integers(0, 30), max_size=6))
def test_wherever_it_is_cut_every_word_comes_once_and_in_order(cuts: list[int]):
    words = [f"{i} " for i in range(30)]

    class Cut(ScriptedProvider):
        async def stream(self, request, *, env, signal):
            self.requests.append(request)
            start = request.prefix.count(" ")
            for index, part in enumerate(said(*words[start:]), start):
                if cuts and index >= cuts[0] and index > start:
                    cuts.pop(0)
                    raise CUT
                yield part

    parts = asyncio.run(read(Cut(continues=True)))
    assert [part.text for part in parts if isinstance(part, TextDelta)] == words
    assert sum(isinstance(part, TextStart) for part in parts) == 1


@pytest.mark.parametrize("continues", [True, False])
async def test_before_its_first_part_any_provider_is_asked_again(continues):
    provider = ScriptedProvider([CUT], said("yes"), continues=continues)
    assert isinstance((await read(provider))[-1], Finish)
