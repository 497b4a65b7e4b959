"""Pictures are read, changed, written and refused as Cloudflare's binding does."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from edgeagents_images import Images, ImagesError
from PIL import Image

pytestmark = [
    pytest.mark.cloudflare(
        "Workers",
        "Images: transformations",
        "different: made by Pillow, so bytes differ; `auto` and `face` mean the middle; no `segment`",
    ),
]

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def picture(width: int = 40, height: int = 20, kind: str = "PNG", *, left: Any = RED, right: Any = BLUE) -> bytes:
    """Return a picture whose halves have different colours."""
    image = Image.new("RGBA" if len(left) == 4 else "RGB", (width, height), left)
    image.paste(right, (width // 2, 0, width, height))
    written = io.BytesIO()
    image.save(written, kind)
    return written.getvalue()


def animation() -> bytes:
    written = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, WHITE)]
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], duration=[50, 60, 70], loop=0)
    return written.getvalue()


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content[:10]
    yield content[10:]


async def made(transformer: Any, **options: Any) -> Image.Image:
    result = await transformer.output(**{"format": "image/png", **options})
    content = b"".join([piece async for piece in result.image()])
    return Image.open(io.BytesIO(content))


def input_of(*args: Any, **options: Any) -> Any:
    return Images().input(stream(picture(*args, **options)))


async def test_a_picture_is_known_by_its_bytes():
    images, content = Images(), picture(kind="WEBP")
    told = await images.info(stream(content))
    assert told == {"format": "image/webp", "fileSize": len(content), "width": 40, "height": 20}
    assert await images.info(b'<?xml version="1.0"?>\n<svg xmlns="x"/>') == {"format": "image/svg+xml"}


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 20}, (20, 10)),
        ({"height": 5}, (10, 5)),
        ({"width": 80}, (40, 20)),
        ({"width": 80, "fit": "contain"}, (80, 40)),
        ({"width": 10, "height": 10}, (10, 5)),
        ({"width": 10, "height": 10, "fit": "cover"}, (10, 10)),
        ({"width": 80, "height": 80, "fit": "cover"}, (80, 80)),
        ({"width": 30, "height": 80, "fit": "crop"}, (30, 20)),
        ({"width": 30, "height": 30, "fit": "pad"}, (30, 30)),
        ({"width": 7, "height": 9, "fit": "squeeze"}, (7, 9)),
        ({"rotate": 90}, (20, 40)),
        ({"rotate": 90, "width": 10}, (10, 20)),
        ({"trim": {"left": 4, "top": 2, "right": 6, "bottom": 3}}, (30, 15)),
        ({"trim": {"width": 9, "height": 8}}, (9, 8)),
        ({"border": {"color": "red", "width": 3}}, (46, 26)),
        ({"border": {"left": 1, "bottom": 2}}, (41, 22)),
    ],
    ids=str,
)
async def test_sizes(options, size):
    assert (await made(input_of().transform(**options))).size == size


async def test_cover_keeps_the_side_that_gravity_names():
    for gravity, colour in (("left", RED), ("right", BLUE), ({"x": 1, "y": 0}, BLUE)):
        image = await made(input_of().transform(width=10, height=10, fit="cover", gravity=gravity))
        assert image.getpixel((5, 5)) == colour


async def test_padding_has_the_background():
    image = await made(input_of().transform(width=40, height=40, fit="pad", background="#0f0"))
    assert (image.getpixel((1, 1)), image.getpixel((1, 20))) == ((0, 255, 0), RED)


async def test_pictures_are_turned_and_flipped():
    clockwise = await made(input_of().transform(rotate=90))
    assert (clockwise.getpixel((5, 5)), clockwise.getpixel((5, 35))) == (RED, BLUE)
    assert (await made(input_of().transform(flip="h"))).getpixel((5, 5)) == BLUE


async def test_steps_come_in_the_order_in_which_they_are_asked_for():
    image = await made(input_of().transform(rotate=180).transform(trim={"width": 10}))
    assert (image.size, image.getpixel((5, 5))) == ((10, 20), BLUE)


async def test_a_border_of_one_colour_is_trimmed():
    framed = await made(input_of(left=RED, right=RED).transform(border={"color": "#fff", "width": 5}))
    content = io.BytesIO()
    framed.save(content, "PNG")
    image = await made(Images().input(stream(content.getvalue())).transform(trim="border"))
    assert (image.size, image.getpixel((0, 0))) == ((40, 20), RED)


@pytest.mark.parametrize(
    ("options", "colour"),
    [
        ({"brightness": 0.5}, (127, 0, 0)),
        ({"saturation": 0}, (76, 76, 76)),
        ({"contrast": 1}, RED),
        ({"gamma": 2}, RED),
        ({"blur": 0.5, "sharpen": 1}, RED),
    ],
    ids=str,
)
async def test_colours_change(options, colour):
    assert (await made(input_of(left=RED, right=RED).transform(**options))).getpixel((20, 10)) == colour


async def test_one_is_drawn_over_another():
    dot = Images().input(stream(picture(8, 8, left=WHITE, right=WHITE))).transform(width=4)
    image = await made(input_of().draw(dot, right=2, bottom=2).draw(stream(picture(2, 2)), left=0, top=0))
    assert image.getpixel((35, 15)) == WHITE
    assert image.getpixel((33, 15)) == BLUE
    assert (image.getpixel((0, 0)), image.getpixel((1, 0))) == (RED, BLUE)
    assert image.getpixel((10, 10)) == RED


async def test_drawing_repeats_and_lets_through():
    dot = stream(picture(2, 2, left=WHITE, right=WHITE))
    image = await made(input_of(left=RED, right=RED).draw(dot, left=0, top=0, repeat="x", opacity=0.5))
    assert {image.getpixel((x, 0)) for x in range(40)} == {(255, 128, 128)}
    assert image.getpixel((0, 2)) == RED


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "image/webp", "image/avif", "image/gif"])
async def test_formats_are_written(kind):
    result = await input_of().output(format=kind, quality=50)
    assert result.content_type() == kind
    content = await result.response().bytes()
    assert (await Images().info(content))["format"] == kind
    assert [base64.b64decode(piece) async for piece in result.image({"encoding": "base64"})] == [content]


async def test_transparency_stays_or_has_a_background():
    clear = {"left": (0, 0, 0, 0), "right": (0, 0, 255, 255)}
    assert (await made(input_of(**clear))).getpixel((0, 0)) == (0, 0, 0, 0)
    assert (await made(input_of(**clear), background="red")).getpixel((0, 0)) == RED
    red, green, blue = (await made(input_of(**clear), format="image/jpeg")).getpixel((0, 0))
    assert min(red, green, blue) > 250


async def test_frames_stay_where_the_format_has_them():
    def moving() -> Any:
        return Images().input(stream(animation())).transform(width=4)

    image = await made(moving(), format="image/gif")
    assert (image.n_frames, image.size, image.info["duration"]) == (3, (4, 4), 50)
    assert (await made(moving(), format="image/webp")).n_frames == 3
    assert (await made(moving(), format="image/gif", anim=False)).n_frames == 1
    assert (await made(moving(), format="image/png")).size == (4, 4)


async def test_a_picture_is_turned_as_its_camera_says():
    written, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(written, "JPEG", exif=exif)
    assert (await made(Images().input(stream(written.getvalue())))).size == (20, 40)


async def test_a_picture_is_asked_for_once():
    transformer = input_of()
    await transformer.output(format="image/png")
    text = "IMAGES_TRANSFORM_ERROR 9525: ImageTransformer consumed; you may only call .output"
    with pytest.raises(ImagesError, match=text) as caught:
        await transformer.output(format="image/png")
    assert caught.value.code == 9525
    with pytest.raises(ImagesError, match="9525"):
        await input_of().draw(transformer).output(format="image/png")


async def test_what_is_no_picture_is_refused():
    with pytest.raises(ImagesError, match="IMAGES_INFO_ERROR 9412"):
        await Images().info(b"no picture")
    with pytest.raises(ImagesError, match="IMAGES_TRANSFORM_ERROR 9412"):
        await Images().input(stream(b"no picture at all")).output(format="image/png")
    with pytest.raises(ImagesError, match="9412: ERROR: The image is damaged"):
        await Images().input(picture(400, 400)[:-200]).output(format="image/png")
    with pytest.raises(ImagesError, match="9523: ERROR: Expected image"):
        await Images().info("text")


async def test_a_picture_that_is_too_large_is_refused_before_it_is_read():
    head = bytearray(picture())
    head[16:24] = (20_000).to_bytes(4, "big") * 2
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    with pytest.raises(ImagesError, match="9413: ERROR: The image has more than 100 megapixels"):
        await Images().info(bytes(head))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"width": 0}, "width is a number from 1"),
        ({"height": "10"}, "height is a number"),
        ({"fit": "fill"}, "fit is one of"),
        ({"rotate": 45}, "rotate is 0, 90, 180 or 270"),
        ({"flip": "x"}, "flip is h, v or hv"),
        ({"blur": 251}, "blur is at most 250"),
        ({"gamma": -1}, "gamma is a number that is not negative"),
        ({"gravity": "north"}, "gravity is one of"),
        ({"gravity": {"x": 2}}, "gravity is one of"),
        ({"background": "nothing"}, "'nothing' is no colour"),
        ({"trim": {"left": 40}}, "leaves nothing"),
        ({"trim": 5}, "trim is an object"),
        ({"border": 5}, "border is an object"),
        ({"segment": "foreground"}, "segment needs a model"),
    ],
    ids=str,
)
async def test_options_that_mean_nothing_are_refused(options, text):
    with pytest.raises(ImagesError, match=f"9401: ERROR: .*{text}"):
        await input_of().transform(**options).output(format="image/png")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"opacity": 2}, "opacity is a number from 0 to 1"),
        ({"repeat": "z"}, "repeat is true"),
        ({"left": 1, "right": 1}, "left and right cannot both"),
        ({"composite": "xor"}, "composite is 'over' here"),
    ],
    ids=str,
)
async def test_drawing_that_means_nothing_is_refused(options, text):
    with pytest.raises(ImagesError, match=text):
        await input_of().draw(picture(), **options).output(format="image/png")


@pytest.mark.parametrize("format", ["image/tiff", None])
async def test_formats_that_cannot_be_written_are_refused(format):
    with pytest.raises(ImagesError, match="9520: ERROR: Unsupported output format"):
        await input_of().output(format=format)


@pytest.mark.parametrize("content", [base64.b64encode(picture()), base64.encodebytes(picture())])
async def test_a_picture_may_come_in_base64(content):
    images = Images()
    assert (await images.info(content, encoding="base64"))["format"] == "image/png"
    assert (await made(images.input(content, encoding="base64"))).size == (40, 20)
    with pytest.raises(ImagesError, match="not Base64"):
        await images.info(b"?", encoding="base64")


async def test_a_picture_that_was_drawn_is_consumed():
    over = input_of()
    input_of().draw(over)
    with pytest.raises(ImagesError, match="9525"):
        input_of().draw(over)


async def test_a_response_has_further_headers():
    response = (await input_of().output(format="image/png")).response(headers={"x-a": "1", "content-type": "other"})
    assert (response.headers["x-a"], response.headers["content-type"]) == ("1", "image/png")
