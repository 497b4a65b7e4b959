"""A stand-in for the internet, on loopback: https://example.com, and a stream of posts over wss.

A process started with ``Internet.environment`` finds them under their own names: its ``sitecustomize`` sends them
to loopback, and it trusts the certificate that was made for them.
"""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.sync.server import ServerConnection, serve

__all__ = ["Internet", "internet"]

PAGE = "<html><head><title>Example Domain</title><meta property='og:title' content='old'></head><body></body></html>"
WEB, STREAM = "example.com", "jetstream2.us-east.bsky.network"
POST = '{"time_us": 7, "kind": "commit", "commit": {"collection": "app.bsky.feed.post", "record": {"text": "a post"}}}'

_SITECUSTOMIZE = """
import socket

# An address for each host, since who looks one up does not always take the port that came with it.
_ADDRESSES = {{host: f"127.9.9.{{number}}" for number, host in enumerate({ports!r}, 1)}}
_PORTS = {{_ADDRESSES[host]: port for host, port in {ports!r}.items()}}
_find, _connect = socket.getaddrinfo, socket.socket.connect


def getaddrinfo(host, *args, **options):
    name = host.decode() if isinstance(host, bytes) else host
    return _find(_ADDRESSES.get(name, host), *args, **options)


def connect(self, address):
    if isinstance(address, tuple) and address[0] in _PORTS:
        address = ("127.0.0.1", _PORTS[address[0]])
    return _connect(self, address)


socket.getaddrinfo = getaddrinfo
socket.socket.connect = connect
"""


class Internet:
    """What a process needs to reach the stand-in."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        self.folder = folder
        self.environment = {name: str(certificate) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
        self.streams: list[str] = []
        """What was asked for of the stream, in the order of the connections."""
        self.lets_in = threading.Event()
        """Until it is set, who asks for the stream waits."""
        self._open: set[ServerConnection] = set()

    def end_streams(self) -> None:
        """Close the connections to the stream that are open."""
        for connection in list(self._open):
            connection.close(1000, "enough")

    def wait_to_be_let_in(self, connection: ServerConnection, request: Request) -> None:
        self.lets_in.wait(60)

    def posts(self, connection: ServerConnection) -> None:
        """Serve a connection to the stream."""
        assert connection.request is not None
        self.streams.append(connection.request.path)
        self._open.add(connection)
        try:
            connection.send(POST)
            for _ in connection:  # Until it closes.
                connection.send(POST)
        except ConnectionClosed:
            return  # Its process has ended.
        finally:
            self._open.discard(connection)


@contextmanager
def internet(folder: Path) -> Iterator[Internet]:
    """Run the stand-in. ``folder`` keeps what a process must have on its path."""
    certificate = _certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    web = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    found = Internet(folder, certificate)
    stream = serve(found.posts, "127.0.0.1", 0, ssl=tls, process_request=found.wait_to_be_let_in)
    threads = [threading.Thread(target=server.serve_forever) for server in (web, stream)]
    for thread in threads:
        thread.start()
    ports = {WEB: web.server_address[1], STREAM: stream.socket.getsockname()[1]}
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(ports=ports))
    try:
        yield found
    finally:
        for server in (web, stream):
            server.shutdown()
        for thread in threads:
            thread.join()
        web.server_close()


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent."""


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(WEB), x509.DNSName(STREAM)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "stand-in.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
