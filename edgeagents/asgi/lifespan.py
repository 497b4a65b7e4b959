"""Lifespan: a runtime that starts before the app it stands in, and stops after it.

The app sees the whole protocol as if it were alone. One that does not know the protocol, and fails or returns on it,
keeps nobody from starting.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable

from edgeagents.asgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["serve_lifespan"]

_log = logging.getLogger("edgeagents.asgi")

Step = Callable[[], Awaitable[None]]


async def serve_lifespan(
    scope: Scope, receive: Receive, send: Send, *, app: ASGIApp | None, start: Step, drain: Step, stop: Step
) -> None:
    """Run the lifespan of ``app`` inside of ``start`` and ``stop``. ``drain`` runs as soon as the server wants to stop.

    When ``start`` fails the server is told so, the app is never asked, and the error is raised.
    """
    await receive()
    try:
        await start()
    except Exception as error:
        _log.error("The agents could not be started", exc_info=error)
        text = "".join(traceback.format_exception_only(error)).strip()
        await send({"type": "lifespan.startup.failed", "message": text})
        # As Starlette does: its test client would take an app that returns for one that has started.
        raise
    if app is not None:
        inner = _InnerLifespan(app, scope, drain, stop)
        if await inner.run(receive, send):
            return
    else:
        await send({"type": "lifespan.startup.complete"})
    await receive()
    await drain()
    await stop()
    await send({"type": "lifespan.shutdown.complete"})


class _InnerLifespan:
    """The lifespan that the app sees."""

    def __init__(self, app: ASGIApp, scope: Scope, drain: Step, stop: Step) -> None:
        self._app, self._scope = app, scope
        self._drain, self._stop = drain, stop
        self._has_started = False
        self._is_over = False
        self._asked = 0

    async def run(self, receive: Receive, send: Send) -> bool:
        """Run it. Return False when the app does not take part, and the rest of the protocol is left to do."""
        self._receive, self._send = receive, send
        try:
            await self._app(self._scope, self._inner_receive, self._inner_send)
        except Exception as error:
            if not self._has_started and not self._is_over:
                _log.info("The app does not take part in lifespan (%s: %s).", type(error).__name__, error)
                _log.debug("What the app raised on lifespan", exc_info=error)
            else:
                # It failed while it ran or stopped: what we keep is let go of first.
                if not self._is_over:
                    await self._stop()
                raise
        if self._is_over:
            return True
        if self._asked > 1:
            # It left without saying that it had shut down.
            await self._stop()
            await send({"type": "lifespan.shutdown.complete"})
            return True
        if not self._has_started:
            await send({"type": "lifespan.startup.complete"})
        return False

    async def _inner_receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        message = await self._receive()
        if message["type"] == "lifespan.shutdown":
            await self._drain()
        return message

    async def _inner_send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._has_started = True
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            if not self._is_over:
                self._is_over = True
                await self._stop()
        else:
            # An app that answers every scope as if it were a request.
            raise RuntimeError(f"{kind!r} is no answer to lifespan.")
        await self._send(message)
