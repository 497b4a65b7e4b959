"""Requests about one bucket to an S3-compatible service."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2

from edgeagents.objects import writes_kept
from edgeagents_r2.errors import R2Error
from edgeagents_r2.s3_signing import EMPTY, Keys, quoted, signed

if TYPE_CHECKING:
    from edgeagents.objects import Clock

__all__ = ["S3Client", "document"]

_SECONDS: Final = 60.0
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_CODES: Final = {
    "EntityTooSmall": 10011,
    "NoSuchBucket": 10006,
    "NoSuchUpload": 10024,
    "InvalidPart": 10025,
    "InvalidRange": 10039,
    "AccessDenied": 10003,
    "SignatureDoesNotMatch": 10035,
    "InvalidAccessKeyId": 10029,
    "BadDigest": 10037,
}
_OTHER: Final = 10001


class S3Client:
    """Asks ``endpoint`` about ``bucket``, whose name comes first in the path."""

    def __init__(self, endpoint: str, bucket: str, keys: Keys, clock: Clock) -> None:
        address = urlsplit(endpoint)
        self._base = f"{address.scheme}://{address.netloc}"
        self._host, self._path = address.netloc, f"{address.path.rstrip('/')}/{quoted(bucket)}"
        self._keys, self._clock = keys, clock
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    async def ask(
        self,
        operation: str,
        method: str,
        key: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        expected: tuple[int, ...] = (),
    ) -> httpx2.Response:
        """Return a whole answer of success, or one with a status that is ``expected``. Raises ``R2Error``."""
        async with self.stream(
            operation, method, key, query=query, headers=headers, content=content, expected=expected
        ) as answer:
            await answer.aread()
            return answer

    @asynccontextmanager
    async def stream(
        self,
        operation: str,
        method: str,
        key: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        expected: tuple[int, ...] = (),
    ) -> AsyncGenerator[httpx2.Response]:
        """Have an answer as ``ask`` returns it, whose body is still to be read, for a ``with`` block."""
        await writes_kept()
        path = self._path if key is None else f"{self._path}/{quoted(key, keep='/')}"
        asked = query or {}
        digest = EMPTY if content is None else _UNSIGNED
        sent = signed(method, self._host, path, asked, headers or {}, digest, self._keys, self._clock.now())
        line = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in sorted(asked.items()))
        url = f"{self._base}{path}?{line}" if line else f"{self._base}{path}"
        try:
            async with self._client.stream(method, url, headers=sent, content=content) as answer:
                if not answer.is_success and answer.status_code not in expected:
                    await answer.aread()
                    raise _error(operation, answer)
                yield answer
        except httpx2.HTTPError as error:
            raise R2Error(operation, f"{self._base} cannot be reached: {error}", _OTHER) from error

    async def close(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @property
    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx2.AsyncClient(timeout=_SECONDS, trust_env=False)
        return self._clients[loop]


def document(answer: httpx2.Response) -> ElementTree.Element:
    """Return the XML of an answer, whose names have no namespace."""
    root = ElementTree.fromstring(answer.content)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _error(operation: str, answer: httpx2.Response) -> R2Error:
    name, text = "", f"The service answered {answer.status_code}."
    if answer.content:
        try:
            told = document(answer)
            name, text = told.findtext("Code") or "", told.findtext("Message") or text
        except ElementTree.ParseError:
            pass
    return R2Error(operation, f"{name}: {text}" if name and name not in _CODES else text, _CODES.get(name, _OTHER))
