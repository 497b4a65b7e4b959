"""Streams on real servers: many at once, readers that stall, clients that leave, silence."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets

from tests.servers import Server
from tests.transport.raw_http import PATIENCE_SECONDS, Exchange, ask
from tests.transport.transport_app import CHUNKS

pytestmark = pytest.mark.server

STREAMS = 200


async def figures(server: Server, name: str) -> dict[str, int]:
    return json.loads((await ask(server, f"/agents/talker/{name}/produced")).text)


async def test_two_hundred_streams_are_open_at_once(server: Server) -> None:
    streams = [await Exchange.begin(server, "/agents/talker/crowd/two-events") for _ in range(STREAMS)]
    # All of them have begun before any may end.
    await asyncio.gather(*(stream.see(b"data: first\n\n") for stream in streams))

    await ask(server, "/agents/talker/crowd/on")

    answers = await asyncio.gather(*(stream.finish() for stream in streams))
    assert {answer.text for answer in answers} == {"id: 0\ndata: first\n\nid: 1\ndata: second\n\n"}
    assert all(answer.is_whole for answer in answers)


async def test_a_reader_that_stalls_slows_nobody_down(server: Server) -> None:
    stalled = await Exchange.begin(server, "/agents/talker/slow/endless")
    await stalled.see(b"\r\n\r\n")

    # The same agent, while its response to the other waits.
    answers = await asyncio.gather(*(ask(server, "/agents/talker/slow/name") for _ in range(50)))

    assert {answer.text for answer in answers} == {'{"name":"slow"}'}
    # What nobody reads is not made: the buffers between us are far smaller than the whole.
    assert (await figures(server, "slow"))["produced"] < CHUNKS / 4
    stalled.leave()


async def test_a_stream_whose_client_left_is_closed(server: Server) -> None:
    leaver = await Exchange.begin(server, "/agents/talker/leaver/endless")
    await leaver.see(b"\r\n\r\n")

    leaver.leave()

    async with asyncio.timeout(PATIENCE_SECONDS):
        while (seen := await figures(server, "leaver"))["left"] == 0:
            pass
    assert seen["produced"] < CHUNKS


async def test_a_websocket_that_stalls_is_dropped_and_slows_nobody_down(server: Server) -> None:
    url = f"{server.ws_url}/agents/talker/flood"
    stalled = await websockets.connect(url, proxy=None, max_queue=1, compression=None)
    async with websockets.connect(url, proxy=None, max_size=None, compression=None) as reader:
        for number in range(400):
            await reader.send(json.dumps({"type": "rpc", "id": str(number), "method": "flood", "args": [262_144]}))
            received, open_sockets = await _flooded(reader)
            assert received == 262_144
            if open_sockets == 1:
                break

        assert open_sockets == 1, "the stalled connection is still there"
    stalled.transport.abort()


async def _flooded(reader: websockets.ClientConnection) -> tuple[int, int]:
    """Return the size of the next binary message and the result of the call behind it."""
    size = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = await reader.recv()
            if isinstance(message, bytes):
                size = len(message)
            elif (frame := json.loads(message))["type"] == "rpc":
                return size, frame["result"]


async def test_an_upload_is_read_as_it_comes(server: Server) -> None:
    size = 8 * 1024 * 1024

    answer = await ask(server, "/agents/talker/up/count", method="POST", body=bytes(size))

    # A hundred times what the limits let a handler read at once.
    assert json.loads(answer.text) == {"bytes": size}
