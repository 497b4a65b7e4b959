"""Requests and responses: HTTP as values, without a server.

| to | look in |
|---|---|
| read a request: URL, headers, query, cookies, body | `request.py` |
| make a response: text, JSON, a stream, cookies | `response.py` |
| see what a condition or a range asks for | `conditions.py` |
| see what a header may hold | `header_fields.py` |
| see what else a handler may return | `answers.py` |
| read and write Server-Sent Events | `server_sent_events.py` |
| read uploads and forms | `forms.py` |
| see who a request comes from, and from whose page | `identity.py`, `origins.py` |
| learn that the client has gone | `abort.py` |

Headers, cookies, ranges and form parsing are werkzeug's. Scopes and servers are the business of
``edgeagents.asgi``.
"""

from __future__ import annotations

from werkzeug.datastructures import FileStorage, Headers, MultiDict

from edgeagents.http.abort import AbortController, AbortSignal
from edgeagents.http.answers import to_response
from edgeagents.http.body import Body, BodySource, ByteStream
from edgeagents.http.forms import FormData
from edgeagents.http.identity import ANONYMOUS, Identity
from edgeagents.http.request import HeadersInit, Request
from edgeagents.http.response import Response
from edgeagents.http.server_sent_events import EventStreamParser, ServerSentEvent, parse_event_stream

__all__ = [
    "ANONYMOUS",
    "AbortController",
    "AbortSignal",
    "Body",
    "BodySource",
    "ByteStream",
    "EventStreamParser",
    "FileStorage",
    "FormData",
    "Headers",
    "HeadersInit",
    "Identity",
    "MultiDict",
    "Request",
    "Response",
    "ServerSentEvent",
    "parse_event_stream",
    "to_response",
]
