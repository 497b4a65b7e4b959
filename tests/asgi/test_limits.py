"""What a client may ask of a server: one below each limit passes, one above is refused by name, others go on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents import Agent, AgentsMiddleware
from edgeagents.errors import ConfigError, HeadTooLarge, JsonTooDeep, ObjectOverloaded, WebSocketClosed
from edgeagents.http import Request, Response
from edgeagents.http.json_values import is_too_deep
from edgeagents.objects import DurableObject, Limits, web_socket_pair
from edgeagents.testing import TestSocket, agent_runtime
from tests.asgi.client import Exchange, http_scope, websocket_scope

pytestmark = pytest.mark.cloudflare("Workers", "limits of requests and WebSockets", "different: they can be set")


def nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


async def reads_its_head(request: Request) -> Response:
    return Response(f"{len(request.url)} {len(list(request.headers))}")


async def reads_json(request: Request) -> Response:
    return Response(str(len(json.dumps(await request.json()))))


async def answer(exchange, handle, limits: Limits, path: str = "/", body: bytes = b"", **options):
    exchange.settings = replace(exchange.settings, limits=limits)
    call = exchange(handle, path, **options)
    await call.send(body)
    status, _ = await call.start()
    return status, (await call.rest()).decode()


class TestHeads:
    @pytest.mark.parametrize(
        ("limits", "few", "many", "status"),
        [
            (Limits(url_bytes=20), {"path": f"/{'x' * 10}?a=345678"}, {"path": f"/{'x' * 12}?a=345678"}, 414),
            (Limits(headers=3), {"headers": {"a": "1", "b": "2"}}, {"headers": {"a": "1", "b": "2", "c": "3"}}, 431),
            # "host: testserver" are 14 of them.
            (Limits(header_bytes=20), {"headers": {"a": "12345"}}, {"headers": {"a": "123456"}}, 431),
        ],
        ids=["url", "headers", "header bytes"],
    )
    async def test_a_head_that_is_too_large_is_refused_where_it_is_read(self, exchange, limits, few, many, status):
        assert (await answer(exchange, reads_its_head, limits, **few))[0] == 200

        refused, text = await answer(exchange, reads_its_head, limits, **many)

        assert refused == status
        assert "Limits(" in text

    async def test_a_head_that_another_app_is_asked_with_is_its_own_business(self):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})

        agents = AgentsMiddleware(app, agents=[Quiet], storage=None, limits=Limits(headers=1, url_bytes=1))
        call = Exchange(agents, http_scope("/elsewhere", headers={"a": "1", "b": "2"}))
        await call.send()
        assert (await call.start())[0] == 200
        await call.done()
        await agents.runtime.stop()

    def test_the_error_has_the_facts(self):
        error = HeadTooLarge("headers", 3)
        assert (error.setting, error.limit, error.status) == ("headers", 3, 431)


class TestBodies:
    async def test_json_may_nest_so_deep_and_no_deeper(self, exchange):
        limits = Limits(json_depth=5)
        assert (await answer(exchange, reads_json, limits, body=nested(5).encode()))[0] == 200

        refused = await answer(exchange, reads_json, limits, body=nested(6).encode())

        assert refused == (400, "JSON nests deeper than 5 levels: Limits(json_depth=5).")

    async def test_width_is_not_depth(self, exchange):
        wide = json.dumps([[{}], "[[[[[[{{{{{{"] * 500)
        assert (await answer(exchange, reads_json, Limits(json_depth=3), body=wide.encode()))[0] == 200

    async def test_json_that_nests_without_end_is_refused_too(self, exchange):
        status, text = await answer(exchange, reads_json, Limits(), body=b"[" * 100_000)
        assert (status, text) == (400, str(JsonTooDeep(250)))

    async def test_a_body_says_which_limit_it_met(self, exchange):
        limits = Limits(body_bytes=10, buffered_body_bytes=5)
        assert (await answer(exchange, reads_json, limits, body=b"12345"))[0] == 200
        assert (await answer(exchange, reads_json, limits, body=b"123456"))[1].endswith("buffered_body_bytes=5).")
        assert (await answer(exchange, reads_json, limits, body=b"1" * 11))[1].endswith(": Limits(body_bytes=10).")


JSON = st.recursive(
    st.sampled_from([None, 1, "[[{", '"\\', "]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("a[}"), inner, max_size=3),
    max_leaves=8,
)


def levels(value: object) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict | list) + max(map(levels, items), default=0)


@given(value=JSON, depth=st.integers(1, 6))
def test_depth_is_counted_and_not_guessed(value, depth):
    text = json.dumps(value)
    assert is_too_deep(text, value, depth) == is_too_deep(text.encode(), value, depth) == (levels(value) > depth)


class Quiet(Agent):
    """An agent that only has connections."""


class Waiting(DurableObject):
    """Holds every message until the test lets it go."""

    let_go = asyncio.Event()
    closed: list[int]

    async def fetch(self, request):
        if not request.is_websocket_upgrade:
            await Waiting.let_go.wait()
            return Response("done")
        client, server = web_socket_pair()
        self.ctx.accept_web_socket(server)
        return Response(status=101, websocket=client)

    async def web_socket_message(self, ws, message):
        await Waiting.let_go.wait()

    async def web_socket_close(self, ws, code, reason, was_clean):
        Waiting.closed.append(code)

    async def work(self):
        await Waiting.let_go.wait()


@pytest.fixture(autouse=True)
def nobody_waits():
    Waiting.let_go, Waiting.closed = asyncio.Event(), []
    yield
    Waiting.let_go.set()


def handshake(agents, path: str, host: str) -> Exchange:
    return Exchange(agents, websocket_scope(path, client=(host, 1)))


class TestSockets:
    async def test_an_address_has_so_many_and_another_its_own(self):
        agents = AgentsMiddleware(Quiet, agents=[Quiet], storage=None, limits=Limits(sockets_per_address=2))
        calls = [handshake(agents, f"/agents/quiet/{n}", "10.0.0.1") for n in range(3)]
        answers = []
        for call in (*calls, handshake(agents, "/agents/quiet/0", "10.0.0.2")):
            await call.put({"type": "websocket.connect"})
            answers.append(await call.message())

        assert [each["type"] for each in answers] == [
            "websocket.accept",
            "websocket.accept",
            "websocket.http.response.start",
            "websocket.accept",
        ]
        assert answers[2]["status"] == 429
        assert (await calls[2].message())["body"].endswith(b"Limits(sockets_per_address=2).")

        # One that leaves makes room.
        await calls[0].put({"type": "websocket.disconnect", "code": 1000})
        await calls[0].done()
        again = handshake(agents, "/agents/quiet/0", "10.0.0.1")
        await again.put({"type": "websocket.connect"})
        assert (await again.message())["type"] == "websocket.accept"
        await agents.runtime.stop()

    async def test_an_agent_has_so_many_and_tells_the_next_one_to_come_back(self):
        async with agent_runtime(Quiet, limits=Limits(sockets_per_object=1)) as runtime:
            quiet = runtime.namespaces["Quiet"]

            async def join(name: str) -> TestSocket:
                request = Request("http://x/", headers={"upgrade": "websocket"})
                return TestSocket(await quiet.get_by_name(name).fetch(request))

            first, second, elsewhere = await join("a"), await join("a"), await join("b")

            with pytest.raises(WebSocketClosed) as closed:
                await second.receive()
            assert closed.value.code == 1013
            assert closed.value.reason == "This object has 1 WebSockets open: Limits(sockets_per_object=1)."
            assert "cf_agent_identity" in await first.receive()
            assert "cf_agent_identity" in await elsewhere.receive()


class TestSlowReaders:
    async def test_one_that_stalls_holds_up_none_of_the_others(self, exchange):
        exchange.settings = replace(exchange.settings, limits=Limits(send_queue_frames=20))
        async with agent_runtime(Quiet) as runtime:
            stub = runtime.namespaces["Quiet"].get_by_name("a")
            never = asyncio.Event()

            async def stuck_app(scope, receive, send):
                async def stuck(message):
                    await send(message)
                    if message["type"] == "websocket.send":
                        await never.wait()

                return await serve(scope, receive, stuck, stub.fetch, exchange.settings)

            calls = [
                exchange.run(lambda s, r, se: serve(s, r, se, stub.fetch, exchange.settings), websocket_scope())
                for _ in range(20)
            ]
            stalled = exchange.run(stuck_app, websocket_scope())
            for call in (*calls, stalled):
                await call.put({"type": "websocket.connect"})
                assert (await call.message())["type"] == "websocket.accept"

            for n in range(50):
                await stub.broadcast(f"news {n}")

            for call in calls:
                texts = [(await call.message())["text"] for _ in range(52)]
                assert texts[2:] == [f"news {n}" for n in range(50)]
            assert (await stalled.message())["type"] == "websocket.send"
            close = await stalled.message()
            assert (close["type"], close["code"]) == ("websocket.close", 1013)


class TestEvents:
    async def test_too_many_at_once_are_overload_for_callers_and_for_requests(self):
        async with agent_runtime(Waiting, limits=Limits(events_per_object=2)) as runtime:
            waiting = runtime.namespaces["Waiting"]
            busy = [asyncio.create_task(waiting.get_by_name("a").work()) for _ in range(2)]
            await asyncio.sleep(0)

            with pytest.raises(ObjectOverloaded) as raised:
                await waiting.get_by_name("a").work()

            assert raised.value.overloaded
            assert not raised.value.retryable
            assert str(raised.value) == (
                "Durable Object is overloaded. Too many requests queued. 2 events wait for the Waiting a: "
                "Limits(events_per_object=2)."
            )
            # Another object is not concerned.
            other = asyncio.create_task(waiting.get_by_name("b").work())
            Waiting.let_go.set()
            await asyncio.gather(*busy, other)
            await waiting.get_by_name("a").work()

    async def test_a_request_to_an_overloaded_agent_is_503(self, exchange):
        async with agent_runtime(Waiting, limits=Limits(events_per_object=1)) as runtime:
            stub = runtime.namespaces["Waiting"].get_by_name("a")
            busy = asyncio.create_task(stub.work())
            await asyncio.sleep(0)

            call = exchange(stub.fetch)
            await call.send()
            status, headers = await call.start()

            assert (status, headers["retry-after"]) == (503, "1")
            Waiting.let_go.set()
            await busy

    async def test_a_message_too_many_closes_with_1013_and_the_end_is_heard(self, exchange):
        async with agent_runtime(Waiting, limits=Limits(events_per_object=1)) as runtime:
            stub = runtime.namespaces["Waiting"].get_by_name("a")
            call = exchange.run(lambda s, r, se: serve(s, r, se, stub.fetch, exchange.settings), websocket_scope())
            await call.put({"type": "websocket.connect"})
            assert (await call.message())["type"] == "websocket.accept"
            await call.put({"type": "websocket.receive", "text": "one"})
            await call.put({"type": "websocket.receive", "text": "two"})

            close = await call.message()

            assert (close["type"], close["code"]) == ("websocket.close", 1013)
            assert "overloaded" in close["reason"]
            Waiting.let_go.set()
            await call.put({"type": "websocket.disconnect", "code": 1013})
            await call.done()
            await stub.work()
            assert Waiting.closed == [1013]


async def serve(scope, receive, send, handle, settings):
    from edgeagents.asgi.websocket import serve_websocket

    return await serve_websocket(scope, receive, send, handle, settings)


class TestSettings:
    @pytest.mark.parametrize(
        ("texts", "limits"),
        [
            ({"json_depth": "none", "idle_seconds": "2.5"}, Limits(json_depth=None, idle_seconds=2.5)),
            ({"strict": "false", "row_bytes": "9_000_000"}, Limits(strict=False, row_bytes=9_000_000)),
        ],
    )
    def test_they_can_be_read_from_text(self, texts, limits):
        assert Limits.read(texts) == limits

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            ({"frame_bites": "1"}, "There is no limit 'frame_bites'"),
            ({"frame_bytes": "many"}, "The limit 'frame_bytes' cannot be 'many'"),
            ({"headers": "-1"}, "a limit is not negative"),
            ({"row_bytes": "9000000"}, "strict=False"),
        ],
    )
    def test_what_cannot_be_is_said_at_once(self, texts, message):
        with pytest.raises(ConfigError, match=message):
            Limits.read(texts)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"frame_bytes": "1"}, r"Limits\(frame_bytes='1'\): it is a whole number\."),
            ({"idle_seconds": "x"}, r"Limits\(idle_seconds='x'\): it is a number\."),
            ({"blocked_seconds": "never"}, r"it is a number or None\."),
            ({"headers": True}, r"Limits\(headers=True\): it is a whole number\."),
            ({"body_bytes": 1.5}, r"it is a whole number or None\."),
            ({"strict": "no"}, r"it is True or False\."),
            ({"budget": 5}, r"it is a Budget or None\."),
            ({"idle_seconds": float("nan")}, "not negative"),
        ],
    )
    def test_a_value_of_another_kind_is_refused_by_name(self, values, message):
        with pytest.raises(ConfigError, match=message):
            Limits(**values)
