"""WebSockets of objects: pairs, hibernation, tags, attachments, automatic answers."""

from __future__ import annotations

import asyncio
from array import array
from types import SimpleNamespace

import pytest

from edgeagents.errors import WebSocketClosed, WebSocketError
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request, Response
from edgeagents.objects import DurableObject, Limits, WebSocketRequestResponsePair, web_socket_pair
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, settle

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "hibernatable WebSockets, tags, attachments, automatic responses", "same"
)

events: list[object] = []


@pytest.fixture(autouse=True)
def fresh_events():
    events.clear()


class Chat(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        events.append("init")

    async def fetch(self, request):
        client, server = web_socket_pair()
        self.ctx.accept_web_socket(server, request.query.getlist("tag"))
        server.serialize_attachment({"joined": request.query.get("name")})
        server.send("welcome")
        return Response(status=101, websocket=client)

    async def web_socket_message(self, ws, message):
        events.append(message)
        if message == "who":
            ws.send(ws.deserialize_attachment()["joined"])
        elif message == "all":
            for other in self.ctx.get_web_sockets():
                other.send("to all")
        elif message == "bye":
            ws.close(4001, "go away")
        elif message == "write":
            await self.ctx.storage.put("n", 1)
            ws.send("written")
        elif message == "fail":
            raise ValueError("handler failed")
        elif message == "abort":
            self.ctx.abort("gone")
        elif message == "slow":
            await asyncio.Event().wait()
        elif isinstance(message, bytes):
            ws.send(message[::-1])

    def web_socket_close(self, ws, code, reason, was_clean):
        events.append((code, reason, was_clean, ws.deserialize_attachment()["joined"]))

    async def tagged(self, tag=None):
        return [ws.deserialize_attachment()["joined"] for ws in self.ctx.get_web_sockets(tag)]

    async def tags(self):
        return [self.ctx.get_tags(ws) for ws in self.ctx.get_web_sockets()]

    async def auto(self, request, response):
        self.ctx.set_web_socket_auto_response(WebSocketRequestResponsePair(request, response))

    async def auto_times(self):
        return [self.ctx.get_web_socket_auto_response_timestamp(ws) for ws in self.ctx.get_web_sockets()]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def runtime(clock):
    async with agent_runtime(Chat, clock=clock, limits=Limits(messages_in_flight=2)) as runtime:
        yield runtime


@pytest.fixture
def chat(runtime):
    return runtime.namespaces["Chat"].get_by_name("room")


async def join(chat, name, *tags) -> TestSocket:
    query = "&".join([f"name={name}", *(f"tag={tag}" for tag in tags)])
    socket = TestSocket(await chat.fetch(Request(f"http://x/?{query}", headers={"upgrade": "websocket"})))
    assert await socket.receive() == "welcome"
    return socket


async def test_what_is_sent_before_the_handshake_is_answered_comes_first(chat):
    await join(chat, "ann")


async def test_messages_reach_the_handler_and_answers_the_client(chat):
    ann = await join(chat, "ann")
    ann.send("who")
    ann.send(b"\x01\x02")
    assert [await ann.receive(), await ann.receive()] == ["ann", b"\x02\x01"]


async def test_sockets_are_listed_by_tag_in_the_order_of_their_coming(chat):
    await join(chat, "ann", "red", "tall")
    await join(chat, "bob", "red")
    assert await chat.tagged() == ["ann", "bob"]
    assert await chat.tagged("tall") == ["ann"]
    assert await chat.tags() == [["red", "tall"], ["red"]]


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ([str(n) for n in range(11)], "a Hibernatable WebSocket cannot have more than 10 tags"),
        (["x" * 257], "is longer than the max tag length"),
    ],
)
async def test_tags_have_limits(chat, tags, text):
    with pytest.raises(ValueError, match=text):
        await join(chat, "ann", *tags)


async def test_an_object_sleeps_while_its_sockets_stay_open_and_wakes_on_a_message(chat, clock):
    ann = await join(chat, "ann", "red")
    await clock.advance(11)
    ann.send("who")
    assert await ann.receive() == "ann"
    assert events.count("init") == 2
    assert await chat.tagged("red") == ["ann"]


async def test_an_automatic_answer_does_not_wake_the_object(chat, clock):
    await chat.auto("ping", "pong")
    ann = await join(chat, "ann")
    await clock.advance(11)
    ann.send("ping")
    assert await ann.receive() == "pong"
    assert events == ["init"]
    assert await chat.auto_times() == [clock.now()]


async def test_an_automatic_answer_has_a_limit(chat):
    with pytest.raises(ValueError, match="at most 2048 bytes"):
        await chat.auto("x" * 2049, "")


async def test_a_client_that_closes_is_told_to_the_object(chat):
    ann = await join(chat, "ann")
    ann.close(4000, "done")
    await settle()
    assert events[-1] == (4000, "done", True, "ann")
    assert await chat.tagged() == []


async def test_a_lost_client_is_told_to_the_object_even_when_it_sleeps(chat, clock):
    ann = await join(chat, "ann")
    await clock.advance(11)
    ann.lose()
    while len(events) < 3:
        await asyncio.sleep(0)
    assert events == ["init", "init", (1006, "", False, "ann")]


async def test_the_object_can_close(chat):
    ann = await join(chat, "ann")
    ann.send("bye")
    with pytest.raises(WebSocketClosed) as closed:
        await ann.receive()
    assert (closed.value.code, closed.value.reason) == (4001, "go away")
    assert await chat.tagged() == []


