"""The binding: what is found in ``env``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Self

from edgeagents.http import Response
from edgeagents_images import codec
from edgeagents_images.errors import ImagesError, Operation
from edgeagents_images.operations import check_transform, draw, invalid, on_background, transform

__all__ = ["ImageTransformer", "Images", "TransformationResult"]

Content = bytes | AsyncIterator[bytes]


async def _read(content: Any, operation: Operation) -> bytes:
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    if not isinstance(content, AsyncIterator):
        raise ImagesError(operation, 9523, "ERROR: Expected image in request")
    return b"".join([bytes(piece) async for piece in content])


class Images:
    """Reads, changes and writes pictures."""

    js_name: ClassVar[str] = "ImagesBindingImpl"

    async def info(self, stream: Content, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return ``{"format", "fileSize", "width", "height"}``; of an SVG only its format.

        Raises ``ImagesError`` for what is no picture.
        """
        content = await _read(stream, "INFO")
        if codec.is_svg(content):
            return {"format": codec.SVG}
        image = codec.open_image(content, "INFO")
        kinds = {name: media_type for media_type, name in codec.FORMATS.items()}
        return {
            "format": kinds[image.format or "PNG"],
            "fileSize": len(content),
            "width": image.width,
            "height": image.height,
        }

    def input(self, stream: Content, options: Mapping[str, Any] | None = None) -> ImageTransformer:
        """Return what changes the picture in ``stream``."""
        return ImageTransformer(stream)

    @property
    def hosted(self) -> Any:
        """Raises: pictures that Cloudflare stores have no local meaning."""
        raise ImagesError(
            "INFO", 9523, "Hosted images are a service of Cloudflare's: keep pictures in an R2 bucket here"
        )


class ImageTransformer:
    """A picture and what is to be done with it. It is read and changed by ``output``, once."""

    js_name: ClassVar[str] = "ImageTransformerImpl"

    def __init__(self, stream: Content) -> None:
        self._stream = stream
        self._steps: list[tuple[Mapping[str, Any], ImageTransformer | Content | None]] = []
        self._is_consumed = False

    def transform(
        self,
        *,
        width: float | None = None,
        height: float | None = None,
        fit: str | None = None,
        gravity: Any = None,
        rotate: int | None = None,
        flip: str | None = None,
        trim: Any = None,
        background: str | None = None,
        border: Any = None,
        blur: float | None = None,
        brightness: float | None = None,
        contrast: float | None = None,
        gamma: float | None = None,
        saturation: float | None = None,
        sharpen: float | None = None,
        segment: str | None = None,
    ) -> Self:
        """Change the picture, after what was asked before. The options are Cloudflare's; lengths are in pixels.

        ``fit`` is ``scale-down`` (which never enlarges), ``contain``, ``cover``, ``crop``, ``pad`` or ``squeeze``.
        """
        options = {name: value for name, value in locals().items() if name != "self" and value is not None}
        self._steps.append((options, None))
        return self

    def draw(
        self,
        image: ImageTransformer | Content,
        *,
        opacity: float | None = None,
        repeat: bool | str | None = None,
        top: float | None = None,
        left: float | None = None,
        bottom: float | None = None,
        right: float | None = None,
        composite: str | None = None,
    ) -> Self:
        """Draw another picture over this one: a stream, or what another ``input`` gave."""
        options = {name: value for name, value in locals().items() if name not in ("self", "image")}
        self._steps.append((options, image))
        return self

    async def output(
        self,
        *,
        format: str | None = None,
        quality: float | None = None,
        background: str | None = None,
        anim: bool | None = None,
    ) -> TransformationResult:
        """Do it all, and return the picture as a file: PNG, JPEG, WebP, AVIF or GIF.

        Frames that move stay, in formats that have them, unless ``anim`` is False. Raises ``ImagesError``.
        """
        if format is None or format not in codec.FORMATS:
            text = f"ERROR: Unsupported output format {format!r}: it is one of {', '.join(codec.FORMATS)}"
            raise ImagesError("TRANSFORM", 9520, text)
        if quality is not None and (isinstance(quality, str) or not 1 <= quality <= 100):
            raise invalid(f"quality is a number from 1 to 100, not {quality!r}")
        source, steps = await self._consume()
        moves = codec.can_be_animated(format) and anim is not False

        def work() -> bytes:
            frames = codec.decode(source, all_frames=moves)
            made = [(_applied(frame, steps), duration) for frame, duration in frames]
            if background is not None:
                made = [(on_background(frame, background), duration) for frame, duration in made]
            return codec.encode(made, format, None if quality is None else round(quality))

        # Pillow lets other threads run while it works.
        return TransformationResult(await asyncio.to_thread(work), format)

    async def _consume(self) -> tuple[Any, list[tuple[Mapping[str, Any], Any]]]:
        """Return the picture and the steps, with those pictures read that are drawn over it."""
        if self._is_consumed:
            text = "ImageTransformer consumed; you may only call .output() or draw a transformer once"
            raise ImagesError("TRANSFORM", 9525, text)
        self._is_consumed = True
        steps: list[tuple[Mapping[str, Any], Any]] = []
        for options, over in self._steps:
            if over is None:
                check_transform(options)
                steps.append((options, None))
            elif isinstance(over, ImageTransformer):
                steps.append((options, await over._consume()))
            else:
                steps.append((options, (codec.open_image(await _read(over, "TRANSFORM"), "TRANSFORM"), [])))
        return codec.open_image(await _read(self._stream, "TRANSFORM"), "TRANSFORM"), steps


def _applied(image: Any, steps: list[tuple[Mapping[str, Any], Any]]) -> Any:
    for options, over in steps:
        if over is None:
            image = transform(image, options)
        else:
            ((first, _),) = codec.decode(over[0], all_frames=False)
            image = draw(image, _applied(first, over[1]), options)
    return image


class TransformationResult:
    """A picture as a file."""

    js_name: ClassVar[str] = "TransformationResultImpl"

    def __init__(self, content: bytes, media_type: str) -> None:
        self._content, self._media_type = content, media_type

    def content_type(self) -> str:
        """Return its media type."""
        return self._media_type

    def image(self, options: Mapping[str, Any] | None = None) -> AsyncIterator[bytes]:
        """Return its bytes; with the option ``encoding`` of ``base64`` as such text."""
        encoding = (options or {}).get("encoding")
        if encoding not in (None, "base64"):
            raise invalid(f"encoding is 'base64', not {encoding!r}")
        return _whole(base64.b64encode(self._content) if encoding else self._content)

    def response(self) -> Response:
        """Return a response with it."""
        return Response(self._content, headers={"content-type": self._media_type})


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
