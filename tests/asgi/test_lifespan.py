from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edgeagents.asgi.lifespan import serve_lifespan


class Server:
    """A server's side of the lifespan protocol, and a log of who did what."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.start_error: Exception | None = None

    async def start(self) -> None:
        self.log.append("start")
        if self.start_error is not None:
            raise self.start_error

    async def drain(self) -> None:
        self.log.append("drain")

    async def stop(self) -> None:
        self.log.append("stop")

    def run(self, app: Any) -> asyncio.Task[None]:
        return asyncio.create_task(
            serve_lifespan(
                {"type": "lifespan"},
                self.to_app.get,
                self.from_app.put,
                app=app,
                start=self.start,
                drain=self.drain,
                stop=self.stop,
            )
        )

    async def tell(self, kind: str) -> dict[str, Any]:
        self.to_app.put_nowait({"type": f"lifespan.{kind}"})
        async with asyncio.timeout(5):
            return await self.from_app.get()


@pytest.fixture
def server() -> Server:
    return Server()


async def test_we_start_before_the_app_and_stop_after_it(server: Server):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        server.log.append("app starts")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        server.log.append("app stops")
        await send({"type": "lifespan.shutdown.complete"})

    running = server.run(app)

    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    assert server.log == ["start", "app starts"]
    assert (await server.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
    await running
    assert server.log == ["start", "app starts", "drain", "app stops", "stop"]


async def raises_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("only http")


async def raises_later(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError("only http")


async def returns(scope: Any, receive: Any, send: Any) -> None:
    return


async def answers_everything(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def starts_and_returns(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def forgets_to_say_goodbye(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()


@pytest.mark.parametrize(
    "app",
    [
        None,
        raises_at_once,
        raises_later,
        returns,
        answers_everything,
        starts_and_returns,
        forgets_to_say_goodbye,
    ],
)
async def test_an_app_that_takes_no_part_keeps_nobody_from_starting(server: Server, app: Any):
    running = server.run(app)

    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    assert (await server.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
    await running
    assert server.log == ["start", "drain", "stop"]


async def test_the_server_is_told_when_we_cannot_start(server: Server, caplog: pytest.LogCaptureFixture):
    server.start_error = ValueError("no room")
    running = server.run(raises_at_once)

    assert await server.tell("startup") == {"type": "lifespan.startup.failed", "message": "ValueError: no room"}
    with pytest.raises(ValueError, match="no room"):
        await running
    assert server.log == ["start"]
    assert "could not be started" in caplog.text


async def test_the_app_s_failure_to_start_is_passed_on(server: Server):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    running = server.run(app)

    assert await server.tell("startup") == {"type": "lifespan.startup.failed", "message": "no database"}
    with pytest.raises(RuntimeError, match="no database"):
        await running
    assert server.log == ["start", "stop"]


async def test_an_app_that_breaks_while_it_runs_is_stopped_for(server: Server):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise RuntimeError("broken")

    running = server.run(app)
    await server.tell("startup")

    with pytest.raises(RuntimeError, match="broken"):
        await running
    assert server.log == ["start", "stop"]
