"""Every statement of the page "HTTP and Server-Sent Events", shown by the example on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import websockets
from model_server import WORDS, ModelServer

from edgeagents.http import ServerSentEvent, parse_event_stream
from tests.servers import Server, until

pytestmark = pytest.mark.server

TEXT = "".join(WORDS)
PROMPT = {"prompt": "Write me a Cloudflare Worker"}
EVENTS = {"accept": "text/event-stream"}


def client(server: Server) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=20)


def ask(http: httpx2.AsyncClient, agent: str = "a") -> Any:
    return http.stream("POST", f"/?agent-id={agent}", json=PROMPT)


async def read_until(chunks: AsyncIterator[bytes], wanted: str, so_far: str = "") -> str:
    """Read until the text is ``wanted``; fail on the first byte that is not of it."""
    while so_far != wanted:
        so_far += (await anext(chunks)).decode()
        assert wanted.startswith(so_far)
    return so_far


async def events_of(response: httpx2.Response) -> list[ServerSentEvent]:
    return [event async for event in parse_event_stream(response.aiter_raw())]


def text_of(events: list[ServerSentEvent]) -> str:
    """Return the text that the deltas among ``events`` come to."""
    chunks = [json.loads(event.data) for event in events if event.data and event.data.startswith("{")]
    return "".join(chunk.get("delta", chunk.get("text", "")) for chunk in chunks if chunk.get("type") == "text-delta")


async def wait_for(server: Server, text: str) -> None:
    await asyncio.to_thread(until, lambda: text in server.log, f"{text!r} in the log")


# "The Agents SDK support Server-Sent Events directly ... This avoids buffering large responses"


async def test_text_arrives_as_the_model_makes_it(emulator: Server, model: ModelServer) -> None:
    async with client(emulator) as http, ask(http) as response:
        chunks = response.aiter_raw()
        for number in range(1, len(WORDS) + 1):
            # This word does not exist before it is asked for, and the next does not before this one has arrived.
            model.say()
            await read_until(chunks, "".join(WORDS[:number]), "".join(WORDS[: number - 1]))
        assert [chunk async for chunk in chunks] == []


async def test_headers_are_those_of_the_page(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http, ask(http) as response:
        await response.aread()

    assert response.headers["content-type"] == "text/x-unknown"
    assert response.headers["content-encoding"] == "identity"
    # Once, and the server's own.
    assert response.headers.get_list("transfer-encoding") == ["chunked"]
    assert response.text == TEXT


# "createOpenAI({ apiKey: this.env.OPENAI_API_KEY })"


async def test_the_key_in_env_reaches_the_provider(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http, ask(http) as response:
        await response.aread()

    (asked,) = model.asked
    assert asked["key"] == "Bearer sk-from-dev-vars"
    assert (asked["model"], asked["stream"]) == ("gpt-4o", True)
    assert PROMPT["prompt"] in json.dumps(asked)


# "this does not mean the client can't potentially disconnect ... you can always route to the same Agent"


async def test_a_client_that_left_is_noticed_and_the_agent_goes_on(emulator: Server, model: ModelServer) -> None:
    async with client(emulator) as http:
        async with ask(http) as response:
            model.say(2)
            await read_until(response.aiter_raw(), "Here is ")
        await wait_for(emulator, "The client left; 'a' goes on.")
        model.say_all()

        rest = await http.get("/?agent-id=a&cursor=8")

    assert rest.text == TEXT[8:]
    assert len(model.asked) == 1


async def test_a_client_resumes_text_where_it_stopped(emulator: Server, model: ModelServer) -> None:
    async with client(emulator) as http:
        async with ask(http) as response:
            model.say(3)
            seen = await read_until(response.aiter_raw(), "Here is a ")
        async with http.stream("GET", f"/?agent-id=a&cursor={len(seen)}") as response:
            chunks = response.aiter_raw()
            model.say()
            await read_until(chunks, "Worker ")
            model.say_all()
            rest = b"".join([chunk async for chunk in chunks]).decode()

    assert f"{seen}Worker {rest}" == TEXT


@pytest.mark.parametrize("how", ["Last-Event-ID", "cursor"])
async def test_a_client_resumes_events_where_it_stopped(emulator: Server, model: ModelServer, how: str) -> None:
    model.say_all()
    async with client(emulator) as http:
        async with ask(http) as response:
            await response.aread()
        async with http.stream("GET", "/?agent-id=a", headers=EVENTS) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            everything = await events_of(response)
        half = everything[len(everything) // 2]
        assert half.id is not None
        # The event that was seen last, or the number of the first that was not.
        headers = {"last-event-id": half.id} if how == "Last-Event-ID" else {}
        query = f"&cursor={int(half.id) + 1}" if how == "cursor" else ""
        async with http.stream("GET", f"/?agent-id=a{query}", headers=EVENTS | headers) as response:
            rest = await events_of(response)

    assert text_of(everything) == TEXT
    assert rest == everything[everything.index(half) + 1 :]


async def test_two_readers_follow_one_stream(emulator: Server, model: ModelServer) -> None:
    async with client(emulator) as http, ask(http) as first:
        model.say()
        chunks = first.aiter_raw()
        await read_until(chunks, "Here ")
        async with http.stream("GET", "/?agent-id=a&cursor=0") as second:
            more = second.aiter_raw()
            await read_until(more, "Here ")
            model.say_all()
            texts = [b"".join([chunk async for chunk in each]).decode() for each in (chunks, more)]

    assert texts == [TEXT.removeprefix("Here ")] * 2


async def test_what_was_sent_is_there_after_a_sigkill(emulator: Server, model: ModelServer) -> None:
    async with client(emulator) as http, ask(http) as response:
        model.say(4)
        seen = await read_until(response.aiter_raw(), "Here is a Worker ")
        async with http.stream("GET", "/?agent-id=a", headers=EVENTS) as events:
            before = await _events_until(events, seen)
        emulator.kill()
    emulator.start()
    model.say_all()
    async with client(emulator) as http:
        last = before[-1].id
        assert last is not None
        async with http.stream("GET", "/?agent-id=a", headers=EVENTS | {"last-event-id": last}) as response:
            after = await events_of(response)
        async with http.stream("GET", "/?agent-id=a", headers=EVENTS) as response:
            everything = await events_of(response)

    # In the same order, under the same numbers, and nothing twice.
    assert everything == before + after
    # The model was asked to go on after what it had said, and did.
    assert text_of(everything) == TEXT
    assert len(model.asked) == 2


async def test_the_same_id_goes_on_after_a_sigkill(offline_emulator: Server) -> None:
    async with client(offline_emulator) as http:
        async with ask(http) as response:
            assert response.status_code == 200
            seen = (await anext(response.aiter_raw())).decode()
            offline_emulator.kill()
        offline_emulator.start()
        rest, whole = await asyncio.gather(
            http.get(f"/?agent-id=a&cursor={len(seen.encode())}"),
            # The offline model says the same to the same prompt.
            http.post("/?agent-id=b", json=PROMPT),
        )

    assert seen + rest.text == whole.text


async def _events_until(response: httpx2.Response, text: str) -> list[ServerSentEvent]:
    seen: list[ServerSentEvent] = []
    async for event in parse_event_stream(response.aiter_raw()):
        seen.append(event)
        if text_of(seen) == text:
            break
    return seen


async def test_state_is_there_after_a_sigkill(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http, ask(http) as response:
        await response.aread()
    emulator.kill()
    emulator.start()

    async with websockets.connect(f"{emulator.ws_url}/agents/my-agent/a", proxy=None) as socket:
        frames = [json.loads(await socket.recv()) for _ in range(2)]

    assert frames[1] == {"type": "cf_agent_state", "state": {"prompts": 1}}


# "Agents built on the Agents SDK can expose both WebSocket and SSE endpoints directly."


async def connect(server: Server, path: str = "/?agent-id=a", **options: Any) -> websockets.ClientConnection:
    """Connect and read the three frames that come with a connection."""
    socket = await websockets.connect(f"{server.ws_url}{path}", proxy=None, **options)
    for _ in range(3):
        await socket.recv()
    return socket


async def test_websocket_answers_pings_of_both_kinds(emulator: Server) -> None:
    socket = await connect(emulator)

    await (await socket.ping())
    await socket.send("ping")

    assert await socket.recv() == "pong"
    await socket.close()


async def test_websocket_carries_binary_frames(emulator: Server) -> None:
    socket = await connect(emulator)

    await socket.send(bytes(range(256)))

    assert await socket.recv() == bytes(range(256))
    await socket.close()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["x", "plain.v1"], "plain.v1"), (["plain.v1", "shout.v1"], "shout.v1"), ([], None), (["x"], None)],
    ids=["one of ours", "our favourite", "none offered", "none of ours"],
)
async def test_websocket_subprotocol_is_chosen_by_the_agent(
    emulator: Server, offered: list[str], chosen: str | None
) -> None:
    socket = await connect(emulator, subprotocols=offered or None)

    assert socket.subprotocol == chosen
    await socket.close()


async def test_a_subprotocol_changes_how_the_agent_speaks(emulator: Server, model: ModelServer) -> None:
    socket = await connect(emulator, subprotocols=["shout.v1"])

    await socket.send("Write me a Worker")
    model.say()

    assert await socket.recv() == "HERE "
    await socket.close()


async def test_websocket_and_http_reach_the_same_agent(emulator: Server, model: ModelServer) -> None:
    socket = await connect(emulator)
    model.say_all()

    async with client(emulator) as http, ask(http) as response:
        await response.aread()

    assert json.loads(await socket.recv()) == {"type": "cf_agent_state", "state": {"prompts": 1}}
    await socket.close()


# "getAgentByName", "routeAgentRequest", "return agent.fetch(request)"


async def test_both_ways_of_routing_reach_the_same_agent(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http:
        async with ask(http, "b") as response:
            await response.aread()

        routed = await http.get("/agents/my-agent/b?cursor=0")

    assert routed.text == TEXT


async def test_each_id_has_an_agent_of_its_own(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http:
        async with ask(http, "one") as response:
            await response.aread()

        other = await http.get("/?agent-id=two&cursor=0")

    # It has said nothing yet.
    assert (other.status_code, other.content) == (204, b"")


async def test_without_an_id_there_is_an_agent_too(emulator: Server, model: ModelServer) -> None:
    model.say_all()
    async with client(emulator) as http:
        response = await http.post("/", json=PROMPT)

    assert response.text == TEXT


# What a client may get wrong.


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "", b"{"),
        ("POST", "", b""),
        ("POST", "", b"[]"),
        ("POST", "", b'{"prompt": 7}'),
        ("POST", "", b"\xff\xfe"),
        ("GET", "&cursor=-1", b""),
        ("GET", "&cursor=x", b""),
        ("GET", "&cursor=1e3", b""),
    ],
    ids=["not JSON", "empty", "not an object", "no text", "not UTF-8", "negative", "no number", "a float"],
)
async def test_bad_input_is_answered_with_400(
    emulator: Server, model: ModelServer, method: str, query: str, body: bytes
) -> None:
    model.say_all()
    async with client(emulator) as http:
        async with ask(http) as response:
            await response.aread()
        response = await http.request(method, f"/?agent-id=a{query}", content=body)

    assert response.status_code == 400
    assert "Traceback" not in response.text
    assert len(response.text) > 10


# Without a key.


async def test_without_a_key_the_offline_model_says_that_it_is_one(offline_emulator: Server) -> None:
    async with client(offline_emulator) as http:
        first, second = await asyncio.gather(*(http.post(f"/?agent-id={id}", json=PROMPT) for id in "ab"))

    assert "offline model" in first.text
    assert first.text == second.text
