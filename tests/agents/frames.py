"""How the tests of agents talk over a socket: JSON in, JSON out."""

from __future__ import annotations

import json
from typing import Any

from edgeagents.testing import TestSocket, settle


def parsed(message: str | bytes) -> Any:
    """Return the JSON in a frame, or the frame itself when there is none."""
    try:
        return json.loads(message)
    except ValueError:
        return message


def say(socket: TestSocket, **frame: Any) -> None:
    """Send a JSON frame."""
    socket.send(json.dumps(frame))


async def heard(socket: TestSocket) -> list[Any]:
    """Return what has come since the last time."""
    await settle()
    return [parsed(message) for message in socket.pending()]


async def answer(socket: TestSocket, method: str, *args: Any, id: str = "1") -> Any:
    """Call a method and return the frame that answers it. Frames that came before are gone."""
    say(socket, type="rpc", id=id, method=method, args=list(args))
    while True:
        frame = parsed(await socket.receive())
        if isinstance(frame, dict) and frame.get("type") == "rpc" and frame["id"] == id:
            return frame
