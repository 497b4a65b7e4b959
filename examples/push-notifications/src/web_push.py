"""Web Push: a message that only one browser can read (RFC 8291), from a server that says who it is (RFC 8292)."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timedelta
from typing import TypedDict
from urllib.parse import urlsplit

import http_ece
import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid, VapidException

KEPT_FOR = timedelta(weeks=4)
"""How long a push service keeps a message for a browser that is not there."""

SIGNED_FOR = timedelta(hours=12)
TIMEOUT_SECONDS = 30.0


class Keys(TypedDict):
    """What a browser reads its messages with: its public key, and a secret that it shares with us."""

    p256dh: str
    auth: str


class Subscription(TypedDict):
    """What a browser's ``PushSubscription.toJSON()`` is: where its messages go, and how they are encrypted."""

    endpoint: str
    expirationTime: float | None
    keys: Keys


class PushFailed(Exception):
    """A message did not get to a push service. ``status`` is what the service answered, if it did."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(reason)

    @property
    def is_gone(self) -> bool:
        """Whether the subscription has ended, and no message will get there any more."""
        return self.status in (404, 410)


class WebPush:
    """Sends messages as one server: ``subject``, a ``mailto:`` or ``https:`` URL, is who may be complained to."""

    def __init__(self, private_key: str, subject: str) -> None:
        if not subject.startswith(("mailto:", "https:")):
            raise ValueError(f"VAPID_SUBJECT is {subject!r}. Make it a mailto: or https: URL.")
        try:
            self._vapid, self._subject = Vapid.from_string(private_key), subject
        except (ValueError, VapidException) as error:
            raise ValueError("VAPID_PRIVATE_KEY is no private key. Make one: python generate_vapid_keys.py") from error

    async def send(self, http: httpx2.AsyncClient, subscription: Subscription, text: str, now: datetime) -> None:
        """Send a message. Raises ``PushFailed``."""
        endpoint = subscription["endpoint"]
        try:
            body = encrypted(text.encode(), subscription["keys"])
            authorization = self._authorization(endpoint, now)
        except (ValueError, VapidException) as error:
            raise PushFailed(f"The subscription is none: {error}") from error
        headers = {
            "authorization": authorization,
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": f"{KEPT_FOR.total_seconds():.0f}",
        }
        try:
            answer = await http.post(endpoint, content=body, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise PushFailed(str(error) or type(error).__name__) from error
        if not answer.is_success:
            raise PushFailed(f"The push service answered {answer.status_code}", answer.status_code)

    def _authorization(self, endpoint: str, now: datetime) -> str:
        where = urlsplit(endpoint)
        if where.scheme != "https":
            raise ValueError(f"{endpoint!r} is no https: URL")
        expires = int((now + SIGNED_FOR).timestamp())
        claims = {"aud": f"https://{where.netloc}", "exp": expires, "sub": self._subject}
        return self._vapid.sign(claims)["Authorization"]


def encrypted(data: bytes, keys: Keys) -> bytes:
    """Return what only the browser with these keys can read. Raises ValueError for keys that are none."""
    return http_ece.encrypt(
        data,
        private_key=ec.generate_private_key(ec.SECP256R1()),
        dh=_decoded(keys["p256dh"]),
        auth_secret=_decoded(keys["auth"]),
        version="aes128gcm",
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(f"{text}{'=' * (-len(text) % 4)}", altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text!r} is not base64url") from error
