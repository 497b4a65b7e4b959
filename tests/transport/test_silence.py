"""A stream that is silent for minutes: nothing of ours cuts it, and signs of life go out in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from edgeagents import Agent, AgentsMiddleware, Request, Response
from edgeagents.testing import ManualClock, agent_runtime
from tests.transport.transport_app import not_ours

SILENCE_SECONDS = 180
KEEP_ALIVE_SECONDS = 15
TOKENS = 3


class Thinker(Agent):
    """Thinks for three minutes before each token."""

    async def on_request(self, request: Request) -> Response:
        return Response(self.think(), headers={"content-type": request.headers["accept"]})

    async def think(self) -> AsyncIterator[str]:
        for number in range(TOKENS):
            yield f"data: {number}\n\n"
            await self.ctx.clock.sleep(SILENCE_SECONDS)


def scope(accept: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/agents/thinker/x",
        "raw_path": b"/agents/thinker/x",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", accept.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


@pytest.mark.parametrize(
    ("accept", "comments"),
    [("text/event-stream", SILENCE_SECONDS // KEEP_ALIVE_SECONDS - 1), ("text/plain", 0)],
    ids=["events", "text"],
)
async def test_three_minutes_of_silence_cut_nothing(accept: str, comments: int) -> None:
    clock = ManualClock()
    app = AgentsMiddleware(not_ours, runtime=agent_runtime(Thinker, clock=clock), keep_alive_seconds=KEEP_ALIVE_SECONDS)
    client = ApplicationCommunicator(app, scope(accept))
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await client.receive_output())["status"] == 200

    body = b""
    for _ in range(TOKENS):
        # Every timer of agent and middleware goes off on the way: idling, keeping alive, whatever there is.
        await clock.advance(SILENCE_SECONDS - 1)
        body += await _sent_so_far(client)
        await clock.advance(1)
    body += await _sent_so_far(client)

    lines = body.split(b"\n\n")
    assert [line for line in lines if line.startswith(b"data:")] == [b"data: 0", b"data: 1", b"data: 2"]
    assert sum(line.startswith(b":") for line in lines) == pytest.approx(TOKENS * comments, abs=TOKENS)
    await client.wait()


async def _sent_so_far(client: ApplicationCommunicator) -> bytes:
    body = b""
    while not client.output_queue.empty():
        body += (await client.receive_output()).get("body", b"")
    return body
