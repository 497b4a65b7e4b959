"""The parrot answers for its models, also after an interruption."""

from __future__ import annotations

from edgeagents_parrot import Parrot

from edgeagents.models import Message, ModelRegistry, ModelRequest, TextDelta, stream_text
from edgeagents.models.messages import TextContent


async def test_parrot_repeats_the_prompt_word_by_word() -> None:
    result = stream_text(model="parrot:grey", prompt="Polly wants a cracker", models=ModelRegistry([Parrot()]))

    assert [text async for text in result.text_stream] == ["Polly", " wants", " a", " cracker"]


async def test_parrot_goes_on_where_it_was_interrupted() -> None:
    prompt = Message("user", (TextContent("Polly wants a cracker"),))
    request = ModelRequest(model="grey", messages=(prompt,), prefix="Polly wants")

    parts = [part async for part in Parrot().stream(request, env={}, signal=None)]

    assert [part.text for part in parts if isinstance(part, TextDelta)] == [" a", " cracker"]
