"""TCP sockets of ``cloudflare:sockets``: what workerd 1.20260503 does with each was seen there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme

pytestmark = pytest.mark.cloudflare("Workers", "Python: TCP sockets of `cloudflare:sockets`, `startTls`", "same")


def connect(*args: Any, **options: Any) -> Any:
    from _pyodide_entrypoint_helper import cloudflareSocketsModule

    return cloudflareSocketsModule.connect(*args, **options)


class Server:
    """Echoes what comes, and says goodbye at its end. What begins with TLS goes on with it."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(100):
                if piece == b"starttls":
                    writer.write(b"go")
                    await writer.start_tls(self._tls)
                elif piece == b"end":
                    writer.write(b"bye")
                    break
                else:
                    writer.write(b"echo:" + piece)
            else:
                writer.write(b"eof")
        except OSError:
            pass
        writer.close()


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    made = Server(tls)
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


async def read(reader: Any) -> str:
    return (await reader.read()).value.to_string()


def encoded(text: str) -> Any:
    import js

    return js.TextEncoder.new().encode(text)


@pytest.mark.parametrize("shape", ["text", "object"])
async def test_a_socket_writes_and_reads(server: Server, shape: str) -> None:
    address = f"127.0.0.1:{server.port}" if shape == "text" else {"hostname": "127.0.0.1", "port": server.port}
    socket = connect(address)
    await socket.writable.getWriter().write(encoded("a"))
    assert await read(socket.readable.getReader()) == "echo:a"
    assert (await socket.opened).remoteAddress == f"127.0.0.1:{server.port}"
    assert (socket.constructor.name, socket.secureTransport, socket.upgraded) == ("Socket", "off", False)
    await socket.close()
    await socket.closed


async def test_the_end_of_one_direction_leaves_the_other(server: Server) -> None:
    socket = connect(f"127.0.0.1:{server.port}", allowHalfOpen=True)
    writer = socket.writable.getWriter()
    await writer.write(encoded("x"))
    await writer.close()
    assert b"".join([chunk.to_bytes() async for chunk in socket.readable]) == b"echo:xeof"
    await socket.closed


async def test_it_is_closed_when_the_other_end_is(server: Server) -> None:
    socket = connect(f"127.0.0.1:{server.port}")
    await socket.writable.getWriter().write(encoded("end"))
    assert b"".join([chunk.to_bytes() async for chunk in socket.readable]) == b"bye"
    await socket.closed


async def test_nothing_can_be_done_with_a_closed_one(server: Server) -> None:
    socket = connect(f"127.0.0.1:{server.port}")
    await socket.opened
    await socket.close()
    await socket.close()
    with pytest.raises(Exception, match="This ReadableStream belongs to an object that is closing"):
        await socket.readable.getReader().read()
    with pytest.raises(Exception, match="This WritableStream belongs to an object that is closing"):
        await socket.writable.getWriter().write(encoded("a"))


async def test_whoever_uses_one_that_cannot_connect_is_told(server: Server) -> None:
    socket = connect("127.0.0.1:1")
    for work in (
        lambda: socket.opened,
        lambda: socket.closed,
        lambda: socket.readable.getReader().read(),
        lambda: socket.writable.getWriter().write(encoded("a")),
    ):
        with pytest.raises(Exception, match=r"^Error: proxy request failed, cannot connect to the specified address$"):
            await work()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1", "Specified address is missing port."),
        ("http://127.0.0.1:80", "Specified address is missing port."),
        ("", "Specified address is missing hostname."),
        ("127.0.0.1:99999", "Specified address could not be parsed."),
        (":80", "Specified address could not be parsed."),
        ("a b:80", "Specified address could not be parsed."),
        ({"hostname": "x"}, "An address has a hostname, and a port that is an integer."),
    ],
)
async def test_addresses_that_are_none_are_refused(address: Any, text: str) -> None:
    with pytest.raises(Exception, match=f"^TypeError: {text}$"):
        connect(address)


async def test_only_bytes_are_written(server: Server) -> None:
    socket = connect(f"127.0.0.1:{server.port}")
    with pytest.raises(Exception, match="received a string on its writable side"):
        await socket.writable.getWriter().write("text")
    await socket.close()


async def test_a_connection_goes_on_with_tls(server: Server) -> None:
    plain = connect(f"localhost:{server.port}", secureTransport="starttls")
    writer, reader = plain.writable.getWriter(), plain.readable.getReader()
    await writer.write(encoded("starttls"))
    assert await read(reader) == "go"
    writer.releaseLock()
    reader.releaseLock()
    secure = plain.startTls()
    await secure.writable.getWriter().write(encoded("secret"))
    assert await read(secure.readable.getReader()) == "echo:secret"
    assert (plain.secureTransport, plain.upgraded, secure.secureTransport) == ("starttls", True, "on")
    with pytest.raises(Exception, match="startTls can only be called once"):
        plain.startTls()
    with pytest.raises(Exception, match="Cannot startTls on a TLS socket"):
        secure.startTls()
    await plain.closed
    await secure.close()


async def test_a_name_that_the_certificate_does_not_have_is_refused(server: Server) -> None:
    plain = connect(f"localhost:{server.port}", secureTransport="starttls")
    writer = plain.writable.getWriter()
    await writer.write(encoded("starttls"))
    await read(plain.readable.getReader())
    secure = plain.startTls(expectedServerHostname="example.com")
    with pytest.raises(Exception, match="TLS handshake failed"):
        await secure.opened


async def test_tls_has_to_be_asked_for(server: Server) -> None:
    socket = connect(f"127.0.0.1:{server.port}")
    with pytest.raises(Exception, match="option must be set to 'starttls'"):
        socket.startTls()
    with pytest.raises(Exception, match="Unsupported value in secureTransport socket option: maybe"):
        connect("127.0.0.1:1", secureTransport="maybe")
    await socket.close()
