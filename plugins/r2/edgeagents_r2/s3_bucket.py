"""A bucket that is kept by an S3-compatible service: the same methods as one that is kept here."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.header import Header, decode_header, make_header
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, ClassVar, Final
from xml.sax.saxutils import escape

from edgeagents_r2.conditions import holds
from edgeagents_r2.errors import R2Error
from edgeagents_r2.multipart import check_part_number
from edgeagents_r2.objects import HTTP_FIELDS, R2Object, object_of
from edgeagents_r2.ranges import part_of
from edgeagents_r2.s3_client import S3Client, document
from edgeagents_r2.store import Stored
from edgeagents_r2.writing import (
    Given,
    Hashed,
    check_key,
    given_of,
    in_thread,
    included,
    keys_to_delete,
    list_count,
    write,
)

__all__ = ["S3Bucket", "S3MultipartUpload"]

_META: Final = "x-amz-meta-"
_CHECKSUM: Final = "x-amz-meta-edgeagents-checksum"
_IN_MEMORY: Final = 8 * 1024 * 1024
_PIECE: Final = 256 * 1024
_AT_ONCE: Final = 16
_CLASSES: Final = {"Standard": "STANDARD", "InfrequentAccess": "STANDARD_IA"}


class S3Bucket:
    """One bucket, elsewhere."""

    js_name: ClassVar[str] = "R2Bucket"

    def __init__(self, client: S3Client) -> None:
        self._client = client

    async def head(self, key: str) -> R2Object | None:
        """Return what is told of an object, or None."""
        check_key(key, "head")
        stored = await self._stored(key, "head")
        return None if stored is None else object_of(stored, part=(0, stored.size))

    async def get(
        self,
        key: str,
        *,
        only_if: Mapping[str, Any] | None = None,
        range: Mapping[str, Any] | None = None,
        ssec_key: Any = None,
    ) -> R2Object | None:
        """Return an object with its bytes, or None when it is not there. They are fetched when they are read."""
        check_key(key, "get")
        given_of("get", None, None, None, ssec_key, {})
        stored = await self._stored(key, "get")
        if stored is None:
            return None
        if not holds(only_if, stored):
            return object_of(stored, part=(0, stored.size))
        part = part_of(range, stored.size) or (0, stored.size)
        return object_of(stored, _Reading(self._client, stored), part)

    async def put(
        self,
        key: str,
        value: Any,
        *,
        only_if: Mapping[str, Any] | None = None,
        http_metadata: Mapping[str, Any] | None = None,
        custom_metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        ssec_key: Any = None,
        md5: Any = None,
        sha1: Any = None,
        sha256: Any = None,
        sha384: Any = None,
        sha512: Any = None,
    ) -> R2Object | None:
        """Keep ``value`` under ``key`` and return what is told of it; None when ``only_if`` does not hold."""
        check_key(key, "put")
        hashes = {"md5": md5, "sha1": sha1, "sha256": sha256, "sha384": sha384, "sha512": sha512}
        given = given_of("put", http_metadata, custom_metadata, storage_class, ssec_key, hashes)
        headers = _headers(given)
        if only_if:
            before = await self._stored(key, "put")
            if not holds(only_if, before):
                return None
            # Nobody may have changed it meanwhile.
            headers |= {"if-none-match": "*"} if before is None else {"if-match": f'"{before.etag}"'}
        async with _Spool() as spool:
            hashed = await write("put", value, spool, given)
            headers |= spool.headers
            if given.algorithm not in (None, "md5"):
                headers[_CHECKSUM] = f"{given.algorithm}={hashed.checksums[given.algorithm or '']}"
            answer = await self._client.ask("put", "PUT", key, headers=headers, content=spool.read(), expected=(412,))
        if answer.status_code == 412:
            return None
        return object_of(_written(key, given, hashed, answer.headers))

    async def delete(self, keys: str | Sequence[str]) -> None:
        """Remove one object, or up to 1000. Those that are not there are no error."""
        names = keys_to_delete(keys)
        for name in names:
            check_key(name, "delete")
        await _together([self._client.ask("delete", "DELETE", name, expected=(404,)) for name in names])

    async def list(
        self,
        *,
        limit: int | None = None,
        prefix: str | None = None,
        cursor: str | None = None,
        delimiter: str | None = None,
        start_after: str | None = None,
        include: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Return ``{"objects", "truncated", "cursor"?, "delimitedPrefixes"}``.

        Objects have metadata only when ``include`` asks for them: each is asked for by itself then.
        """
        count = list_count(limit)
        asked = {
            "list-type": "2",
            "max-keys": str(count),
            "prefix": prefix,
            "delimiter": delimiter,
            "start-after": start_after,
            "continuation-token": cursor,
        }
        query = {name: value for name, value in asked.items() if value}
        told = document(await self._client.ask("list", "GET", query=query))
        found = [
            Stored(
                each.findtext("Key") or "",
                etag := (each.findtext("ETag") or "").strip('"'),
                int(each.findtext("Size") or 0),
                etag,
                datetime.fromisoformat(each.findtext("LastModified") or "1970-01-01").timestamp(),
                checksums=_md5(etag),
            )
            for each in told.findall("Contents")
        ]
        includes = included(include)
        if includes:
            whole = await _together([self._stored(stored.key, "list") for stored in found])
            found = [stored for stored in whole if stored is not None]
        listed: dict[str, Any] = {
            "objects": [object_of(stored, includes=includes) for stored in found],
            "truncated": told.findtext("IsTruncated") == "true",
            "delimitedPrefixes": [each.findtext("Prefix") or "" for each in told.findall("CommonPrefixes")],
        }
        token = told.findtext("NextContinuationToken")
        return {**listed, "cursor": token} if listed["truncated"] and token else listed

    async def create_multipart_upload(
        self,
        key: str,
        *,
        http_metadata: Mapping[str, Any] | None = None,
        custom_metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        ssec_key: Any = None,
    ) -> S3MultipartUpload:
        """Begin to upload an object in parts."""
        check_key(key, "createMultipartUpload")
        given = given_of("createMultipartUpload", http_metadata, custom_metadata, storage_class, ssec_key, {})
        answer = await self._client.ask(
            "createMultipartUpload", "POST", key, query={"uploads": ""}, headers=_headers(given)
        )
        return S3MultipartUpload(self, key, document(answer).findtext("UploadId") or "")

    def resume_multipart_upload(self, key: str, upload_id: str) -> S3MultipartUpload:
        """Go on with an upload. Whether there is one is told when it is used."""
        check_key(key, "resumeMultipartUpload")
        return S3MultipartUpload(self, key, upload_id)

    async def _stored(self, key: str, operation: str) -> Stored | None:
        answer = await self._client.ask(operation, "HEAD", key, expected=(404,))
        return None if answer.status_code == 404 else _of_headers(key, answer.headers)


