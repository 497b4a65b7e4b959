"""An email that came in: as a worker gets it, and as the agent does that it was routed to.

An agent may live in another process than the one that the email came to, so only data crosses: the agent gets a copy,
and what it decides (reject, forward, reply) goes back when its handler ends and is done there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cached_property
from typing import Any, TypeAlias

from edgeagents.errors import EdgeAgentsError
from edgeagents_email.headers import header_lines, read_all_headers, read_headers
from edgeagents_email.rules import checked_reply

__all__ = ["Action", "AgentEmail", "EmailRejected", "IncomingEmail"]

Action: TypeAlias = dict[str, Any]
"""``{"do": "reject" | "forward" | "reply", ...}``: what an agent wants done with an email, as data."""


class EmailRejected(EdgeAgentsError):
    """The email is not taken. ``reason`` is what the sending server is told."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The email was rejected: {reason}")


class _Readable:
    raw: bytes

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case. Of several of one name, the first."""
        return read_headers(self.raw)

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers in their order, as often as they are there."""
        return read_all_headers(self.raw)

    @property
    def raw_size(self) -> int:
        """How many bytes the whole message has."""
        return len(self.raw)

    def parse(self) -> EmailMessage:
        """Return the message as the standard library reads it: ``parse().get_body().get_content()`` is its text."""
        from email import policy
        from email.parser import BytesParser

        return BytesParser(policy=policy.default).parsebytes(self.raw)


Send: TypeAlias = Callable[[str, str, bytes], Awaitable[Any]]


@dataclass
class IncomingEmail(_Readable):
    """An email as a worker's ``email(message, env, ctx)`` gets it. ``from_`` and ``to`` are those of the envelope."""

    from_: str
    to: str
    raw: bytes
    send: Send | None = field(default=None, repr=False)
    """What sends a forward or a reply: called with the sender, the recipient and the message. What it returns,
    ``{"message_id": ...}`` in the emulator, is returned by those."""
    rejected: str | None = None
    """Why the email was rejected, or None."""

    def set_reject(self, reason: str) -> None:
        """Do not take the email. The sending server is told ``reason``."""
        self.rejected = reason

    async def forward(self, to: str, headers: Mapping[str, str] | None = None) -> Any:
        """Send the email on to ``to``, with further ``headers``, whose names must begin with ``X-``."""
        return await self._sender()(self.from_, to, with_headers(self.raw, headers or {}))

    async def reply(self, message: bytes, *, from_: str | None = None, to: str | None = None) -> Any:
        """Answer with ``message``, a whole email, by default from this email's recipient to its sender.

        Raises ``EmailRefused``, as Cloudflare does, unless its ``From`` is that sender, it has a ``Message-ID``, and
        its ``In-Reply-To`` is this email's; and when this email was written by a machine.
        """
        sender = from_ or self.to
        return await self._sender()(sender, to or self.from_, checked_reply(self.headers, sender, message))

    async def perform(self, action: Action) -> None:
        """Do what an agent has decided."""
        match action["do"]:
            case "reject":
                self.set_reject(action["reason"])
            case "forward":
                await self.forward(action["to"], action["headers"])
            case _:
                await self.reply(action["raw"], from_=action["from"], to=action["to"])

    def _sender(self) -> Send:
        if self.send is None:
            raise EdgeAgentsError("This email came without a way to answer: give IncomingEmail(send=...).")
        return self.send


@dataclass
class AgentEmail(_Readable):
    """An email as an agent's ``on_email(self, email)`` gets it.

    What it says here (``set_reject``, ``forward``, ``reply``) is done when the handler has ended well, in its order.
    ``is_secure``: a signature brought it here, so a reply must be signed, or say that it shall not be.
    """

    from_: str
    to: str
    raw: bytes
    is_secure: bool = False
    actions: list[Action] = field(default_factory=list[Action], repr=False)

    async def get_raw(self) -> bytes:
        """Return the whole message."""
        return self.raw

    def set_reject(self, reason: str) -> None:
        """Do not take the email. The sending server is told ``reason``."""
        self.actions.append({"do": "reject", "reason": reason})

    async def forward(self, to: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the email on to ``to``, with further ``headers``, whose names must begin with ``X-``."""
        with_headers(self.raw, headers or {})  # What is wrong with them is told here.
        self.actions.append({"do": "forward", "to": to, "headers": dict(headers or {})})

    async def reply(self, raw: bytes | str, *, from_: str | None = None, to: str | None = None) -> None:
        """Answer with a whole message, by default from this email's recipient to its sender."""
        data = raw.encode() if isinstance(raw, str) else raw
        self.actions.append({"do": "reply", "from": from_ or self.to, "to": to or self.from_, "raw": data})


def with_headers(raw: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the message with ``headers`` before its own. Raises ``ValueError`` for one that may not be added."""
    for name in headers:
        if not name.lower().startswith("x-") or not name.isascii() or any(c in name for c in ": \r\n\t"):
            raise ValueError(f"A forwarded email can get headers that begin with X-, not {name!r}.")
    return header_lines(headers) + raw
