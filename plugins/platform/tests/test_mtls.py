"""A server that wants a certificate is shown the one that the binding has."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from edgeagents_platform.mtls import CertificateError

from edgeagents import Request
from edgeagents.errors import ConfigError

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "mTLS certificates", "different: the certificate is a local PEM file"),
]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[str]:
    """The URL of a server that answers with the name on its client's certificate, and with what it was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        shown = writer.get_extra_info("peercert") or {}
        names = [name for _, name in shown.get("subjectAltName", ())]
        body = f"{names} {head.split(b' ')[0].decode()}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "localhost", 0, ssl=context) as running:
        yield f"https://localhost:{running.sockets[0].getsockname()[1]}/"


async def test_the_certificate_of_a_file_is_shown(start, server, authority, tmp_path):
    client = authority.issue_cert("client.example")
    client.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    by_path = await start("mtls_certificate", {"certificate_id": str(tmp_path / "client.pem")})
    answer = await by_path.env.IT.fetch(Request(server, method="PUT"))
    assert (answer.status, await answer.bytes()) == (200, b"['client.example'] PUT")
    folder = tmp_path / "state" / "mtls_certificates"
    folder.mkdir(parents=True)
    (tmp_path / "client.pem").rename(folder / "0f-1.pem")
    by_id = await start("mtls_certificate", {"certificate_id": "0f-1"}, storage=tmp_path / "state")
    assert await (await by_id.env.IT.fetch(server)).bytes() == b"['client.example'] GET"


async def test_without_a_file_nobody_is_shown(start, server):
    runtime = await start("mtls_certificate", {"certificate_id": "0f-1"})
    assert await (await runtime.env.IT.fetch(server)).bytes() == b"[] GET"


async def test_a_server_that_does_not_answer_is_named(start, authority):
    runtime = await start("mtls_certificate", {"certificate_id": "0f-1"})
    with pytest.raises(CertificateError, match=r"https://localhost:1/ could not be reached"):
        await runtime.env.IT.fetch("https://localhost:1/")


async def test_a_file_that_is_no_certificate_is_found_at_boot(start, tmp_path):
    (tmp_path / "client.pem").write_text("nothing")
    for name in ("client.pem", "nowhere.pem"):
        with pytest.raises(ConfigError, match=rf"The certificate of 'IT', .*{name}, cannot be used"):
            await start("mtls_certificate", {"certificate_id": str(tmp_path / name)})