async def test_what_is_sent_waits_for_the_writes_before_it(tmp_path):
    async with agent_runtime(Chat, storage=tmp_path, durability="full") as runtime:
        ann = await join(runtime.namespaces["Chat"].get_by_name("room"), "ann")
        ann.send("write")
        await settle(2)
        assert ann.pending() == []
        assert await ann.receive() == "written"


async def test_a_failing_handler_is_logged_and_the_socket_stays(chat, caplog):
    ann = await join(chat, "ann")
    ann.send("fail")
    ann.send("who")
    assert await ann.receive() == "ann"
    assert "handler failed" in caplog.text


async def test_a_reset_closes_the_sockets_so_that_clients_come_back(chat):
    ann = await join(chat, "ann")
    ann.send("abort")
    with pytest.raises(WebSocketClosed) as closed:
        await ann.receive()
    assert closed.value.code == 1012


async def test_too_many_messages_at_once_hold_the_reader_back(chat):
    ann = await join(chat, "ann")
    assert ann._end.feed("slow") is None
    assert ann._end.feed("slow") is not None


class Plain(DurableObject):
    """Accepts its socket in the ordinary way, and talks in a task of its own."""

    async def fetch(self, request):
        client, server = web_socket_pair()
        server.accept()
        self.ctx.wait_until(self.talk(server))
        return Response(status=101, websocket=client)

    async def talk(self, server):
        server.add_event_listener("message", lambda message: server.send(message.upper()))


async def test_an_ordinary_socket_keeps_its_object_in_memory_while_it_is_open(clock):
    left = []
    plugin = SimpleNamespace(object_left=hookimpl(lambda reason: left.append(reason)))
    async with agent_runtime(Plain, clock=clock, plugins=[plugin]) as runtime:
        plain = runtime.namespaces["Plain"].get_by_name("x")
        ann = TestSocket(await plain.fetch(Request("http://x/", headers={"upgrade": "websocket"})))
        await clock.advance(60)
        ann.send("hello")
        assert await ann.receive() == "HELLO"
        assert left == []
        ann.close()
        await clock.advance(60)
        assert left == ["evicted"]


# Pairs without an object


async def test_a_pair_carries_messages_both_ways():
    left, right = web_socket_pair()
    left.send("early")
    left.accept()
    right.accept()
    left.send("late")
    right.send(b"back")
    assert [await right.receive(), await right.receive(), await left.receive()] == ["early", "late", b"back"]


@pytest.mark.parametrize("is_accepted", [True, False], ids=["accepted", "not accepted yet"])
async def test_what_nobody_reads_stays_with_the_client(is_accepted):
    client, server = web_socket_pair()
    if is_accepted:
        server.accept()
    fed = [client.feed(str(n)) for n in range(64)]
    assert fed[:63] == [None] * 63
    waiting = asyncio.ensure_future(fed[63])
    await settle()
    assert not waiting.done()

    if not is_accepted:
        server.accept()
    assert await server.receive() == "0"

    await waiting
    assert [await server.receive() for _ in range(63)] == [str(n) for n in range(1, 64)]


async def test_a_pair_ends_for_both():
    left, right = web_socket_pair()
    left.accept()
    right.accept()
    left.send("last")
    left.close(1000, "done")
    assert [message async for message in right] == ["last"]
    with pytest.raises(WebSocketClosed, match="1000"):
        await right.receive()
    with pytest.raises(WebSocketError, match="after close"):
        left.send("x")
    assert (left.ready_state, right.ready_state) == (left.CLOSED, right.CLOSED)


async def test_listeners_hear_messages_and_the_end():
    left, right = web_socket_pair()
    heard: list[object] = []

    async def later(message):
        heard.append(message)

    right.add_event_listener("message", later)
    right.add_event_listener("close", heard.append)
    right.accept()
    left.send("x")
    left.close(3000, "y")
    await settle()
    assert [getattr(item, "code", item) for item in heard] == [3000, "x"] or [
        getattr(item, "code", item) for item in heard
    ] == ["x", 3000]


@pytest.mark.parametrize(
    ("code", "reason"), [(999, ""), (1005, ""), (1006, ""), (5000, ""), (1000, "x" * 124)], ids=str
)
def test_a_close_frame_has_rules(code, reason):
    left, _ = web_socket_pair()
    with pytest.raises(ValueError, match="WebSocket close"):
        left.close(code, reason)


def test_an_attachment_is_a_copy_with_a_limit():
    left, _ = web_socket_pair()
    value = {"a": [1]}
    left.serialize_attachment(value)
    value["a"].append(2)
    assert left.deserialize_attachment() == {"a": [1]}
    with pytest.raises(ValueError, match="at most 16384 bytes"):
        left.serialize_attachment("x" * 20_000)


# What is a message


@pytest.mark.parametrize(
    ("message", "frame"), [(bytearray(b"hi"), b"hi"), (memoryview(b"hi"), b"hi"), (array("B", b"hi"), b"hi")]
)
async def test_what_holds_bytes_is_sent_as_them(message, frame):
    client, server = web_socket_pair()
    client.accept()

    server.send(message)

    assert await client.receive() == frame


@pytest.mark.parametrize("message", [3, [104, 105], {"a": 1}, None], ids=repr)
def test_what_is_neither_text_nor_bytes_is_refused(message):
    _, server = web_socket_pair()

    with pytest.raises(TypeError, match=rf"str or bytes, not {type(message).__name__}\. json\.dumps\(value\)"):
        server.send(message)
