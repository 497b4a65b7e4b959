"""The example, served by the real emulator, and the two ends that it speaks to: a push service and a browser."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.examples import serving_example
from tests.servers import Server

SECONDS = 30.0
SUBJECT = "mailto:admin@example.org"


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True)
class Pushed:
    """A message as it came to the push service."""

    path: str
    headers: dict[str, str]
    body: bytes


class PushService:
    """What a browser's vendor runs, over TLS. ``answers`` are the statuses of the paths that do not get 201."""

    def __init__(self) -> None:
        self.answers: dict[str, int] = {}
        self.messages: asyncio.Queue[Pushed] = asyncio.Queue()
        self.app = Starlette(routes=[Route("/push/{id}", self.push, methods=["POST"])])
        self.url = ""

    async def push(self, request: Request) -> Response:
        self.messages.put_nowait(Pushed(request.url.path, dict(request.headers), await request.body()))
        return Response(status_code=self.answers.get(request.url.path, 201))

    async def next(self) -> Pushed:
        return await asyncio.wait_for(self.messages.get(), SECONDS)


class Browser:
    """A browser that subscribed: it alone can read what is pushed to it (RFC 8291)."""

    def __init__(self, service: PushService, id: str) -> None:
        self._key, self._secret = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16)
        self.origin, self.path = service.url, f"/push/{id}"

    @property
    def subscription(self) -> dict[str, Any]:
        keys = {"p256dh": base64url(point(self._key)), "auth": base64url(self._secret)}
        return {"endpoint": f"{self.origin}{self.path}", "expirationTime": None, "keys": keys}

    def read(self, pushed: Pushed) -> Any:
        assert pushed.path == self.path
        assert pushed.headers["content-encoding"] == "aes128gcm"
        salt, size, length = pushed.body[:16], int.from_bytes(pushed.body[16:20], "big"), pushed.body[20]
        sender, record = pushed.body[21 : 21 + length], pushed.body[21 + length :]
        assert len(record) <= size
        shared = self._key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
        secret = derived(self._secret, shared, b"WebPush: info\0" + point(self._key) + sender, 32)
        key = derived(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derived(salt, secret, b"Content-Encoding: nonce\0", 12)
        text, delimiter, padding = AESGCM(key).decrypt(nonce, record, None).rpartition(b"\2")
        assert (delimiter, padding.strip(b"\0")) == (b"\2", b"")
        return json.loads(text)


def derived(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


class Sender:
    """The server's keys, as the push service knows it by them (RFC 8292)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public_key = base64url(point(self._key))

    @property
    def secrets(self) -> dict[str, str]:
        private = self._key.private_numbers().private_value.to_bytes(32, "big")
        return {
            "VAPID_PUBLIC_KEY": self.public_key,
            "VAPID_PRIVATE_KEY": base64url(private),
            "VAPID_SUBJECT": SUBJECT,
        }

    def check(self, pushed: Pushed, audience: str) -> dict[str, Any]:
        """Return the claims that came with a message. Raises for one that this server did not sign."""
        scheme, _, parameters = pushed.headers["authorization"].partition(" ")
        assert scheme == "vapid"
        given = dict(each.strip().split("=", 1) for each in parameters.split(","))
        assert given["k"] == self.public_key
        return jwt.decode(given["t"], self._key.public_key(), algorithms=["ES256"], audience=audience)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def service(authority: trustme.CA) -> AsyncIterator[PushService]:
    service = PushService()
    with (
        socket.socket() as listener,
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.tempfile() as pem,
    ):
        listener.bind(("127.0.0.1", 0))
        service.url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(service.app, ssl_certfile=pem, log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        yield service
        server.should_exit = True
        await task


@pytest.fixture(scope="module")
def sender() -> Sender:
    return Sender()


@contextmanager
def serving(folder: Path, authority: trustme.CA, secrets: Mapping[str, str]) -> Iterator[Server]:
    """Serve the example, which trusts the push service's certificate."""
    certificate = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    env = {"SSL_CERT_FILE": str(certificate)}
    with serving_example("push-notifications", folder, secrets=secrets, env=env, plugins=["assets"]) as server:
        yield server


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, sender: Sender) -> Iterator[Server]:
    """One for all tests: each has an agent of its own."""
    with serving(tmp_path_factory.mktemp("push"), authority, sender.secrets) as server:
        yield server


@pytest.fixture
def keyless_emulator(tmp_path: Path, authority: trustme.CA) -> Iterator[Server]:
    with serving(tmp_path, authority, {}) as server:
        yield server