class S3MultipartUpload:
    """One upload."""

    js_name: ClassVar[str] = "R2MultipartUpload"

    def __init__(self, bucket: S3Bucket, key: str, upload_id: str) -> None:
        self._bucket, self._client, self._key, self._id = bucket, bucket._client, key, upload_id

    @property
    def key(self) -> str:
        """The key of the object."""
        return self._key

    @property
    def upload_id(self) -> str:
        """What the upload is resumed by."""
        return self._id

    async def upload_part(self, part_number: int, value: Any, *, ssec_key: Any = None) -> dict[str, Any]:
        """Upload a part, from 1 to 10,000, in place of one with that number; return ``{"partNumber", "etag"}``."""
        check_part_number(part_number)
        query = {"partNumber": str(int(part_number)), "uploadId": self._id}
        async with _Spool() as spool:
            await write("uploadPart", value, spool)
            answer = await self._client.ask(
                "uploadPart", "PUT", self._key, query=query, headers=spool.headers, content=spool.read()
            )
        return {"partNumber": int(part_number), "etag": answer.headers["etag"].strip('"')}

    async def complete(self, uploaded_parts: Sequence[Mapping[str, Any]]) -> R2Object:
        """Make the object of ``uploaded_parts``, in the order of their numbers, and return what is told of it."""
        parts = "".join(
            f"<Part><PartNumber>{int(part['partNumber'])}</PartNumber><ETag>{escape(str(part['etag']))}</ETag></Part>"
            for part in sorted(uploaded_parts, key=lambda part: int(part["partNumber"]))
        )
        operation = "completeMultipartUpload"
        await self._client.ask(
            operation,
            "POST",
            self._key,
            query={"uploadId": self._id},
            content=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode(),
        )
        stored = await self._bucket._stored(self._key, operation)
        if stored is None:
            raise R2Error(operation, "The object is not there.", 10007)
        return object_of(stored)

    async def abort(self) -> None:
        """Give the upload up. Once more is no error."""
        query = {"uploadId": self._id}
        await self._client.ask("abortMultipartUpload", "DELETE", self._key, query=query, expected=(404,))


