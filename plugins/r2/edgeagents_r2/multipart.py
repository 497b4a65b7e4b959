"""Multipart uploads: an object that comes in parts, which may come again and in any order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgeagents.objects import writes_kept
from edgeagents_r2.errors import R2Error
from edgeagents_r2.objects import R2Object, object_of
from edgeagents_r2.store import BucketStore, Stored
from edgeagents_r2.writing import Given, write

if TYPE_CHECKING:
    import random

    from edgeagents.objects import Clock

__all__ = ["R2MultipartUpload", "begin_upload", "check_part_number"]

PARTS: Final = 10_000
SMALLEST_PART: Final = 5 * 1024 * 1024


async def begin_upload(
    store: BucketStore, clock: Clock, rng: random.Random, key: str, given: Given
) -> R2MultipartUpload:
    """Begin an upload."""
    upload_id = rng.randbytes(64).hex()
    options = {name: value for name, value in asdict(given).items() if name != "digest"}
    store.database.execute(
        "INSERT INTO uploads VALUES (?, ?, ?, 'open')", (upload_id, key.encode(), json.dumps(options))
    )
    await store.kept()
    return R2MultipartUpload(store, clock, rng, key, upload_id)


def check_part_number(number: int) -> None:
    """Raise ``TypeError`` for a number that no part can have."""
    if not 1 <= int(number) <= PARTS:
        raise TypeError(f"Part number must be between 1 and {PARTS} (inclusive). Actual value was: {number}")


class R2MultipartUpload:
    """One upload. It stays until it is completed or aborted, also when the process ends."""

    js_name: ClassVar[str] = "R2MultipartUpload"

    def __init__(self, store: BucketStore, clock: Clock, rng: random.Random, key: str, upload_id: str) -> None:
        self._store, self._clock, self._rng, self._key, self._id = store, clock, rng, key, upload_id

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
        self._options("uploadPart")
        version = self._rng.randbytes(16).hex()
        hashed = await write("uploadPart", value, self._store.new_content(version))
        before = self._part(part_number)
        self._store.database.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)",
            (self._id, int(part_number), version, hashed.size, hashed.md5),
        )
        await self._store.kept()
        if before is not None:
            self._store.forget(before[0])
        return {"partNumber": int(part_number), "etag": hashed.md5}

    async def complete(self, uploaded_parts: Sequence[Mapping[str, Any]]) -> R2Object:
        """Make the object of ``uploaded_parts``, in the order of their numbers, and return what is told of it.

        All but the last have at least 5 MiB and are of one size, which the last does not exceed.
        """
        options = self._options("completeMultipartUpload")
        given = [self._checked(part) for part in uploaded_parts]
        # R2 looks for small parts before it puts them in order.
        if any(part[2] < SMALLEST_PART for part in given[:-1]):
            text = "Your proposed upload is smaller than the minimum allowed object size."
            raise R2Error("completeMultipartUpload", text, 10011)
        parts = sorted(given, key=lambda part: part[0])
        sizes = [size for _, _, size, _ in parts]
        if any(size < SMALLEST_PART or size != sizes[0] for size in sizes[:-1]) or (sizes and sizes[-1] > sizes[0]):
            raise R2Error("completeMultipartUpload", "There was a problem with the multipart upload.", 10048)
        version = self._rng.randbytes(16).hex()
        hashed = await write("completeMultipartUpload", self._joined(parts), self._store.new_content(version))
        digests = b"".join(bytes.fromhex(etag) for *_, etag in parts)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
        stored = Stored(
            *(self._key, version, hashed.size, etag, self._clock.now().timestamp()),
            *(options["http"], options["custom"], {}, options["storage_class"]),
        )
        await writes_kept()
        await self._store.set(stored)
        await self._end()
        return object_of(stored)

    async def abort(self) -> None:
        """Give the upload up. Once more is no error."""
        await self._end()

    async def _joined(self, parts: list[tuple[int, str, int, str]]) -> AsyncIterator[bytes]:
        for _, version, size, _ in parts:
            async for piece in self._store.bytes_of(version).read(0, size):
                yield piece

    def _options(self, operation: str) -> dict[str, Any]:
        row = self._store.database.execute(
            "SELECT options FROM uploads WHERE id = ? AND key = ? AND state = 'open'", (self._id, self._key.encode())
        ).fetchone()
        if row is None:
            raise R2Error(operation, "The specified multipart upload does not exist.", 10024)
        return json.loads(row[0])

    def _part(self, number: int) -> tuple[str, int, str] | None:
        return self._store.database.execute(
            "SELECT version, size, etag FROM parts WHERE upload = ? AND number = ?", (self._id, int(number))
        ).fetchone()

    def _checked(self, given: Mapping[str, Any]) -> tuple[int, str, int, str]:
        part = self._part(given["partNumber"])
        if part is None or part[2] != given["etag"]:
            text = "One or more of the specified parts could not be found."
            raise R2Error("completeMultipartUpload", text, 10025)
        return int(given["partNumber"]), *part

    async def _end(self) -> None:
        database = self._store.database
        database.execute("UPDATE uploads SET state = 'closed' WHERE id = ?", (self._id,))
        versions = [row[0] for row in database.execute("SELECT version FROM parts WHERE upload = ?", (self._id,))]
        database.execute("DELETE FROM parts WHERE upload = ?", (self._id,))
        await self._store.kept()
        for version in versions:
            self._store.forget(version)
