"""A line a request."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from edgeagents_emulator.access_log import with_request_lines


async def line_of(caplog: pytest.LogCaptureFixture, scope: dict[str, Any], *messages: dict[str, Any]) -> str:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with caplog.at_level(logging.INFO, "edgeagents.requests"):
        await with_request_lines(app)(scope, receive, send)
    assert len(caplog.records) == 1
    return re.sub(r"\d+ms", "Nms", caplog.records[0].getMessage())


def http(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, **more}


def answered(status: int) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status}


async def test_a_request_is_a_line_with_status_and_time(caplog: pytest.LogCaptureFixture) -> None:
    assert await line_of(caplog, http("/path"), answered(200)) == "GET /path 200 OK (Nms)"


async def test_the_query_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    line = await line_of(caplog, http("/a b", raw_path=b"/a%20b?key=secret"), answered(404))
    assert line == "GET /a%20b 404 Not Found (Nms)"


async def test_a_path_cannot_write_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    assert await line_of(caplog, http("/a\nGET /b 200"), answered(200)) == "GET /a\\nGET /b 200 200 OK (Nms)"


async def test_a_status_without_a_name_is_a_number(caplog: pytest.LogCaptureFixture) -> None:
    assert await line_of(caplog, http("/"), answered(599)) == "GET / 599 (Nms)"


async def test_a_request_that_nobody_answered_is_canceled(caplog: pytest.LogCaptureFixture) -> None:
    assert await line_of(caplog, http("/")) == "GET / canceled (Nms)"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "websocket.accept"}, "101 Switching Protocols"),
        ({"type": "websocket.close"}, "403 Forbidden"),
        ({"type": "websocket.http.response.start", "status": 426}, "426 Upgrade Required"),
    ],
)
async def test_a_websocket_is_a_line_when_its_handshake_is_answered(
    caplog: pytest.LogCaptureFixture, message: dict[str, Any], status: str
) -> None:
    line = await line_of(caplog, {"type": "websocket", "path": "/ws"}, message, {"type": "websocket.close"})
    assert line == f"GET /ws {status} (Nms)"
