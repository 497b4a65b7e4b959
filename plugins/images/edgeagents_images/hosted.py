"""Hosted images: pictures that are kept, under an id, with what is known of them."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn
from urllib.parse import quote
from uuid import UUID

from edgeagents_images.content import Content, read_content
from edgeagents_images.errors import ImageNotFound, ImagesError

if TYPE_CHECKING:
    from edgeagents.objects import Clock
    from edgeagents.stores import Stores

__all__ = ["DELIVERY_PATH", "HostedImages", "ImageHandle", "ImageStore"]

DELIVERY_PATH: Final = "/cdn-cgi/mf/imagedelivery"
"""Below it the emulator serves what is kept: ``<path>/<id>/public``."""
_VARIANT: Final = "public"
_PAGE: Final = 50
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS images (id TEXT PRIMARY KEY, content BLOB NOT NULL, about TEXT NOT NULL, "
    "uploaded TEXT NOT NULL, creator TEXT) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS images_uploaded ON images (uploaded, id)",
)


class ImageStore:
    """The pictures of one state folder. Every binding has the same."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def _database(self) -> Any:
        return self._stores.open("images", "hosted", _SCHEMA)

    def put(self, content: bytes, about: Mapping[str, Any]) -> None:
        """Keep a picture, in place of one with its id."""
        row = (about["id"], content, json.dumps(about), about["uploaded"], about.get("creator"))
        self._database().execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)", row)

    def about(self, image_id: str) -> dict[str, Any] | None:
        """Return what is known of a picture."""
        row = self._database().execute("SELECT about FROM images WHERE id = ?", (image_id,)).fetchone()
        return None if row is None else json.loads(row[0])

    def content(self, image_id: str) -> bytes | None:
        """Return the bytes of a picture."""
        row = self._database().execute("SELECT content FROM images WHERE id = ?", (image_id,)).fetchone()
        return None if row is None else row[0]

    def describe(self, about: Mapping[str, Any]) -> None:
        """Change what is known of a picture."""
        row = (json.dumps(about), about.get("creator"), about["id"])
        self._database().execute("UPDATE images SET about = ?, creator = ? WHERE id = ?", row)

    def delete(self, image_id: str) -> bool:
        """Delete a picture; return whether there was one."""
        return self._database().execute("DELETE FROM images WHERE id = ?", (image_id,)).rowcount > 0

    def list(self, creator: str | None, after: str | None, count: int, *, is_descending: bool) -> list[dict[str, Any]]:
        """Return what is known of ``count`` pictures by the time of their upload, from the one after ``after`` on."""
        order, compare = ("DESC", "<") if is_descending else ("ASC", ">")
        after_that = f"(uploaded, id) {compare} (SELECT uploaded, id FROM images WHERE id = ?2)"
        rows = self._database().execute(
            f"SELECT about FROM images WHERE (?1 IS NULL OR creator = ?1) AND (?2 IS NULL OR {after_that}) "
            f"ORDER BY uploaded {order}, id {order} LIMIT ?3",
            (creator, after, count),
        )
        return [json.loads(about) for (about,) in rows]


class HostedImages:
    """Keeps pictures, and gives them back."""

    js_name: ClassVar[str] = "HostedImagesBindingImpl"

    def __init__(self, store: ImageStore, clock: Clock, rng: random.Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng

    def image(self, image_id: str) -> ImageHandle:
        """Return the handle of a picture, whether there is one or not."""
        return ImageHandle(self._store, image_id)

    async def upload(
        self,
        image: Content,
        *,
        id: str | None = None,
        filename: str | None = None,
        require_signed_urls: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        creator: str | None = None,
        encoding: str | None = None,
    ) -> dict[str, Any]:
        """Keep a picture, in place of one with the same ``id``; return what is known of it."""
        content = await read_content(image, "UPLOAD", encoding)
        now = self._clock.now()
        about: dict[str, Any] = {
            "id": id or str(UUID(bytes=self._rng.randbytes(16), version=4)),
            "filename": filename or "uploaded.jpg",
            "uploaded": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
            "requireSignedURLs": bool(require_signed_urls),
            "meta": dict(metadata or {}),
            "draft": False,
        }
        if creator is not None:
            about["creator"] = creator
        self._store.put(content, about)
        return _told(about)

    async def list(
        self,
        *,
        limit: float | None = None,
        cursor: str | None = None,
        sort_order: str | None = None,
        creator: str | None = None,
    ) -> dict[str, Any]:
        """Return ``{"images", "listComplete"}`` and, when there are more, a ``cursor``.

        They come in the order in which they were uploaded, the latest first with a ``sort_order`` of ``desc``.
        """
        count = _PAGE if limit is None else int(limit)
        # A picture that is no more leads to the beginning.
        after = cursor if cursor is not None and self._store.about(cursor) is not None else None
        found = self._store.list(creator, after, count + 1, is_descending=sort_order == "desc")
        page: dict[str, Any] = {"images": list(map(_told, found[:count])), "listComplete": len(found) <= count}
        if found[:count] and len(found) > count:
            page["cursor"] = found[count - 1]["id"]
        return page

    async def create_direct_upload(self) -> NoReturn:
        """Raise: a browser has no way to Cloudflare's store here."""
        raise ImagesError(
            "UPLOAD", 9523, "ERROR: Direct uploads go to Cloudflare: take the picture in the worker, and upload() it"
        )


class ImageHandle:
    """One hosted picture."""

    js_name: ClassVar[str] = "ImageHandleImpl"

    def __init__(self, store: ImageStore, image_id: str) -> None:
        self._store, self._id = store, image_id

    async def details(self) -> dict[str, Any] | None:
        """Return what is known of it, or None when it is not there."""
        about = self._store.about(self._id)
        return None if about is None else _told(about)

    async def bytes(self) -> AsyncIterator[bytes] | None:
        """Return its bytes, or None when it is not there."""
        content = self._store.content(self._id)
        return None if content is None else _whole(content)

    async def update(
        self,
        *,
        require_signed_urls: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        creator: str | None = None,
    ) -> dict[str, Any]:
        """Change what is known of it, and return that. Raises ``ImagesError`` when it is not there."""
        about = self._store.about(self._id)
        if about is None:
            raise ImageNotFound(self._id)
        given = {"requireSignedURLs": require_signed_urls, "meta": metadata, "creator": creator}
        about |= {name: value for name, value in given.items() if value is not None}
        self._store.describe(about)
        return _told(about)

    async def delete(self) -> bool:
        """Delete it; return whether it was there."""
        return self._store.delete(self._id)


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    return {**about, "variants": [f"{DELIVERY_PATH}/{quote(about['id'], safe='')}/{_VARIANT}"]}


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
