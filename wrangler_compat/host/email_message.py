"""``cloudflare:email``: a whole message with its envelope, to be sent or given as an answer."""

from __future__ import annotations

from typing import Any

from wrangler_compat.host.facade import from_js
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, is_nullish
from wrangler_compat.host.web.streams import ReadableStream, bytes_from

__all__ = ["EmailMessage", "raw_bytes"]


class EmailMessage(JsProxy):
    """``EmailMessage.new(from, to, raw)``: ``raw`` is a message in MIME, as text, bytes or a stream."""

    def __init__(self, sender: Any, to: Any, raw: Any) -> None:
        for name, value in (("from", sender), ("to", to), ("raw", raw)):
            if is_nullish(value):
                raise JsTypeError(f"Failed to construct 'EmailMessage': {name} is required.")
        # ``from`` is a keyword of Python's: programs write getattr(message, "from").
        self.__dict__["from"] = to_text(sender)
        self.to, self.raw = to_text(to), raw


async def raw_bytes(message: Any) -> bytes | None:
    """Return the whole message of an ``EmailMessage``; None for what has none."""
    raw = getattr(message, "raw", None)
    if isinstance(raw, ReadableStream):
        return b"".join([chunk async for chunk in bytes_from(raw)])
    given = from_js(raw)
    data = given.encode() if isinstance(given, str) else given
    return data if isinstance(data, bytes) else None
