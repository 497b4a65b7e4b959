"""The emulator's mailbox: a POST of a message runs the worker's ``email`` handler with it."""

from __future__ import annotations

import logging
from typing import Any

from edgeagents.http import Request, Response
from edgeagents_email.incoming import IncomingEmail
from edgeagents_email.outbox import Outbox

__all__ = ["EmailRoute"]

_LONGEST_MESSAGE = 1024 * 1024

_log = logging.getLogger("edgeagents.email")


class EmailRoute:
    """``POST <path>?from=<address>&to=<address>`` with a raw message as its body."""

    def __init__(self, path: str, runtime: Any, outbox: Outbox) -> None:
        self.path = path
        self._runtime, self._outbox = runtime, outbox

    async def serve(self, request: Request) -> Response:
        """Run the worker's ``email`` with the message; 400 when it is none, or was rejected."""
        if request.method != "POST":
            return Response("Send the message with POST.", status=405)
        raw = await request.bytes()
        sender, recipient = request.query.get("from"), request.query.get("to")
        if not sender or not recipient:
            return Response("The query needs from and to, the addresses of the envelope.", status=400)
        if len(raw) > _LONGEST_MESSAGE:
            return Response(f"The message is larger than {_LONGEST_MESSAGE} bytes.", status=400)
        email = IncomingEmail(sender, recipient, raw, send=self._send)
        if not raw or "message-id" not in email.headers:
            return Response("The body must be a whole message with a Message-ID.", status=400)
        await self._runtime.run_handler("email", email)
        if email.rejected is not None:
            return Response(f"Worker rejected email with the following reason: {email.rejected}", status=400)
        return Response("Worker successfully processed email")

    async def _send(self, from_: str, to: str, message: bytes) -> None:
        name = f"{self._runtime.clock.now():%Y%m%dT%H%M%S}-{self._runtime.rng.getrandbits(80):020x}"
        await self._outbox.send(from_, [to], message, name)
