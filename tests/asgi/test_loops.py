"""An app that is used without its lifespan, on one event loop after another, as test clients do."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from edgeagents import Agent, AgentsMiddleware, Runtime, callable, get_agent_by_name


class Counter(Agent):
    initial_state = {"n": 0}

    @callable()
    async def add(self, by: int = 1) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def wake(self) -> None:
        await self.ctx.storage.set_alarm(timedelta(hours=1))

    async def alarm_is_set(self) -> bool:
        return await self.ctx.storage.get_alarm() is not None

    async def write_and_hang(self) -> None:
        self.set_state({"n": -1})
        await asyncio.Event().wait()

    async def on_request(self, request: Any) -> Any:
        return self.state


def make_app(**options: Any) -> FastAPI:
    app = FastAPI()

    @app.post("/bump/{name}")
    async def bump(name: str) -> int:  # pyright: ignore[reportUnusedFunction]
        return await (await get_agent_by_name(Counter, name)).add(1)

    app.add_middleware(AgentsMiddleware, agents=[Counter], discover_plugins=False, **options)
    return app


@pytest.fixture(params=["memory", "folder"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "state"


async def bump(app: FastAPI) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        return (await client.post("/bump/x")).json()


def test_a_client_without_a_lifespan_counts_on(storage: Path | None):
    client = TestClient(make_app(storage=storage))

    assert [client.post("/bump/x").json() for _ in range(3)] == [1, 2, 3]
    assert client.get("/agents/counter/x").json() == {"n": 3}


def test_a_websocket_without_a_lifespan_finds_what_was_kept(storage: Path | None):
    client = TestClient(make_app(storage=storage))
    client.post("/bump/x")

    with client.websocket_connect("/agents/counter/x") as socket:
        assert [socket.receive_json() for _ in range(2)][1] == {"type": "cf_agent_state", "state": {"n": 1}}
    assert client.post("/bump/x").json() == 2


def test_each_test_may_have_an_event_loop_of_its_own(storage: Path | None):
    app = make_app(storage=storage)

    assert [asyncio.run(bump(app)) for _ in range(3)] == [1, 2, 3]


def test_requests_that_find_the_loop_closed_share_the_new_runtime(storage: Path | None):
    app = make_app(storage=storage)
    asyncio.run(bump(app))

    async def many() -> list[int]:
        return sorted(await asyncio.gather(*(bump(app) for _ in range(5))))

    assert asyncio.run(many()) == [2, 3, 4, 5, 6]


def test_what_was_under_way_when_the_loop_was_closed_is_as_after_a_crash(storage: Path | None):
    app = make_app(storage=storage)

    async def leave_in_the_middle() -> None:
        await bump(app)

        async def hang() -> None:
            runtime = runtime_of(app)
            await runtime.namespaces["Counter"].get_by_name("x").write_and_hang()

        hanging = asyncio.create_task(hang())
        await asyncio.sleep(0)
        assert not hanging.done()

    asyncio.run(leave_in_the_middle())

    assert asyncio.run(bump(app)) in (0, 2)  # What was written last was kept, or was not.


def test_an_alarm_is_still_set_on_the_next_loop(storage: Path | None):
    app = make_app(storage=storage)

    async def with_agent(method: str) -> Any:
        await bump(app)
        return await getattr(runtime_of(app).namespaces["Counter"].get_by_name("x"), method)()

    asyncio.run(with_agent("wake"))

    assert asyncio.run(with_agent("alarm_is_set"))


def test_nothing_is_left_of_the_runtimes_of_closed_loops(tmp_path: Path):
    app = make_app(storage=tmp_path / "state")
    asyncio.run(bump(app))
    threads = threading.active_count()

    for _ in range(3):
        asyncio.run(bump(app))
    with TestClient(app) as client:
        client.post("/bump/x")

    assert threading.active_count() < threads
    assert not list((tmp_path / "state").rglob("*.sock"))
    asyncio.run(takes_the_folder(tmp_path / "state"))


async def takes_the_folder(folder: Path) -> None:
    # Only one that nobody holds can be taken whole.
    from edgeagents.placement import SingleProcess

    placement = SingleProcess(folder)
    await placement.start(None)  # type: ignore[arg-type] - it is asked for nothing.
    await placement.stop()


def test_with_a_lifespan_what_is_in_memory_ends_with_it():
    app = make_app(storage=None)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/bump/x").json() == 1


def test_a_runtime_that_was_given_says_that_it_cannot_start_again():
    app = FastAPI()
    app.add_middleware(AgentsMiddleware, runtime=Runtime(agents=[Counter], storage=None, discover_plugins=False))
    client = TestClient(app)
    client.get("/agents/counter/x")

    with pytest.raises(RuntimeError, match=r"Enter the lifespan of the app, as with TestClient\(app\)"):
        client.get("/agents/counter/x")


def test_a_runtime_can_be_stopped_after_its_loop_was_closed(tmp_path: Path):
    runtime = Runtime(agents=[Counter], storage=tmp_path / "state", discover_plugins=False)
    asyncio.run(runtime.start())

    asyncio.run(runtime.stop())

    assert runtime.state == "stopped"
    asyncio.run(takes_the_folder(tmp_path / "state"))


def runtime_of(app: FastAPI) -> Runtime:
    layer: Any = app.middleware_stack
    while not isinstance(layer, AgentsMiddleware):
        layer = layer.app
    return layer.runtime
