"""Objects: what a bucket tells of one, and its bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from edgeagents_r2.store import Stored

__all__ = ["HTTP_FIELDS", "R2Checksums", "R2Object", "R2ObjectBody", "object_of"]

HTTP_FIELDS = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "cacheControl": "cache-control",
    "cacheExpiry": "expires",
}


class Reads(Protocol):
    """What has the bytes of an object."""

    def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of the bytes."""
        ...


class R2Checksums:
    """The hashes of an object that are known, as bytes."""

    js_name: ClassVar[str] = "Checksums"

    def __init__(self, checksums: dict[str, str]) -> None:
        self._checksums = checksums

    def to_json(self) -> dict[str, str]:
        """Return them in hexadecimal."""
        return dict(self._checksums)

    def _get(self, name: str) -> bytes | None:
        text = self._checksums.get(name)
        return None if text is None else bytes.fromhex(text)

    @property
    def md5(self) -> bytes | None:
        """The MD5, unless the object was uploaded in parts."""
        return self._get("md5")

    @property
    def sha1(self) -> bytes | None:
        """The SHA-1, if it was given."""
        return self._get("sha1")

    @property
    def sha256(self) -> bytes | None:
        """The SHA-256, if it was given."""
        return self._get("sha256")

    @property
    def sha384(self) -> bytes | None:
        """The SHA-384, if it was given."""
        return self._get("sha384")

    @property
    def sha512(self) -> bytes | None:
        """The SHA-512, if it was given."""
        return self._get("sha512")


@dataclass(frozen=True)
class R2Object:
    """What a bucket tells of an object. ``etag`` is the MD5 of its bytes in hexadecimal, ``http_etag`` that in quotes.

    ``range`` is the part that a ``get`` has given, as ``{"offset", "length"}``; of ``head`` it is the whole.
    """

    js_name: ClassVar[str] = "HeadResult"

    key: str
    version: str
    size: int
    etag: str
    http_etag: str
    checksums: R2Checksums
    uploaded: datetime
    http_metadata: dict[str, Any]
    custom_metadata: dict[str, str]
    storage_class: str
    range: dict[str, int] | None = None

    def write_http_metadata(self, headers: Any) -> None:
        """Set the fields of ``headers`` that the HTTP metadata tell."""
        for name, field in HTTP_FIELDS.items():
            value = self.http_metadata.get(name)
            if value is not None:
                text = value.strftime("%a, %d %b %Y %H:%M:%S GMT") if isinstance(value, datetime) else str(value)
                headers.set(field, text) if hasattr(headers, "set") else headers.__setitem__(field, text)


@dataclass(frozen=True)
class R2ObjectBody(R2Object):
    """An object with its bytes, which can be read once: whole in some form, or as a stream."""

    js_name: ClassVar[str] = "GetResult"

    _bytes: Reads | None = None
    _reading: Any = None

    @property
    def body(self) -> AsyncIterator[bytes]:
        """The bytes, as they are read."""
        return self._stream()

    @property
    def body_used(self) -> bool:
        """Whether the bytes were asked for."""
        return self._reading["is_used"]

    def _stream(self) -> AsyncIterator[bytes]:
        if self._reading["is_used"]:
            raise TypeError(
                "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."
            )
        self._reading["is_used"] = True
        assert self._bytes is not None
        offset, length = (0, self.size) if self.range is None else (self.range["offset"], self.range["length"])
        return self._bytes.read(offset, length)

    async def bytes(self) -> bytes:
        """Read the bytes."""
        return b"".join([piece async for piece in self._stream()])

    async def array_buffer(self) -> Any:
        """Read the bytes."""
        return await self.bytes()

    async def text(self) -> str:
        """Read the bytes as text."""
        return (await self.bytes()).decode("utf-8", "replace")

    async def json(self) -> Any:
        """Read the bytes as JSON."""
        return json.loads(await self.bytes())

    async def blob(self) -> Any:
        """Read the bytes."""
        return await self.bytes()


def object_of(
    stored: Stored,
    content: Reads | None = None,
    part: tuple[int, int] | None = None,
    *,
    includes: frozenset[str] = frozenset(("httpMetadata", "customMetadata")),
) -> R2Object:
    """Return what is told of ``stored``; with ``content`` its bytes too, or a part of them."""
    http = stored.http if "httpMetadata" in includes else {}
    expiry = http.get("cacheExpiry")
    if expiry is not None:
        http = {**http, "cacheExpiry": datetime.fromtimestamp(expiry, UTC)}
    values: dict[str, Any] = {
        "key": stored.key,
        "version": stored.version,
        "size": stored.size,
        "etag": stored.etag,
        "http_etag": f'"{stored.etag}"',
        "checksums": R2Checksums(stored.checksums),
        "uploaded": datetime.fromtimestamp(stored.uploaded, UTC),
        "http_metadata": http,
        "custom_metadata": stored.custom if "customMetadata" in includes else {},
        "storage_class": stored.storage_class,
        "range": None if part is None else {"offset": part[0], "length": part[1]},
    }
    if content is None:
        return R2Object(**values)
    return R2ObjectBody(**values, _bytes=content, _reading={"is_used": False})
