"""The emulator's mailbox: a POST of a message runs the worker's ``email`` handler with it."""

from __future__ import annotations

import logging
from email.utils import getaddresses, parseaddr
from typing import Any

from edgeagents.http import Request, Response
from edgeagents_email.incoming import IncomingEmail
from edgeagents_email.outbox import Outbox

__all__ = ["EmailRoute"]

_LONGEST_MESSAGE = 1024 * 1024
_INVALID = (
    "Invalid email. Your request must include URL parameters specifying the `from` and `to` addresses, "
    "as well as an email in the body"
)

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
        if not sender or not recipient or not raw:
            return Response(_INVALID, status=400)
        if len(raw) > _LONGEST_MESSAGE:
            return Response(f"The message is larger than {_LONGEST_MESSAGE} bytes.", status=400)
        email = IncomingEmail(sender, recipient, raw, send=self._send)
        if not email.headers.get("message-id"):
            return Response("Email could not be parsed: invalid or no message id provided", status=400)
        _warn_of_envelope(email)
        await self._runtime.run_handler("email", email)
        if email.rejected is not None:
            return Response(f"Worker rejected email with the following reason: {email.rejected}", status=400)
        return Response("Worker successfully processed email")

    async def _send(self, from_: str, to: str, message: bytes) -> dict[str, str]:
        number = f"{self._runtime.rng.getrandbits(80):020x}"
        await self._outbox.send(from_, [to], message, f"{self._runtime.clock.now():%Y%m%dT%H%M%S}-{number}")
        return {"message_id": f"{number}@{from_.rpartition('@')[2]}"}


def _warn_of_envelope(email: IncomingEmail) -> None:
    author = parseaddr(email.headers.get("from", ""))[1]
    if author != email.from_:
        _log.warning(
            "The envelope says that the email is from %s, its header From that it is from %s.", email.from_, author
        )
    recipients = [address for _, address in getaddresses([email.headers.get("to", "")])]
    if email.to not in recipients:
        _log.warning("The envelope says that the email is to %s, its header To: %s.", email.to, ", ".join(recipients))
