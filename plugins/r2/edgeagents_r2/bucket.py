"""A bucket: what is found in ``env``."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from edgeagents.objects import writes_kept
from edgeagents_r2.conditions import holds
from edgeagents_r2.multipart import R2MultipartUpload, begin_upload
from edgeagents_r2.objects import R2Object, object_of
from edgeagents_r2.ranges import part_of
from edgeagents_r2.store import BucketStore, Stored
from edgeagents_r2.writing import check_key, given_of, included, keys_to_delete, list_count, write

if TYPE_CHECKING:
    import random

    from edgeagents.objects import Clock

__all__ = ["R2Bucket"]

Value = str | bytes | AsyncIterator[bytes] | None


class R2Bucket:
    """One bucket."""

    js_name: ClassVar[str] = "R2Bucket"

    def __init__(self, store: BucketStore, clock: Clock, rng: random.Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng

    async def head(self, key: str) -> R2Object | None:
        """Return what is told of an object, or None."""
        check_key(key, "head")
        stored = self._store.get(key)
        return None if stored is None else object_of(stored, part=(0, stored.size))

    async def get(
        self,
        key: str,
        *,
        only_if: Mapping[str, Any] | None = None,
        range: Mapping[str, Any] | None = None,
        ssec_key: Any = None,
    ) -> R2Object | None:
        """Return an object with its bytes, or None when it is not there.

        When the condition ``only_if`` does not hold the object comes without bytes. With ``range`` it has a part of
        them.
        """
        check_key(key, "get")
        given_of("get", None, None, None, ssec_key, {})
        missing: str | None = None
        while (stored := self._store.get(key)) is not None:
            if not holds(only_if, stored):
                return object_of(stored, part=(0, stored.size))
            part = part_of(range, stored.size) or (0, stored.size)
            try:
                return object_of(stored, self._store.bytes_of(stored.version), part)
            except FileNotFoundError:
                # Another process has just put something else in its place.
                if stored.version == missing:
                    raise
                missing = stored.version
        return None

    async def put(
        self,
        key: str,
        value: Value,
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
        """Keep ``value`` under ``key`` and return what is told of it; None when ``only_if`` does not hold.

        One hash may be given (bytes or hexadecimal): the bytes are refused when theirs is another.
        """
        check_key(key, "put")
        hashes = {"md5": md5, "sha1": sha1, "sha256": sha256, "sha384": sha384, "sha512": sha512}
        given = given_of("put", http_metadata, custom_metadata, storage_class, ssec_key, hashes)
        if not holds(only_if, self._store.get(key)):
            return None
        version = self._rng.randbytes(16).hex()
        hashed = await write("put", value, self._store.new_content(version), given)
        stored = Stored(
            *(key, version, hashed.size, hashed.md5, self._clock.now().timestamp()),
            *(given.http, given.custom, hashed.checksums, given.storage_class),
        )
        await writes_kept()
        if not await self._store.set(stored, lambda before: holds(only_if, before)):
            self._store.forget(version)  # It was changed while the bytes came.
            return None
        return object_of(stored)

    async def delete(self, keys: str | Sequence[str]) -> None:
        """Remove one object, or up to 1000. Those that are not there are no error."""
        names = keys_to_delete(keys)
        for name in names:
            check_key(name, "delete")
        await writes_kept()
        await self._store.delete(names)

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
        """Return ``{"objects", "truncated", "cursor"?, "delimitedPrefixes"}``, in the order of the bytes of the keys.

        Keys that go on after ``prefix`` with something and then ``delimiter`` are not listed, but what they have in
        common up to there. Objects have the metadata that ``include`` names: ``httpMetadata``, ``customMetadata``.
        """
        count = list_count(limit)
        includes = included(include)
        after = base64.urlsafe_b64decode(cursor) if cursor else (start_after or "").encode("utf-8", "surrogatepass")
        objects: list[R2Object] = []
        prefixes: list[str] = []
        start = prefix or ""
        while True:
            page = self._store.list(start, after, count + 1)
            for stored in page:
                if len(objects) + len(prefixes) >= count:
                    token = base64.urlsafe_b64encode(after).decode()
                    return _listed(objects, prefixes, token)
                common = _common(stored.key, start, delimiter)
                if common is None:
                    objects.append(object_of(stored, includes=includes))
                    after = stored.key.encode("utf-8", "surrogatepass")
                else:
                    prefixes.append(common)
                    # Past all keys that begin so: no key has a byte of 255 in it.
                    after = common.encode("utf-8", "surrogatepass") + b"\xff"
                    break
            else:
                if len(page) <= count:
                    return _listed(objects, prefixes, None)

    async def create_multipart_upload(
        self,
        key: str,
        *,
        http_metadata: Mapping[str, Any] | None = None,
        custom_metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
        ssec_key: Any = None,
    ) -> R2MultipartUpload:
        """Begin to upload an object in parts."""
        check_key(key, "createMultipartUpload")
        given = given_of("createMultipartUpload", http_metadata, custom_metadata, storage_class, ssec_key, {})
        return await begin_upload(self._store, self._clock, self._rng, key, given)

    def resume_multipart_upload(self, key: str, upload_id: str) -> R2MultipartUpload:
        """Go on with an upload. Whether there is one is told when it is used."""
        check_key(key, "resumeMultipartUpload")
        return R2MultipartUpload(self._store, self._clock, self._rng, key, upload_id)


def _common(key: str, prefix: str, delimiter: str | None) -> str | None:
    if not delimiter:
        return None
    end = key.find(delimiter, len(prefix))
    return None if end < 0 else key[: end + len(delimiter)]


def _listed(objects: list[R2Object], prefixes: list[str], cursor: str | None) -> dict[str, Any]:
    listed: dict[str, Any] = {"objects": objects, "truncated": cursor is not None, "delimitedPrefixes": prefixes}
    return listed if cursor is None else {**listed, "cursor": cursor}
