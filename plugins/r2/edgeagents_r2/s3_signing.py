"""Signatures of requests to an S3-compatible service (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

__all__ = ["EMPTY", "Keys", "quoted", "signed"]

EMPTY: Final = hashlib.sha256(b"").hexdigest()
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True)
class Keys:
    """Who asks. Shown without the secret."""

    id: str
    secret: str
    region: str = "auto"

    def __repr__(self) -> str:
        return f"<Keys {self.id}>"


def quoted(text: str, *, keep: str = "") -> str:
    """Return ``text`` as it stands in a URL that is signed."""
    return quote(text, safe=_UNRESERVED + keep, encoding="utf-8", errors="surrogatepass")


def signed(
    method: str,
    host: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    digest: str,
    keys: Keys,
    now: datetime,
) -> dict[str, str]:
    """Return ``headers`` with those that say who asks and when.

    ``path`` is quoted; ``digest`` is the SHA-256 of the body, or says that it is not signed.
    """
    time = now.strftime("%Y%m%dT%H%M%SZ")
    whole = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    whole |= {"host": host, "x-amz-content-sha256": digest, "x-amz-date": time}
    names = ";".join(sorted(whole))
    asked = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(query.items()))
    lines = "".join(f"{name}:{whole[name]}\n" for name in sorted(whole))
    canonical = "\n".join((method, path, asked, lines, names, digest))
    scope = f"{time[:8]}/{keys.region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", time, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.id}/{scope},SignedHeaders={names},Signature={signature}"
    return {**headers, "x-amz-content-sha256": digest, "x-amz-date": time, "authorization": authorization}
