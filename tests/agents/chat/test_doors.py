"""Chat over plain HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgeagents import Agent, AIChatAgent, Response
from edgeagents.http import EventStreamParser, Request
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, settle
from tests.agents.chat.talk import ask, chunks, hear_turn, speech, tab, user
from tests.agents.frames import heard, say

pytestmark = [
    pytest.mark.cloudflare("Chat", "`/get-messages`", "same"),
    pytest.mark.cloudflare(
        "Chat",
        "chat over HTTP: `POST /chat`, `/chat-stream/{id}` as events or by polling",
        "different: more than the SDK offers",
    ),
]


class Bot(AIChatAgent):
    """Says a word each time that it is let."""

    words: asyncio.Queue[str] = asyncio.Queue()

    async def on_chat_message(self) -> AsyncIterator[Any]:
        begin, end = [*speech()][:3], [*speech()][3:]
        for chunk in begin:
            yield chunk
        while (word := await self.words.get()) != "":
            if word == "!":
                raise ValueError("broken")
            yield {"type": "text-delta", "id": "t", "delta": word}
        for chunk in end:
            yield chunk

    def on_request(self, request: Request) -> str:
        return f"mine: {request.path}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    Bot.words = asyncio.Queue()
    async with agent_runtime(Bot, clock=clock) as running:
        yield running


async def get(runtime: Runtime, path: str, **more: Any) -> Response:
    response = await runtime.route(Request(f"/agents/bot/x/{path}", **more))
    assert response is not None
    return response


def go_on(*words: str) -> None:
    for word in words:
        Bot.words.put_nowait(word)


async def events(response: Response) -> list[tuple[str | None, Any]]:
    parser = EventStreamParser()
    return [
        (event.id, event.data if event.data == "[DONE]" else json.loads(event.data or ""))
        for event in parser.feed(await response.bytes())
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["get-messages", "some/where/get-messages"])
async def test_the_history_is_at_any_path_with_that_end(runtime: Runtime, method: str, path: str) -> None:
    response = await get(runtime, path, method=method)
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert await response.text() == "[]"


@pytest.mark.parametrize("path", ["get-messages/", "other", "chat-stream", "get-messages2"])
async def test_other_paths_are_the_agents_own(runtime: Runtime, path: str) -> None:
    assert await (await get(runtime, path)).text() == f"mine: /agents/bot/x/{path}"


@pytest.mark.parametrize("wanted", ["r1", "latest"])
async def test_a_turn_is_read_as_events_with_the_numbers_of_its_chunks(runtime: Runtime, wanted: str) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    go_on("one")
    frames = await heard(a)
    response = await get(runtime, f"chat-stream/{wanted}")
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    reading = asyncio.ensure_future(events(response))
    await settle()
    go_on("two", "")
    got = await reading
    frames += await hear_turn(a, "r1")
    assert got == [*((str(n), chunk) for n, chunk in enumerate(chunks(frames))), (got[-1][0], "[DONE]")]


async def test_events_go_on_after_the_last_one_seen(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    go_on("one", "two", "")
    await hear_turn(a, "r1")
    whole = await events(await get(runtime, "chat-stream/r1"))
    after = await events(await get(runtime, "chat-stream/r1", headers={"last-event-id": "3"}))
    from_cursor = await events(await get(runtime, "chat-stream/r1?cursor=4"))
    assert after == from_cursor == whole[4:]
    assert (await get(runtime, f"chat-stream/r1?cursor={len(whole) - 1}")).status == 204


@pytest.mark.parametrize(
    ("path", "status"),
    [("chat-stream/latest", 204), ("chat-stream/unknown", 404)],
)
async def test_what_is_not_there_is_told(runtime: Runtime, path: str, status: int) -> None:
    assert (await get(runtime, path)).status == status


@pytest.mark.parametrize("query", ["cursor=x", "cursor=99"])
async def test_a_cursor_that_cannot_be_one_is_refused(runtime: Runtime, query: str) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    go_on("")
    await hear_turn(a, "r1")
    assert (await get(runtime, f"chat-stream/r1?{query}")).status == 400


async def test_a_failed_turn_ends_the_events_with_an_error(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    go_on("!")
    await hear_turn(a, "r1")
    got = await events(await get(runtime, "chat-stream/r1"))
    assert got[-2][1] == {"type": "error", "errorText": "broken"}
    assert got[-1][1] == "[DONE]"


async def test_a_poll_gives_what_is_there_and_then_waits_for_more(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    await settle()
    first = await (await get(runtime, "chat-stream/r1?poll=1&cursor=0")).json()
    assert (len(first["chunks"]), first["cursor"], first["done"]) == (3, 3, False)
    waiting = asyncio.ensure_future(get(runtime, "chat-stream/r1?poll=1&cursor=3"))
    await settle()
    assert not waiting.done()
    go_on("one")
    second = await (await waiting).json()
    assert second == {"chunks": [{"type": "text-delta", "id": "t", "delta": "one"}], "cursor": 4, "done": False}
    go_on("")
    await hear_turn(a, "r1")
    third = await (await get(runtime, "chat-stream/r1?poll=1&cursor=4")).json()
    assert (third["cursor"], third["done"]) == (7, True)


async def test_a_poll_without_news_ends_after_a_while(runtime: Runtime, clock: ManualClock) -> None:
    a = await tab(runtime, "A")
    ask(a, "r1", user("u1"))
    await settle()
    waiting = asyncio.ensure_future(get(runtime, "chat-stream/r1?poll=1&cursor=3"))
    await clock.advance(24)
    assert not waiting.done()
    await clock.advance(1)
    assert await (await waiting).json() == {"chunks": [], "cursor": 3, "done": False}
    say(a, type="cf_agent_chat_request_cancel", id="r1")
    await heard(a)


async def test_a_turn_that_has_yet_to_begin_is_resumed_too(runtime: Runtime) -> None:
    """No turn of the event loop between the two."""
    posted, resumed = await asyncio.gather(post(runtime, "hi"), get(runtime, "chat/c1/stream"))
    assert resumed.status == 200
    assert resumed.headers["x-chat-request-id"] == posted.headers["x-chat-request-id"]
    go_on("Hello", "")
    assert await events(resumed) == await events(posted)


def post(runtime: Runtime, *texts: str, **body: Any) -> Any:
    messages = [user(f"u{n}", text) for n, text in enumerate(texts)]
    text = json.dumps({"id": "c1", "messages": messages, "trigger": "submit-message", **body})
    return get(runtime, "chat", method="POST", body=text, headers={"content-type": "application/json"})


async def test_a_turn_is_had_by_a_post_and_seen_by_all(runtime: Runtime) -> None:
    a = await tab(runtime, "A")
    response = await post(runtime, "hi")
    go_on("one", "")
    got = await events(response)
    frames = await heard(a)
    assert [chunk for _, chunk in got[:-1]] == chunks(frames)
    assert frames[-1]["id"] == response.headers["x-chat-request-id"]
    assert frames[0]["messages"] == [user("u0", "hi")]


async def test_a_posted_turn_goes_on_without_its_client_and_is_resumed(runtime: Runtime) -> None:
    response = await post(runtime, "hi")
    reading = response.stream()
    await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]
    again = await get(runtime, "chat/c1/stream")
    go_on("one", "")
    assert len(await events(again)) == 8
    assert (await get(runtime, "chat/c1/stream")).status == 204
    assert len(await (await get(runtime, "get-messages")).json()) == 2


@pytest.mark.parametrize("body", ["", "{", "[]", '{"messages": 1}'])
async def test_a_post_that_is_no_request_is_refused(runtime: Runtime, body: str) -> None:
    response = await get(runtime, "chat", method="POST", body=body)
    assert response.status == 400
    assert (await response.text()).startswith("No turn can be had: ")


async def test_a_posted_turn_that_fails_at_once_says_so(runtime: Runtime) -> None:
    async with agent_runtime(Failing) as running:
        response = await running.route(
            Request("/agents/failing/x/chat", method="POST", body=json.dumps({"messages": [user("u")]}))
        )
        assert response is not None
        assert await events(response) == [(None, {"type": "error", "errorText": "no"}), (None, "[DONE]")]


class Failing(AIChatAgent):
    def on_chat_message(self) -> None:
        raise ValueError("no")


@pytest.mark.parametrize("path", ["/agents/bot/chat", "/agents/bot/x/some/chat"])
async def test_an_agent_with_the_name_of_a_door_is_reached(runtime: Runtime, path: str) -> None:
    response = await runtime.route(Request(path, method="POST", body=json.dumps({"messages": []})))
    assert response is not None
    assert await response.text() == f"mine: {path}"


class Inbox(Agent):
    sub_agents = (Bot,)


async def test_a_chat_that_is_a_sub_agent_has_the_same_doors(clock: ManualClock) -> None:
    Bot.words = asyncio.Queue()
    async with agent_runtime(Inbox, clock=clock) as runtime:
        path = "/agents/inbox/i/sub/bot/x"
        posted = await runtime.route(Request(f"{path}/chat", method="POST", body=json.dumps({"messages": [user("u")]})))
        resumed = await runtime.route(Request(f"{path}/chat/any/stream"))
        assert posted is not None
        assert resumed is not None
        go_on("Hello", "")
        for response in (posted, resumed):
            told = [chunk for _, chunk in await events(response)]
            assert [chunk["delta"] for chunk in told[:-1] if chunk["type"] == "text-delta"] == ["Hello"]
