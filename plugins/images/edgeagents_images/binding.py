"""The binding: what is found in ``env``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Self

from edgeagents.http import Response
from edgeagents_images import codec
from edgeagents_images.content import Content, read_content
from edgeagents_images.errors import ImagesError
from edgeagents_images.hosted import HostedImages
from edgeagents_images.operations import check_transform, draw, invalid, on_background, transform

__all__ = ["ImageTransformer", "Images", "TransformationResult"]


class Images:
    """Reads, changes and writes pictures."""

    js_name: ClassVar[str] = "ImagesBindingImpl"

    def __init__(self, hosted: HostedImages | None = None) -> None:
        self._hosted = hosted

    async def info(self, stream: Content, *, encoding: str | None = None) -> dict[str, Any]:
        """Return ``{"format", "fileSize", "width", "height"}``; of an SVG only its format.

        The stream is the picture's, or with an ``encoding`` of ``base64`` such text. Raises ``ImagesError`` for what is
        no picture.
        """
        content = await read_content(stream, "INFO", encoding)
        if codec.is_svg(content):
            return {"format": codec.SVG}
        image = codec.open_image(content, "INFO")
        return {
            "format": codec.media_type_of(image),
            "fileSize": len(content),
            "width": image.width,
            "height": image.height,
        }

    def input(self, stream: Content, *, encoding: str | None = None) -> ImageTransformer:
        """Return what changes the picture in ``stream``, which may be in the ``encoding`` ``base64``."""
        return ImageTransformer(stream, encoding)

    @property
    def hosted(self) -> HostedImages:
        """Pictures that are kept."""
        if self._hosted is None:
            raise ImagesError("INFO", 9523, "ERROR: There is no store here: Images(hosted) has none")
        return self._hosted


class ImageTransformer:
    """A picture and what is to be done with it. It is read and changed by ``output``, or drawn over another, once."""

    js_name: ClassVar[str] = "ImageTransformerImpl"

    def __init__(self, stream: Content, encoding: str | None = None) -> None:
        self._stream, self._encoding = stream, encoding
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
        if isinstance(image, ImageTransformer):
            image._consume()
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
        self._consume()
        source, steps = await self._read()
        moves = codec.can_be_animated(format) and anim is not False

        def work() -> bytes:
            frames = codec.decode(source, all_frames=moves)
            made = [(_applied(frame, steps), duration) for frame, duration in frames]
            if background is not None:
                made = [(on_background(frame, background), duration) for frame, duration in made]
            return codec.encode(made, format, None if quality is None else round(quality))

        # Pillow lets other threads run while it works.
        return TransformationResult(await asyncio.to_thread(work), format)

    def _consume(self) -> None:
        if self._is_consumed:
            text = "ImageTransformer consumed; you may only call .output() or draw a transformer once"
            raise ImagesError("TRANSFORM", 9525, text)
        self._is_consumed = True

    async def _read(self) -> tuple[Any, list[tuple[Mapping[str, Any], Any]]]:
        """Return the picture and the steps, with those pictures read that are drawn over it."""
        steps: list[tuple[Mapping[str, Any], Any]] = []
        for options, over in self._steps:
            if over is None:
                check_transform(options)
                steps.append((options, None))
            else:
                drawn = over if isinstance(over, ImageTransformer) else ImageTransformer(over)
                steps.append((options, await drawn._read()))
        content = await read_content(self._stream, "TRANSFORM", self._encoding)
        return codec.open_image(content, "TRANSFORM"), steps


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

    def response(self, *, headers: Mapping[str, str] | None = None) -> Response:
        """Return a response with it, and with further ``headers``."""
        return Response(self._content, headers={**(headers or {}), "content-type": self._media_type})


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
