"""Who a client is: found out once, known to the agent as long as the client is there, and no longer than it holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from edgeagents import ANONYMOUS, Agent, Connection, Identity, callable, get_current_agent, hookimpl
from edgeagents.agents import RouteInfo, admit, route_agent_request
from edgeagents.http import Request, Response
from edgeagents.placement.wire import pack_request, unpack_request
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect, settle
from tests.agents.frames import answer

pytestmark = pytest.mark.cloudflare(
    "Agents",
    "who is there: the hook `authorise`, identities that stay with a connection and end (4401), tickets",
    "different: ours; without the hook everybody comes in, as there",
)

KEYS = {
    "a": Identity("ann", {"role": "admin"}),
    "b": Identity("bob"),
    "short": Identity("cleo", expires_at=datetime(2026, 1, 1, 0, 1, tzinfo=UTC)),
    "old": Identity("dora", expires_at=datetime(2025, 12, 31, tzinfo=UTC)),
    "nobody": ANONYMOUS,
}


class Guard:
    """Knows clients by a header."""

    __name__ = "guard"

    @hookimpl
    async def authorise(self, request: Request) -> Identity | None:
        return KEYS.get(request.headers.get("key", ""))


def told(identity: Identity | None) -> Any:
    return [] if identity is None else [identity.subject, dict(identity.claims)]


class Child(Agent):
    async def on_request(self, request: Request) -> Any:
        return told(request.identity)

    async def on_connect(self, connection: Connection) -> None:
        connection.send(f"child of {connection.identity.subject if connection.identity else None}")


class Room(Agent):
    """Tells who it thinks is there."""

    options = {"send_identity_on_connect": False}
    sub_agents = (Child,)
    woken = 0

    async def on_start(self) -> None:
        Room.woken += 1

    async def on_connect(self, connection: Connection) -> None:
        here = get_current_agent()
        assert here.identity is connection.identity
        connection.send(f"hello {connection.identity.subject if connection.identity else None}")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(f"{message!s} of {connection.identity.subject if connection.identity else None}")

    async def on_close(self, connection: Connection, code: int) -> None:
        Room.last_close = (code, connection.identity.subject if connection.identity else None)

    last_close: Any = None

    @callable()
    async def whoami(self) -> Any:
        return told(get_current_agent().identity)

    async def on_request(self, request: Request) -> Any:
        assert get_current_agent().identity is request.identity
        return told(request.identity)

    async def asked_by_program(self) -> Any:
        return told(get_current_agent().identity)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock: ManualClock) -> AsyncIterator[Runtime]:
    async with agent_runtime(Room, clock=clock, plugins=[Guard()]) as runtime:
        yield runtime


async def status(runtime: Runtime, path: str = "/agents/room/x", **init: Any) -> int:
    response = await runtime.route(Request(path, **init))
    assert response is not None
    return response.status


async def hello(runtime: Runtime, key: str, path: str = "/agents/room/x") -> TestSocket:
    return await connect(runtime, path, headers={"key": key})


async def text_messages(socket: TestSocket) -> list[str | bytes]:
    await settle()
    return [message for message in socket.pending() if not str(message).startswith("{")]


@pytest.mark.parametrize("key", ["", "unknown", "old"])
async def test_whom_nobody_knows_does_not_come_in(runtime: Runtime, key: str):
    assert await status(runtime, headers={"key": key}) == 401
    assert await status(runtime, headers={"key": key, "upgrade": "websocket"}) == 401
    assert await status(runtime, "/agents/room/x/sub/child/y", headers={"key": key}) == 401


async def test_the_agent_knows_who_asks(runtime: Runtime):
    response = await runtime.route(Request("/agents/room/x", headers={"key": "a"}))
    assert response is not None
    assert await response.json() == ["ann", {"role": "admin"}]
    assert await status(runtime, headers={"key": "nobody"}) == 200


async def test_the_identity_stays_with_the_connection(runtime: Runtime, clock: ManualClock):
    ann, bob = await hello(runtime, "a"), await hello(runtime, "b")
    woken = Room.woken

    for _ in range(2):
        ann.send("a message")
        bob.send("a message")
        assert (await answer(ann, "whoami"))["result"] == ["ann", {"role": "admin"}]
        assert "a message of bob" in await text_messages(bob)
        # Both sockets stay open while the agent leaves memory and comes back.
        await clock.advance(60)
    ann.send("last")
    await settle()
    assert Room.woken > woken


async def test_sub_agents_know_it_too(runtime: Runtime):
    response = await runtime.route(Request("/agents/room/x/sub/child/y", headers={"key": "b"}))
    assert response is not None
    assert await response.json() == ["bob", {}]
    socket = await hello(runtime, "a", "/agents/room/x/sub/child/y")
    assert "child of ann" in await text_messages(socket)


async def test_a_call_by_the_program_is_nobodys(runtime: Runtime):
    stub = runtime.namespaces["Room"].get_by_name("x")
    assert await stub.asked_by_program() == []


async def test_a_connection_ends_with_its_identity(runtime: Runtime, clock: ManualClock):
    short, other = await hello(runtime, "short"), await hello(runtime, "a")
    await clock.advance(59)
    assert short.closed is None

    await clock.advance(1)

    assert short.closed is not None
    assert (short.closed.code, short.closed.reason) == (4401, "The identity of this connection has ended")
    assert Room.last_close == (4401, "cleo")
    assert other.closed is None
    assert await status(runtime, headers={"key": "short"}) == 401


async def test_it_ends_while_the_agent_is_out_of_memory_too(runtime: Runtime, clock: ManualClock):
    socket = await hello(runtime, "short")
    await clock.advance(30)

    await clock.advance(30)

    assert socket.closed is not None
    assert socket.closed.code == 4401


class Deaf:
    """A client that does not agree to be closed, and goes on sending."""

    def __init__(self, response: Response) -> None:
        assert response.websocket is not None
        self.end = response.websocket
        self.received: list[Any] = []
        self.end.attach(self)

    def send(self, message: str | bytes) -> None:
        self.received.append(message)

    def close(self, code: int | None, reason: str) -> None:
        self.received.append(code)


async def test_nothing_arrives_from_a_client_that_does_not_agree_to_the_end(runtime: Runtime, clock: ManualClock):
    response = await runtime.route(Request("/agents/room/x", headers={"key": "short", "upgrade": "websocket"}))
    assert response is not None
    client = Deaf(response)
    await clock.advance(60)
    assert client.received[-1] == 4401

    client.end.feed("too late")
    await settle()

    assert client.received[-1] == 4401


async def test_the_end_comes_also_when_the_clock_is_set(runtime: Runtime, clock: ManualClock):
    socket = await hello(runtime, "short")
    clock.set_now(clock.now() + timedelta(hours=1))

    await clock.advance(300)

    assert socket.closed is not None


async def test_a_timer_does_not_outlive_its_connection(runtime: Runtime, clock: ManualClock):
    socket = await hello(runtime, "short")
    socket.close()
    await settle()
    assert Room.last_close == (1000, "cleo")

    await clock.advance(120)

    assert Room.last_close == (1000, "cleo")


Renew = Callable[[Identity], Awaitable[Identity | None] | Identity | None]


def renewing(clock: ManualClock, renew: Renew) -> Runtime:
    plugin = SimpleNamespace(__name__="renewing", renew_identity=hookimpl(renew))
    return agent_runtime(Room, clock=clock, plugins=[Guard(), plugin])


async def test_an_identity_may_be_renewed(clock: ManualClock):
    async def renew(identity: Identity) -> Identity | None:
        return (
            Identity("cleo again", expires_at=clock.now() + timedelta(minutes=5))
            if identity.subject == "cleo"
            else None
        )

    async with renewing(clock, renew) as runtime:
        socket = await hello(runtime, "short")
        await clock.advance(60)
        socket.send("still here")
        assert "still here of cleo again" in await text_messages(socket)
        await clock.advance(299)
        assert socket.closed is None
        await clock.advance(1)
        assert socket.closed is not None
        assert socket.closed.code == 4401


@pytest.mark.parametrize("how", ["none", "ended", "raises", "hangs"])
async def test_what_is_not_renewed_ends(clock: ManualClock, how: str):
    async def renew(identity: Identity) -> Identity | None:
        match how:
            case "ended":
                return identity
            case "raises":
                raise LookupError("no database")
            case "hangs":
                await asyncio.Event().wait()
        return None

    async with renewing(clock, renew) as runtime:
        socket = await hello(runtime, "short")
        await clock.advance(60)
        await clock.advance(10)
        assert socket.closed is not None
        assert socket.closed.code == 4401


# Several plugins


def saying(what: Any, number: int = 0) -> Any:
    return SimpleNamespace(__name__=f"number {number}", authorise=hookimpl(lambda: what))


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([None], 401),
        ([None, None], 401),
        ([ANONYMOUS, KEYS["a"]], "ann"),
        ([KEYS["a"], ANONYMOUS], "ann"),
        ([None, KEYS["a"], None], "ann"),
        ([Response("no", status=418), KEYS["a"]], 418),
        ([KEYS["a"], Response("no", status=418)], 418),
        ([ANONYMOUS], ""),
    ],
)
async def test_any_refusal_refuses_and_somebody_must_let_in(answers: list[Any], outcome: Any):
    async with agent_runtime(Room, plugins=list(map(saying, answers, range(9)))) as runtime:
        response = await runtime.route(Request("/agents/room/x"))
        assert response is not None
        assert (await response.json())[0] == outcome if response.status == 200 else response.status == outcome


@pytest.mark.parametrize("answer", [True, {"subject": "ann"}, "ann"])
async def test_an_answer_of_another_kind_lets_nobody_in(answer: Any):
    async with agent_runtime(Room, plugins=[saying(answer)]) as runtime:
        with pytest.raises(TypeError, match="authorise"):
            await runtime.route(Request("/agents/room/x"))


async def test_a_guard_that_fails_lets_nobody_in():
    def authorise() -> Identity:
        raise LookupError("no database")

    plugin = SimpleNamespace(__name__="failing", authorise=hookimpl(authorise))
    async with agent_runtime(Room, plugins=[plugin]) as runtime:
        with pytest.raises(LookupError):
            await runtime.route(Request("/agents/room/x"))


async def test_without_a_guard_everybody_comes_in_as_nobody_known():
    async with agent_runtime(Room) as runtime:
        assert await status(runtime) == 200
        socket = await connect(runtime, "/agents/room/x")
        assert "hello None" in await text_messages(socket)


# Other ways in


async def test_a_programs_own_route_asks_too(runtime: Runtime):
    with runtime.in_context():
        refused = await route_agent_request(Request("/agents/room/x"), runtime.env)
        taken = await route_agent_request(Request("/agents/room/x", headers={"key": "a"}), runtime.env)
        assert (refused and refused.status, taken and taken.status) == (401, 200)
        assert await admit(Request("/anything", headers={"key": "a"})) is None
        assert getattr(await admit(Request("/anything")), "status", None) == 401


async def test_developer_routes_ask_too(clock: ManualClock):
    route = SimpleNamespace(path="/cdn-cgi/mail", serve=None)

    async def serve(request: Request) -> Response:
        return Response(f"mail for {request.identity.subject if request.identity else None}")

    route.serve = serve
    plugin = SimpleNamespace(__name__="mail", register_developer_routes=hookimpl(lambda: [route]))
    async with agent_runtime(Room, plugins=[Guard(), plugin], cors=True) as runtime:
        assert (await runtime.fetch(Request("/cdn-cgi/mail"))).status == 401
        assert await (await runtime.fetch(Request("/cdn-cgi/mail", headers={"key": "b"}))).text() == "mail for bob"
        foreign = {"key": "b", "sec-fetch-site": "cross-site"}
        assert (await runtime.fetch(Request("/cdn-cgi/mail", headers=foreign))).status == 403


async def test_what_a_transport_asks_for_its_client_is_the_clients(runtime: Runtime):
    async def serve(request: Request, fetch: Any) -> Response:
        return await fetch(Request("/agents/room/x"))

    runtime.transports.append(SimpleNamespace(name="t", claims=lambda request: "?t" in request.url, serve=serve))
    refused = await runtime.route(Request("/agents/room/x?t"))
    taken = await runtime.route(Request("/agents/room/x?t", headers={"key": "b"}))
    assert refused is not None
    assert taken is not None
    assert refused.status == 401
    assert await taken.json() == ["bob", {}]


async def test_a_hook_before_the_agent_knows_it_and_does_not_lose_it(clock: ManualClock):
    def before(request: Request, route: RouteInfo) -> Request:
        assert request.identity is not None
        return Request(request.url, headers={"told": request.identity.subject})

    async with agent_runtime(Room, plugins=[Guard()], on_before_request=before) as runtime:
        response = await runtime.route(Request("/agents/room/x", headers={"key": "b"}))
        assert response is not None
        assert await response.json() == ["bob", {}]


def test_it_goes_with_a_request_to_another_process():
    request = Request("/agents/room/x")
    for identity in (None, ANONYMOUS, KEYS["a"], KEYS["short"]):
        request.identity = identity
        assert unpack_request(pack_request(request), None).identity == identity


def test_an_identity_is_data_and_does_not_show_its_claims():
    identity = Identity("ann", {"token": "s3cret"}, datetime(2026, 1, 1, tzinfo=UTC))
    assert Identity.from_data(identity.to_data()) == identity
    assert "s3cret" not in repr(identity)
    with pytest.raises(ValueError, match="time zone"):
        Identity("ann", expires_at=datetime(2026, 1, 1))