class _Reading:
    """The bytes of an object as it was when it was asked for."""

    def __init__(self, client: S3Client, stored: Stored) -> None:
        self._client, self._stored = client, stored

    async def read(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield a part of the bytes."""
        if not length:
            return
        headers = {"if-match": f'"{self._stored.etag}"'}
        if length != self._stored.size:
            headers["range"] = f"bytes={offset}-{offset + length - 1}"
        async with self._client.stream("get", "GET", self._stored.key, headers=headers) as answer:
            async for piece in answer.aiter_bytes():
                yield piece


class _Spool:
    """Bytes on their way to the service, which wants to know how many there are before they come."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        self._size = 0

    async def __aenter__(self) -> _Spool:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._file.close()

    @property
    def headers(self) -> dict[str, str]:
        """What is told of the bytes before they come."""
        return {"content-length": str(self._size)}

    async def write(self, piece: bytes) -> None:
        """Add to the bytes."""
        self._size += await in_thread(len(piece), self._file.write, piece)

    async def keep(self) -> None:
        """The bytes are whole."""
        self._file.seek(0)

    def drop(self) -> None:
        """Forget the bytes."""
        self._file.close()

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes."""
        while piece := await in_thread(self._size, self._file.read, _PIECE):
            yield piece


def _headers(given: Given) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in given.http.items():
        is_time = name == "cacheExpiry"
        headers[HTTP_FIELDS[name]] = (
            format_datetime(datetime.fromtimestamp(value, UTC), usegmt=True) if is_time else str(value)
        )
    for name, value in given.custom.items():
        headers[_META + name.lower()] = value if value.isascii() else Header(value, "utf-8", 10_000).encode()
    if given.storage_class != "Standard":
        headers["x-amz-storage-class"] = _CLASSES[given.storage_class]
    return headers


def _of_headers(key: str, headers: Mapping[str, str]) -> Stored:
    etag = headers["etag"].removeprefix("W/").strip('"')
    http: dict[str, Any] = {name: headers[field] for name, field in HTTP_FIELDS.items() if field in headers}
    if "cacheExpiry" in http:
        try:
            http["cacheExpiry"] = parsedate_to_datetime(http["cacheExpiry"]).timestamp()
        except ValueError:
            del http["cacheExpiry"]
    checksums = _md5(etag)
    if _CHECKSUM in headers:
        algorithm, _, digest = headers[_CHECKSUM].partition("=")
        checksums[algorithm] = digest
    custom = {
        name.removeprefix(_META): str(make_header(decode_header(value))) if value.startswith("=?") else value
        for name, value in headers.items()
        if name.startswith(_META) and name != _CHECKSUM
    }
    storage_class = "InfrequentAccess" if headers.get("x-amz-storage-class") == "STANDARD_IA" else "Standard"
    modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
    version = headers.get("x-amz-version-id") or etag
    return Stored(key, version, int(headers["content-length"]), etag, modified, http, custom, checksums, storage_class)


def _written(key: str, given: Given, hashed: Hashed, headers: Mapping[str, str]) -> Stored:
    etag = headers["etag"].strip('"') if "etag" in headers else hashed.md5
    now = parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else 0.0
    version = headers.get("x-amz-version-id") or etag
    return Stored(
        *(key, version, hashed.size, etag, now, given.http, given.custom, hashed.checksums, given.storage_class)
    )


def _md5(etag: str) -> dict[str, str]:
    return {} if "-" in etag else {"md5": etag}


async def _together(requests: Sequence[Any]) -> list[Any]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(request: Any) -> Any:
        async with room:
            return await request

    return await asyncio.gather(*map(one, requests))
