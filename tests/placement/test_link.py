"""A link holds back bodies, not the process: what nobody takes ends the link."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edgeagents.placement.link import Link


async def test_a_process_that_takes_nothing_loses_its_link(tmp_path: Path, caplog) -> None:
    path = str(tmp_path / "s")
    over, ended = asyncio.Event(), asyncio.Event()

    async def take_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.transport.abort()
        await asyncio.sleep(0)
        ended.set()

    server = await asyncio.start_unix_server(take_nothing, path)
    link = Link(*await asyncio.open_unix_connection(path))
    lost: list[bool] = []

    class Channel:
        def receive(self, kind: str, *content: object) -> None:
            raise AssertionError(kind)

        def lost(self) -> None:
            lost.append(True)

        def unreadable(self, error: Exception) -> None:
            raise error

    number = link.open(Channel())
    sent = 0
    while not link.is_lost:
        link.send(number, "message", b"x" * 1_000_000)
        sent += 1
    assert lost == [True]
    assert 64 <= sent < 70
    assert "does not take" in caplog.text
    link.send(number, "message", "nothing happens")
    over.set()
    await ended.wait()
    server.close()
    await server.wait_closed()
