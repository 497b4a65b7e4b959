"""A request made from a scope. Everything is worked out when it is asked for: most requests ask for little."""

from __future__ import annotations

from functools import cache
from itertools import chain

from edgeagents.asgi.addresses import full_url, route_path
from edgeagents.asgi.channel import ChannelBody, RequestChannel
from edgeagents.asgi.types import Scope
from edgeagents.errors import HeadTooLarge
from edgeagents.http import AbortSignal, Body, Headers, Request
from edgeagents.objects import Limits

__all__ = ["ServerRequest"]

# More are beyond every limit, and int() refuses thousands of them.
_LENGTH_DIGITS = 20


class ServerRequest(Request):
    """The request of an ASGI scope. Its body and its signal come from ``channel``.

    A head that is larger than ``limits`` allow raises ``HeadTooLarge`` where it is looked at: not every server has
    limits of its own, and what nobody reads needs none.
    """

    __slots__ = ("_channel", "_limits", "_scope")

    def __init__(self, scope: Scope, channel: RequestChannel, limits: Limits) -> None:
        self._url = self._path = self._headers = self._query = None
        self._head = self._body = self._signal = self._origin_of_signal = None
        self._scope = scope
        self._channel = channel
        self.scope = scope
        self.identity = None
        self.method = scope.get("method") or "GET"
        client = scope.get("client")
        self.client = (client[0], client[1]) if client else None
        self.root_path = scope.get("root_path") or ""
        self._limits = limits
        self.buffer_limit, self.json_depth = limits.buffered_body_bytes, limits.json_depth

    def _make_url(self) -> str:
        sent = len(self._scope.get("raw_path") or self._scope.get("path") or b"")
        if sent + len(self._scope.get("query_string") or b"") > self._limits.url_bytes:
            raise HeadTooLarge("url_bytes", self._limits.url_bytes)
        return full_url(self._scope)

    @property
    def path(self) -> str:
        """The path that routing looks at: still percent-encoded, without the ``root_path`` it is mounted under."""
        if self._path is None:
            self._path = route_path(self._scope)
        return self._path

    def _make_headers(self) -> Headers:
        sent = self._scope.get("headers") or ()
        limits = self._limits
        if len(sent) > limits.headers:
            raise HeadTooLarge("headers", limits.headers)
        if sum(map(len, chain.from_iterable(sent))) > limits.header_bytes:
            raise HeadTooLarge("header_bytes", limits.header_bytes)
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
        if self._scope["type"] == "websocket" and not any(name == "upgrade" for name, _ in fields):
            # HTTP/2 asks for a WebSocket in another way; handlers look for this one.
            fields.append(("upgrade", "websocket"))
        try:
            return Headers(fields)
        except ValueError:
            # A line break within a field: no real server lets it through.
            return Headers([(name, " ".join(value.splitlines())) for name, value in fields])

    def has_headers_like(self, prefixes: tuple[str, ...]) -> bool:
        """The same, without making the headers: it is asked for every request, most of which need none."""
        wanted = _encoded(prefixes)
        return any(name.lower().startswith(wanted) for name, _ in self._scope.get("headers") or ())

    def headers_named(self, names: tuple[str, ...]) -> dict[str, str]:
        """The same, without making the headers: it is asked for every request that changes something."""
        wanted = _encoded(names)
        return {
            lower.decode("latin-1"): value.decode("latin-1")
            for name, value in self._scope.get("headers") or ()
            if (lower := name.lower()) in wanted
        }

    @property
    def content_length(self) -> int | None:
        """How many bytes the client says that the body has, if it does."""
        length = None
        for name, value in self._scope.get("headers") or ():
            if name == b"content-length":
                length = int(value[:_LENGTH_DIGITS]) if value.isdigit() else None
            elif name == b"transfer-encoding":
                return None
        return length

    @property
    def is_websocket_upgrade(self) -> bool:
        """Whether this asks for a WebSocket: only then may the answer be one."""
        return self._scope["type"] == "websocket"

    @property
    def subprotocols(self) -> list[str]:
        """The WebSocket subprotocols that the client offers, the ones it likes best first."""
        offered = self._scope.get("subprotocols")
        return super().subprotocols if offered is None else list(offered)

    def _make_body(self) -> Body:
        return ChannelBody(self._channel)

    def _make_signal(self) -> AbortSignal:
        return self._channel.signal


@cache
def _encoded(prefixes: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(prefix.encode("ascii") for prefix in prefixes)
