"""Expiry: a WebSocket is open no longer than its client's identity holds.

The end is looked for by the clock that is handed in, whether the object is in memory or not. Whoever answers for
identities may renew one (``World.renew_identity``); a socket whose identity is not renewed is closed with 4401, and
nothing that its client sends arrives any more.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from edgeagents.objects.websocket import WebSocket

if TYPE_CHECKING:
    from edgeagents.http import Identity
    from edgeagents.objects.namespace import World

__all__ = ["IDENTITY_ENDED", "watch_identity"]

IDENTITY_ENDED: Final = 4401
"""The close code; it tells the official clients not to come back by themselves."""

REASON: Final = "The identity of this connection has ended"
LOOK_AGAIN_SECONDS: Final = 300.0
"""The longest wait without a look at the clock, which may be set meanwhile."""
RENEWAL_SECONDS: Final = 10.0
"""How long a renewal may take; what is sent meanwhile still arrives."""

_log = logging.getLogger("edgeagents.objects")
_renewing: set[asyncio.Task[None]] = set()


def watch_identity(socket: WebSocket, world: World) -> None:
    """Close ``socket`` when its identity ends, unless that is renewed."""
    identity = socket.identity
    if identity is None or identity.expires_at is None or socket.ready_state == WebSocket.CLOSED:
        return
    left = (identity.expires_at - world.clock.now()).total_seconds()
    if left > 0:
        wait = min(left, LOOK_AGAIN_SECONDS)
        socket.deadline = world.clock.call_later(wait, lambda: watch_identity(socket, world))
    elif world.renew_identity is None:
        socket.end_now(IDENTITY_ENDED, REASON)
    else:
        task = asyncio.get_running_loop().create_task(_renew(socket, identity, world), name="renew an identity")
        _renewing.add(task)
        task.add_done_callback(_renewing.discard)


async def _renew(socket: WebSocket, identity: Identity, world: World) -> None:
    assert world.renew_identity is not None
    renewed: Identity | None = None
    asking = asyncio.ensure_future(world.renew_identity(identity))
    timer = world.clock.call_later(RENEWAL_SECONDS, asking.cancel)
    try:
        await asyncio.wait((asking,))
        if not asking.cancelled():
            renewed = asking.result()
    except Exception:
        _log.exception("An identity could not be renewed; its WebSocket is closed")
    finally:
        timer.cancel()
        asking.cancel()
    if renewed is None or renewed.has_ended(world.clock.now()):
        socket.end_now(IDENTITY_ENDED, REASON)
    else:
        socket.identity = renewed
        watch_identity(socket, world)
