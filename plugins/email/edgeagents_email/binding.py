"""The binding ``send_email``: what a worker sends mail with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formataddr, parseaddr
from typing import Any, ClassVar, TypeAlias

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.objects import Clock, writes_kept
from edgeagents_email.outbox import Outbox
from edgeagents_email.rules import EmailRefused, check_message

__all__ = ["Address", "Addresses", "SendEmail", "SendEmailType", "format_address"]

Address: TypeAlias = str | Mapping[str, str]
Addresses: TypeAlias = Address | Sequence[Address]
"""One address or several: ``ann@example.com``, or ``{"email": ..., "name": ...}``."""


def format_address(address: str | Mapping[str, str]) -> str:
    """Return an address as a header has it. Raises ``ValueError`` for what is none."""
    if not isinstance(address, str):
        address = formataddr((address.get("name", ""), address["email"]))
    name, plain = parseaddr(address)
    if "@" not in plain or "\n" in address or "\r" in address:
        raise ValueError(f"{address!r} is no email address.")
    return address if name else plain


class SendEmail:
    """Sends mail, within what the configuration allows."""

    js_name: ClassVar[str] = "SendEmail"

    def __init__(self, name: str, options: Mapping[str, Any], outbox: Outbox, clock: Clock, rng: random.Random) -> None:
        self._name, self._outbox, self._clock, self._rng = name, outbox, clock, rng
        destination = options.get("destination_address")
        allowed = [destination] if destination else options.get("allowed_destination_addresses")
        self._default_to: str | None = destination
        self._recipients: frozenset[str] | None = None if allowed is None else frozenset(allowed)
        senders = options.get("allowed_sender_addresses")
        self._senders: frozenset[str] | None = None if senders is None else frozenset(senders)

    async def send(
        self,
        message: bytes | None = None,
        *,
        from_: Address,
        to: Addresses = (),
        subject: str = "",
        text: str | None = None,
        html: str | None = None,
        reply_to: Address | None = None,
        cc: Addresses = (),
        bcc: Addresses = (),
        headers: Mapping[str, str] | None = None,
        attachments: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, str]:
        """Send a mail made of these fields, or ``message``, a whole one; return ``{"message_id": ...}``.

        An attachment has a ``filename``, a ``type``, a ``content`` (bytes or text), a ``disposition`` (``attachment``
        or ``inline``) and, if HTML shows it, a ``contentId``.

        Raises ``ValueError`` for addresses that are none, and ``EmailRefused`` for those that the binding does not
        allow and for a ``message`` that Cloudflare would not send.
        """
        sender = parseaddr(format_address(from_))[1]
        direct, copies, hidden = (_addresses(group) for group in (to, cc, bcc))
        if not direct and self._default_to:
            direct = [self._default_to]
        recipients = [parseaddr(address)[1] for address in (*direct, *copies, *hidden)]
        self._check(sender, recipients)
        number = f"{self._rng.getrandbits(80):020x}"
        message_id = f"<{number}@{sender.rpartition('@')[2]}>"
        if message is not None:
            check_message(from_ if isinstance(from_, str) else sender, message)
        else:
            mail = self._mail(text, html)
            for attachment in attachments:
                _attach(mail, attachment)
            mail["From"], mail["Subject"] = format_address(from_), subject
            mail["Date"], mail["Message-ID"] = self._clock.now(), message_id
            for field, value in (("To", direct), ("Cc", copies)):
                if value:
                    mail[field] = ", ".join(value)
            if reply_to is not None:
                mail["Reply-To"] = format_address(reply_to)
            for field, value in (headers or {}).items():
                del mail[field]
                mail[field] = value
            message = mail.as_bytes()
        await writes_kept()
        await self._outbox.send(sender, recipients, message, f"{self._clock.now():%Y%m%dT%H%M%S}-{number}")
        return {"message_id": message_id}

    def _mail(self, text: str | None, html: str | None) -> EmailMessage:
        if text is None and html is None:
            raise ValueError("An email needs text=, html= or both.")
        mail = EmailMessage()
        if text is not None:
            mail.set_content(text)
            if html is not None:
                mail.add_alternative(html, subtype="html")
        else:
            mail.set_content(html or "", subtype="html")
        return mail

    def _check(self, sender: str, recipients: Sequence[str]) -> None:
        if not recipients:
            raise ValueError("An email needs a recipient: to=, cc= or bcc=.")
        if self._senders is not None and sender not in self._senders:
            raise EmailRefused(f"email from {sender} not allowed: {self._only(self._senders)}")
        for recipient in recipients:
            if self._recipients is not None and recipient not in self._recipients:
                raise EmailRefused(f"email to {recipient} not allowed: {self._only(self._recipients)}")

    def _only(self, allowed: frozenset[str]) -> str:
        return f"the binding {self._name!r} has {', '.join(sorted(allowed)) or 'nobody'}"


class SendEmailType:
    """``send_email``. Options: ``destination_address``, or ``allowed_destination_addresses``;
    ``allowed_sender_addresses``."""

    kind = "send_email"

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        options = declaration.options
        if options.get("destination_address") and options.get("allowed_destination_addresses"):
            raise ConfigError(
                f"The binding {declaration.name!r} has both destination_address and allowed_destination_addresses. "
                "Keep one of them."
            )
        return SendEmail(declaration.name, options, self._outbox, runtime.clock, runtime.rng)


def _addresses(group: Addresses) -> list[str]:
    return [format_address(address) for address in ([group] if isinstance(group, str | Mapping) else group)]


def _attach(mail: EmailMessage, attachment: Mapping[str, Any]) -> None:
    content = attachment.get("content", b"")
    main, _, sub = str(attachment.get("type") or "application/octet-stream").partition("/")
    content_id = attachment.get("contentId")
    mail.add_attachment(
        content.encode() if isinstance(content, str) else bytes(content),
        maintype=main,
        subtype=sub.partition(";")[0].strip() or "octet-stream",
        filename=attachment.get("filename"),
        disposition=attachment.get("disposition") or "attachment",
        cid=None if content_id is None else f"<{content_id}>",
    )
