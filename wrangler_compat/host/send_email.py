"""``SendEmail``: the binding by which a worker sends mail, in JavaScript's terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrangler_compat.host.email_message import raw_bytes
from wrangler_compat.host.facade import from_js, js_error, snake_case
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject, JsProxy, properties

__all__ = ["SendEmail"]

_FIELDS = frozenset({"from", "to", "subject", "text", "html", "replyTo", "cc", "bcc", "headers", "attachments"})


class SendEmail(JsProxy):
    """Sends mail, within what the configuration allows."""

    def __init__(self, native: Any) -> None:
        self._native = native

    async def send(self, message: Any = None) -> JsObject:
        """Send an ``EmailMessage``, or what ``{from, to, subject, text, html, ...}`` describes."""
        raw = await raw_bytes(message)
        if raw is not None:
            given: dict[str, Any] = {"message": raw, "from_": getattr(message, "from"), "to": message.to}
        else:
            told = {name: from_js(value) for name, value in properties(message).items() if name in _FIELDS}
            if "from" not in told:
                raise JsTypeError("send() takes an EmailMessage, or an object with from, to, subject and text or html.")
            given = {"from_": told.pop("from"), **{snake_case(name): value for name, value in told.items()}}
        for name in ("to", "cc", "bcc", "attachments"):
            if isinstance(given.get(name), Sequence) and not isinstance(given[name], str):
                given[name] = list(given[name])
        try:
            sent = await self._native.send(**{name: value for name, value in given.items() if value is not None})
        except Exception as error:
            raise js_error(error) from error
        return JsObject({"messageId": sent["message_id"]})
