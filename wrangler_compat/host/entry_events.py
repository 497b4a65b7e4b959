"""Events that are no requests, as JavaScript's handlers get them: a time that is due, a batch of messages, an email."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from wrangler_compat.host.email_message import raw_bytes
from wrangler_compat.host.facade import js_error, to_js_value
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import to_milliseconds
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.streams import ReadableStream, stream_of

__all__ = ["ForwardableEmailMessage", "ScheduledController", "js_event"]


def js_event(event: str, value: Any) -> Any:
    """Return what the handler of ``event`` is given for the runtime's ``value``."""
    if event == "scheduled" and isinstance(getattr(value, "scheduled_time", None), datetime):
        return ScheduledController(value)
    if event == "email" and hasattr(value, "raw"):
        return ForwardableEmailMessage(value)
    return to_js_value(value)


class ScheduledController(JsProxy):
    """What ``scheduled`` is told: the expression that is due, and the time for which it was, in milliseconds."""

    def __init__(self, native: Any) -> None:
        self._native = native
        # By hand it is a moment between two milliseconds, and JavaScript's clock has whole ones.
        self.scheduledTime = math.floor(to_milliseconds(native.scheduled_time))
        self.cron, self.type = native.cron, "scheduled"

    def noRetry(self) -> None:
        """Do not run the event again if it fails."""
        self._native.no_retry()


class ForwardableEmailMessage(JsProxy):
    """An email that came in: its envelope, its bytes, and what may be done with it."""

    def __init__(self, native: Any) -> None:
        self._native = native
        # ``from`` is a keyword of Python's: programs write ``from_``, or getattr(message, "from").
        self.__dict__["from"] = native.from_
        self.to, self.rawSize = native.to, native.raw_size
        self.headers = Headers(JsArray(map(JsArray, native.all_headers)))
        self._raw: ReadableStream | None = None

    @property
    def raw(self) -> ReadableStream:
        """The whole message, to be read once."""
        if self._raw is None:
            self._raw = stream_of(_whole(self._native.raw))
        return self._raw

    def setReject(self, reason: Any) -> None:
        """Do not take the email. The sending server is told ``reason``."""
        self._native.set_reject(to_text(reason))

    async def forward(self, to: Any, headers: Any = None) -> Any:
        """Send the email on to ``to``, with further ``headers``."""
        more = None if is_nullish(headers) else dict(Headers(headers)._combined())
        return _receipt(await _settled(self._native.forward(to_text(to), more)))

    async def reply(self, message: Any) -> Any:
        """Answer with a whole message, an ``EmailMessage``."""
        data = await raw_bytes(message)
        if data is None:
            raise JsException("reply() takes an EmailMessage.")
        work = self._native.reply(data, from_=getattr(message, "from", None), to=getattr(message, "to", None))
        return _receipt(await _settled(work))


def _receipt(sent: Any) -> JsObject | None:
    return None if sent is None else JsObject({"messageId": sent["message_id"]})


async def _settled(work: Any) -> Any:
    try:
        return await work
    except Exception as error:
        raise js_error(error) from error


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
