"""``cloudflare:sockets``: TCP connections, plain and with TLS.

A socket is there at once, and connects meanwhile: what is written before waits, and whoever reads or awaits ``opened``
is told when there is nobody to talk to.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from wrangler_compat.host.context import outbound_here
from wrangler_compat.host.model.buffers import Uint8Array, bytes_of
from wrangler_compat.host.model.convert import to_text, truthy
from wrangler_compat.host.model.errors import JsException, JsTypeError
from wrangler_compat.host.model.promise import JsPromise
from wrangler_compat.host.model.proxy import JsObject, JsProxy, is_nullish, js_function, properties
from wrangler_compat.host.web.streams import ReadableStream
from wrangler_compat.host.web.writable import WritableStream

__all__ = ["Socket", "connect", "piped_streams", "ready"]

_CHUNK: Final = 65_536
_TRANSPORTS: Final = ("off", "on", "starttls")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(\d+)")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@js_function
def connect(address: Any, options: Any = None) -> Socket:
    """Return a socket to ``address``: ``"host:port"``, or ``{hostname, port}``.

    ``options`` are ``{secureTransport: "off" | "on" | "starttls", allowHalfOpen}``.
    """
    host, port = _parsed(address)
    given = properties(options)
    transport = "off" if is_nullish(given.get("secureTransport")) else to_text(given["secureTransport"])
    if transport not in _TRANSPORTS:
        raise JsTypeError(f"Unsupported value in secureTransport socket option: {transport}")
    if outbound_here() is not None:
        raise JsException("This worker is not permitted to access the network: its connections cannot be handed on.")
    context = ssl.create_default_context() if transport == "on" else None
    opening = _opened(host, port, context)
    return Socket(opening, f"{host}:{port}", transport, half_open=truthy(given.get("allowHalfOpen")))


def _parsed(address: Any) -> tuple[str, int]:
    if isinstance(address, JsProxy | dict):
        parts = properties(address)
        if is_nullish(parts.get("hostname")) or not re.fullmatch(r"\d+", to_text(parts.get("port"))):
            raise JsTypeError("An address has a hostname, and a port that is an integer.")
        address = f"{to_text(parts['hostname'])}:{to_text(parts['port'])}"
    text = to_text(address)
    if not text:
        raise JsTypeError("Specified address is missing hostname.")
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        missing = ":" not in text or "://" in text
        raise JsTypeError(f"Specified address {'is missing port' if missing else 'could not be parsed'}.")
    return found[1], int(found[2])


async def _opened(host: str, port: int, context: ssl.SSLContext | None) -> Streams:
    try:
        return await asyncio.open_connection(host.strip("[]"), port, ssl=context)
    except OSError as error:
        raise JsException("proxy request failed, cannot connect to the specified address") from error


class Socket(JsProxy):
    """``Socket``: ``readable``, ``writable``, and the promises ``opened`` and ``closed``."""

    def __init__(self, opening: Awaitable[Streams], address: str, transport: str, *, half_open: bool) -> None:
        loop = asyncio.get_running_loop()
        self._address, self.secureTransport, self._half_open = address, transport, half_open
        self.upgraded = False
        self._streams = asyncio.ensure_future(opening)
        self._is_closing = False
        self._ended: asyncio.Future[None] = loop.create_future()
        # Whether it was upgraded: its streams are another's then.
        self._is_given_away = False
        self.readable = ReadableStream({"pull": self._pull, "cancel": self._no_more})
        self.writable = WritableStream({"write": self._write, "close": self._finish, "abort": self._no_more})
        self.opened, self.closed = JsPromise.of(self._told()), JsPromise.of(self._end())

    async def _told(self) -> JsObject:
        await asyncio.shield(self._streams)
        return JsObject({"remoteAddress": self._address, "localAddress": None})

    async def _end(self) -> None:
        await asyncio.shield(self._streams)
        await self._ended

    def _set_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    async def _reader_and_writer(self) -> Streams:
        try:
            return await asyncio.shield(self._streams)
        except asyncio.CancelledError:
            raise JsException("Stream was cancelled.") from None

    async def _pull(self, controller: Any) -> None:
        reader, _ = await self._reader_and_writer()
        try:
            chunk = await reader.read(_CHUNK)
        except OSError:
            chunk = b""
        if chunk:
            controller.enqueue(Uint8Array(chunk))
        elif not self._is_closing:
            controller.close()
            if not self._half_open or self.writable._state != "writable":
                await self._shut()

    async def _write(self, chunk: Any) -> None:
        data = bytes_of(chunk)
        if data is None:
            raise JsTypeError(
                "This TransformStream is being used as a byte stream, but received "
                f"{'a string' if isinstance(chunk, str) else 'an object of non-ArrayBuffer/ArrayBufferView type'} "
                "on its writable side. If you wish to write a string, you'll probably want to explicitly "
                "UTF-8-encode it with TextEncoder."
            )
        _, writer = await self._reader_and_writer()
        writer.write(data)
        try:
            await writer.drain()
        except OSError as error:
            raise JsException("Network connection lost.") from error

    async def _finish(self) -> None:
        _, writer = await self._reader_and_writer()
        if self.readable._state != "readable":
            await self._shut()
        elif writer.can_write_eof():
            writer.write_eof()

    async def _no_more(self, reason: Any = None) -> None:
        if self.writable._state != "writable" or not self._half_open:
            await self._shut()

    async def close(self) -> None:
        """Close both directions, once what was written is sent."""
        if self._is_closing or self._is_given_away:
            return
        self._is_closing = True
        self.readable._fail(JsTypeError("This ReadableStream belongs to an object that is closing."))
        self.writable.error(JsTypeError("This WritableStream belongs to an object that is closing."))
        await self._shut()

    async def _shut(self) -> None:
        if self._is_given_away:
            return
        try:
            _, writer = await asyncio.shield(self._streams)
            writer.close()
            await writer.wait_closed()
        except (OSError, JsException):
            pass  # The other end has gone first, or was never there: ``opened`` tells.
        self._set_ended()

    def startTls(self, options: Any = None) -> Socket:
        """Return a socket that goes on with TLS over this connection. This one is done."""
        if self.secureTransport == "on":
            raise JsTypeError("Cannot startTls on a TLS socket.")
        if self.secureTransport != "starttls":
            raise JsTypeError("The `secureTransport` socket option must be set to 'starttls' for startTls to be used.")
        if self._is_given_away:
            raise JsTypeError("startTls can only be called once.")
        self._is_given_away = True
        name = properties(options).get("expectedServerHostname")
        host = self._address.rpartition(":")[0].strip("[]") if is_nullish(name) else to_text(name)
        upgrading = _upgraded(self._streams, host)
        made = Socket(upgrading, self._address, "on", half_open=self._half_open)
        self.readable._fail(JsTypeError("This ReadableStream is currently locked to a reader."))
        self.writable.error(JsTypeError("This WritableStream is currently locked to a writer."))
        self.upgraded = True
        self._set_ended()
        return made

    def __del__(self) -> None:
        if self._is_given_away or not self._streams.done() or self._streams.cancelled():
            return
        if self._streams.exception() is None and not (loop := self._streams.get_loop()).is_closed():
            loop.call_soon_threadsafe(self._streams.result()[1].close)

    def _keys(self) -> list[str]:
        return []


async def _upgraded(streams: Awaitable[Streams], host: str) -> Streams:
    reader, writer = await streams
    try:
        await writer.start_tls(ssl.create_default_context(), server_hostname=host)
    except OSError as error:
        writer.close()
        raise JsException(f"TLS handshake failed: {error}") from error
    return reader, writer


def piped_streams() -> tuple[Any, Any]:
    """Return what the two ends of a connection within the process read from and write to."""
    near, far = _Pipe(), _Pipe()
    return (near.reader, far), (far.reader, near)


async def ready(streams: Streams) -> Streams:
    """Return ``streams``, for a socket that need not wait for them."""
    return streams


class _Pipe:
    """One direction: what is written to it comes out of ``reader``. Stands for the writer of the other end."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.write: Callable[[bytes], None] = self.reader.feed_data
        self.write_eof = self.close = self.reader.feed_eof

    def can_write_eof(self) -> bool:
        return True

    async def drain(self) -> None:
        await asyncio.sleep(0)

    async def wait_closed(self) -> None:
        return None
