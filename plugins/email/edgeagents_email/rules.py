"""Rules: which messages Cloudflare sends, and which of those that came in may be answered.

The words with which a message is refused begin as Cloudflare's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parseaddr

from edgeagents.errors import EdgeAgentsError
from edgeagents_email.headers import header_lines, read_headers

__all__ = ["EmailRefused", "check_message", "checked_reply"]

_MOST_REFERENCES = 100


class EmailRefused(EdgeAgentsError):
    """An email is not sent: the binding does not allow it, or it is not as Cloudflare wants it."""


def check_message(from_: str, raw: bytes) -> Mapping[str, str]:
    """Return the headers of a whole message that ``from_`` sends. Raises ``EmailRefused``."""
    headers = read_headers(raw)
    if not raw.strip():
        raise EmailRefused("could not parse email: it is empty")
    if not headers.get("message-id"):
        raise EmailRefused("invalid message-id: the message needs a header Message-ID")
    author = parseaddr(headers.get("from", ""))[1]
    if author != from_:
        raise EmailRefused(f"From: header does not match mail from: the one says {author!r}, the other {from_!r}")
    if "received" in headers:
        raise EmailRefused("invalid headers set: Received is not for a sender to set")
    return headers


def checked_reply(original: Mapping[str, str], from_: str, raw: bytes) -> bytes:
    """Return the message ``raw`` from ``from_`` as it answers an email with the headers ``original``.

    It gets a header References when it has none. Raises ``EmailRefused`` for an email that is not to be answered, and
    for a message that is no answer to it.
    """
    _check_answerable(original)
    headers = check_message(from_, raw)
    message_id, references = original.get("message-id"), original.get("references", "")
    if message_id is None:
        return raw
    answered = headers.get("in-reply-to")
    if answered is None:
        raise EmailRefused("no In-Reply-To header found in reply message: it is the Message-ID of the email")
    if answered != message_id:
        raise EmailRefused(
            f"In-Reply-To does not match original Message-ID: the one is {answered!r}, the other {message_id!r}"
        )
    given = headers.get("references")
    if given is None:
        return header_lines({"References": f"{references} {message_id}".strip()}) + raw
    if message_id not in given or references not in given:
        raise EmailRefused("provided References header is invalid: it has the email's References and its Message-ID")
    return raw


def _check_answerable(original: Mapping[str, str]) -> None:
    def said(name: str, harmless: str) -> bool:
        return original.get(name, harmless).strip().lower() != harmless

    reason = None
    if said("x-auto-response-suppress", "none") or said("auto-submitted", "no"):
        reason = "a machine has written it, or wants no answers"
    elif ("in-reply-to" in original) != ("references" in original):
        reason = "it has one of In-Reply-To and References, and not both"
    elif original.get("references", "").count("@") >= _MOST_REFERENCES:
        reason = f"it has {_MOST_REFERENCES} References or more"
    if reason is not None:
        raise EmailRefused(f"Original email is not replyable: {reason}")
