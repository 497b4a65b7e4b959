"""Hosted images are kept, listed, changed and served."""

from __future__ import annotations

import io

import pytest
from edgeagents_images import ImageNotFound, ImagesError, plugin
from PIL import Image

from edgeagents import Request, Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare("Workers", "Images: hosted images", "same; addresses of variants are paths")


def picture() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (4, 2), (1, 2, 3)).save(written, "PNG")
    return written.getvalue()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def runtime(clock, tmp_path):
    worker = Worker("w", bindings=[BindingDeclaration("IMAGES", "images")])
    async with Runtime(worker, storage=tmp_path, clock=clock, plugins=[plugin], discover_plugins=False) as runtime:
        yield runtime


async def test_a_picture_is_kept_and_served(runtime):
    hosted = runtime.env.IMAGES.hosted
    about = await hosted.upload(picture(), id="a b", filename="a.png", metadata={"of": "a"})
    assert (about["id"], about["filename"], about["meta"], about["draft"]) == ("a b", "a.png", {"of": "a"}, False)
    handle = hosted.image("a b")
    assert b"".join([piece async for piece in await handle.bytes()]) == picture()
    response = await runtime.fetch(Request(about["variants"][0]))
    assert (response.headers["content-type"], await response.bytes()) == ("image/png", picture())
    assert (await runtime.fetch(Request("/cdn-cgi/mf/imagedelivery/nothing/public"))).status == 404


async def test_pictures_are_listed_page_by_page(runtime, clock):
    hosted = runtime.env.IMAGES.hosted
    for name in ("c", "a", "b"):
        await hosted.upload(picture(), id=name, creator="ann" if name != "b" else "bob")
        await clock.advance(1)
    first = await hosted.list(limit=2)
    assert ([one["id"] for one in first["images"]], first["listComplete"]) == (["c", "a"], False)
    rest = await hosted.list(limit=2, cursor=first["cursor"])
    assert ([one["id"] for one in rest["images"]], rest["listComplete"], "cursor" in rest) == (["b"], True, False)
    assert [one["id"] for one in (await hosted.list(sort_order="desc", creator="ann"))["images"]] == ["a", "c"]


async def test_a_picture_is_changed_and_deleted(runtime):
    hosted = runtime.env.IMAGES.hosted
    about = await hosted.upload(picture())
    handle = hosted.image(about["id"])
    changed = await handle.update(metadata={"x": 1}, require_signed_urls=True)
    assert changed == {**about, "meta": {"x": 1}, "requireSignedURLs": True} == await handle.details()
    assert [await handle.delete(), await handle.delete(), await handle.details(), await handle.bytes()] == [
        True,
        False,
        None,
        None,
    ]
    with pytest.raises(ImageNotFound, match="Image not found: "):
        await handle.update(creator="ann")


async def test_what_has_no_local_meaning_is_told(runtime):
    with pytest.raises(ImagesError, match="take the picture in the worker"):
        await runtime.env.IMAGES.hosted.create_direct_upload()
