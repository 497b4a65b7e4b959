"""Files: which formats there are, and how a picture comes out of one and goes into one."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from edgeagents_images.errors import ImagesError, Operation

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["FORMATS", "SVG", "can_be_animated", "decode", "encode", "is_svg", "media_type_of", "open_image"]

FORMATS: Final = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/gif": "GIF",
}
SVG: Final = "image/svg+xml"
_MEDIA_TYPES: Final = {name: media_type for media_type, name in FORMATS.items()}
MOST_PIXELS: Final = 100_000_000
_QUALITY: Final = 85
_LOSSY: Final = frozenset({"JPEG", "WEBP", "AVIF"})
_ANIMATED: Final = frozenset({"GIF", "WEBP"})


def is_svg(content: bytes) -> bool:
    """Whether ``content`` is a drawing in SVG."""
    return re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE[^>]*>\s*)?<svg[\s>]", content, re.S) is not None


def open_image(content: bytes, operation: Operation) -> Image:
    """Return the picture in ``content``, of which only the head has been read. Raises ``ImagesError``."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=tuple(FORMATS.values()))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _too_large(operation) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ImagesError(operation, 9412, "ERROR: The input is not an image that can be read") from error
    if image.width * image.height > MOST_PIXELS:
        raise _too_large(operation)
    return image


def media_type_of(image: Image) -> str:
    """Return the media type of a picture that ``open_image`` has returned."""
    return _MEDIA_TYPES[image.format or "PNG"]


def _too_large(operation: Operation) -> ImagesError:
    return ImagesError(operation, 9413, f"ERROR: The image has more than {MOST_PIXELS // 1_000_000} megapixels")


def decode(image: Image, *, all_frames: bool) -> list[tuple[Image, int]]:
    """Return the frames of a picture (the first alone unless ``all_frames``), each with its milliseconds.

    Each is in colours with transparency, and turned as its file says that it is meant.
    """
    from PIL import ImageOps, ImageSequence

    frames: list[tuple[Image, int]] = []
    try:
        for frame in ImageSequence.Iterator(image):
            duration = int(frame.info.get("duration") or 0)
            frames.append((ImageOps.exif_transpose(frame).convert("RGBA"), duration))
            if not all_frames:
                break
    except (OSError, SyntaxError, ValueError) as error:
        raise ImagesError("TRANSFORM", 9412, f"ERROR: The image is damaged: {error}") from error
    return frames


def can_be_animated(media_type: str) -> bool:
    """Whether a file of this type may have several frames."""
    return FORMATS[media_type] in _ANIMATED


def encode(frames: list[tuple[Image, int]], media_type: str, quality: int | None) -> bytes:
    """Return the file of a picture. ``quality`` is 1 to 100, for formats that lose something."""
    name = FORMATS[media_type]
    options: dict[str, Any] = {}
    if name in _LOSSY:
        options["quality"] = _QUALITY if quality is None else quality
    prepare: Callable[[Image], Image] = _flat if name == "JPEG" else _plain
    first, *others = [prepare(frame) for frame, _ in frames]
    if others:
        durations = [duration or 100 for _, duration in frames]
        options |= {"save_all": True, "append_images": others, "duration": durations, "loop": 0}
    written = io.BytesIO()
    first.save(written, name, **options)
    return written.getvalue()


def _plain(image: Image) -> Image:
    """Return it without transparency where it has none."""
    lowest = image.getchannel("A").getextrema()[0]
    return image.convert("RGB") if lowest == 255 else image


def _flat(image: Image) -> Image:
    """Return it on white."""
    from PIL import Image

    background = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(background, image).convert("RGB")
