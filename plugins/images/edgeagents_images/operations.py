"""Operations: what each option of ``transform`` and ``draw`` makes of a picture.

Whatever the order in which options are written, a picture is trimmed, turned, resized, and then changed in colour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from edgeagents_images.errors import ImagesError
from edgeagents_images.fitting import FITS, gravity_of, plan_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["check_transform", "draw", "on_background", "transform"]

LONGEST_SIDE: Final = 12_000
_LONGEST_BLUR: Final = 250


def invalid(message: str) -> ImagesError:
    """Return the error for options that mean nothing."""
    return ImagesError("TRANSFORM", 9401, f"ERROR: {message}")


def check_transform(options: Mapping[str, Any]) -> None:
    """Raise ``ImagesError`` for options that mean nothing."""
    for name in ("width", "height"):
        value = options.get(name)
        if value is not None and (not _is_number(value) or not 1 <= value <= LONGEST_SIDE):
            raise invalid(f"{name} is a number from 1 to {LONGEST_SIDE}, not {value!r}")
    if options.get("fit") not in (None, *FITS):
        raise invalid(f"fit is one of {', '.join(FITS)}, not {options['fit']!r}")
    if options.get("rotate") not in (None, 0, 90, 180, 270):
        raise invalid(f"rotate is 0, 90, 180 or 270, not {options['rotate']!r}")
    if options.get("flip") not in (None, "h", "v", "hv", "vh"):
        raise invalid(f"flip is h, v or hv, not {options['flip']!r}")
    for name in ("blur", "brightness", "contrast", "gamma", "saturation", "sharpen"):
        value = options.get(name)
        if value is not None and (not _is_number(value) or value < 0):
            raise invalid(f"{name} is a number that is not negative, not {value!r}")
    if (options.get("blur") or 0) > _LONGEST_BLUR:
        raise invalid(f"blur is at most {_LONGEST_BLUR}")
    if options.get("segment") is not None:
        raise invalid("segment needs a model that finds what is in front; there is none here")
    gravity_of(options.get("gravity"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def transform(image: Image, options: Mapping[str, Any]) -> Image:
    """Return ``image`` after a transformation."""
    from PIL.Image import Transpose

    given = {name: value for name, value in options.items() if value is not None}
    if "trim" in given:
        image = _trimmed(image, given["trim"])
    if given.get("rotate"):
        # Pillow turns against the clock.
        turns = {90: Transpose.ROTATE_270, 180: Transpose.ROTATE_180, 270: Transpose.ROTATE_90}
        image = image.transpose(turns[int(given["rotate"])])
    for side in given.get("flip", ""):
        image = image.transpose(Transpose.FLIP_LEFT_RIGHT if side == "h" else Transpose.FLIP_TOP_BOTTOM)
    image = _resized(image, given)
    image = _coloured(image, given)
    if "background" in given:
        image = on_background(image, given["background"])
    return _bordered(image, given["border"]) if "border" in given else image


def _resized(image: Image, options: Mapping[str, Any]) -> Image:
    from PIL import Image

    width, height = (None if options.get(n) is None else round(options[n]) for n in ("width", "height"))
    fit = options.get("fit", "scale-down")
    plan = plan_of(image.size, width, height, fit)
    if plan.resize != image.size:
        image = image.resize(plan.resize, Image.Resampling.LANCZOS)
    if plan.canvas == image.size:
        return image
    x, y = gravity_of(options.get("gravity"))
    left, top = round((image.width - plan.canvas[0]) * x), round((image.height - plan.canvas[1]) * y)
    if fit != "pad":
        return image.crop((left, top, left + plan.canvas[0], top + plan.canvas[1]))
    canvas = Image.new("RGBA", plan.canvas, _colour(options.get("background", "#ffffff")))
    canvas.alpha_composite(image, (-left, -top))
    return canvas


def _trimmed(image: Image, trim: Any) -> Image:
    if trim == "border":
        return _without_border(image)
    if not isinstance(trim, Mapping):
        raise invalid("trim is an object of top, right, bottom, left, width, height, or 'border'")
    left, top = int(trim.get("left") or 0), int(trim.get("top") or 0)
    width, height = trim.get("width"), trim.get("height")
    right = image.width - int(trim.get("right") or 0) if width is None else left + int(width)
    bottom = image.height - int(trim.get("bottom") or 0) if height is None else top + int(height)
    box = (left, top, min(right, image.width), min(bottom, image.height))
    if min(left, top) < 0 or box[2] <= left or box[3] <= top:
        raise invalid("trim leaves nothing of the image")
    return image.crop(box)


def _without_border(image: Image) -> Image:
    from PIL import Image, ImageChops

    border = Image.new("RGBA", image.size, image.getpixel((0, 0)))
    box = ImageChops.difference(image, border).getbbox(alpha_only=False)
    return image if box is None else image.crop(box)


def _coloured(image: Image, options: Mapping[str, Any]) -> Image:
    from PIL import ImageEnhance, ImageFilter

    enhancers: dict[str, Callable[[Image], Any]] = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "saturation": ImageEnhance.Color,
    }
    for name, enhancer in enhancers.items():
        if name in options:
            transparency = image.getchannel("A")
            image = enhancer(image.convert("RGB")).enhance(float(options[name])).convert("RGBA")
            image.putalpha(transparency)
    if options.get("gamma"):
        power = 1 / float(options["gamma"])
        curve = [round(255 * (level / 255) ** power) for level in range(256)]
        image = image.point([*curve * 3, *range(256)])
    if options.get("blur"):
        image = image.filter(ImageFilter.GaussianBlur(float(options["blur"])))
    if options.get("sharpen"):
        image = image.filter(ImageFilter.UnsharpMask(radius=2, percent=round(float(options["sharpen"]) * 100)))
    return image


def _bordered(image: Image, border: Any) -> Image:
    from PIL import ImageOps

    if not isinstance(border, Mapping):
        raise invalid("border is an object of color and width, or of top, right, bottom and left")
    width = border.get("width") or 0
    sides = (int(border.get(side, width) or 0) for side in ("left", "top", "right", "bottom"))
    return ImageOps.expand(image, tuple(sides), _colour(border.get("color", "#000000")))


def on_background(image: Image, colour: str) -> Image:
    """Return ``image`` with ``colour`` where it lets something through."""
    from PIL import Image

    background = Image.new("RGBA", image.size, _colour(colour))
    return Image.alpha_composite(background, image)


def _colour(text: Any) -> tuple[int, ...]:
    from PIL import ImageColor

    try:
        return ImageColor.getcolor(str(text), "RGBA")  # pyright: ignore[reportReturnType]
    except ValueError:
        raise invalid(f"{text!r} is no colour") from None


def draw(image: Image, over: Image, options: Mapping[str, Any]) -> Image:
    """Return ``image`` with another one drawn over it.

    It stands in the middle unless ``top`` or ``bottom``, ``left`` or ``right`` say where; ``repeat`` says in which
    directions it comes again and again.
    """
    from PIL import Image

    given = {name: value for name, value in options.items() if value is not None}
    opacity = given.get("opacity", 1)
    if not _is_number(opacity) or not 0 <= opacity <= 1:
        raise invalid(f"opacity is a number from 0 to 1, not {opacity!r}")
    if given.get("composite", "over") != "over":
        raise invalid(f"composite is 'over' here, not {given['composite']!r}")
    repeat = given.get("repeat", False)
    if repeat not in (False, True, "x", "y"):
        raise invalid(f"repeat is true, 'x' or 'y', not {repeat!r}")
    for near, far in (("left", "right"), ("top", "bottom")):
        if near in given and far in given:
            raise invalid(f"{near} and {far} cannot both be given")
    if opacity != 1:
        over = over.copy()
        over.putalpha(over.getchannel("A").point([round(level * opacity) for level in range(256)]))
    x = _place(given, "left", "right", image.width, over.width)
    y = _place(given, "top", "bottom", image.height, over.height)
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    for left in _steps(x, over.width, image.width, repeats=repeat in (True, "x")):
        for top in _steps(y, over.height, image.height, repeats=repeat in (True, "y")):
            layer.paste(over, (left, top))
    return Image.alpha_composite(image, layer)


def _place(options: Mapping[str, Any], near: str, far: str, room: int, size: int) -> int:
    if near in options:
        return int(options[near])
    if far in options:
        return room - size - int(options[far])
    return (room - size) // 2


def _steps(start: int, size: int, room: int, *, repeats: bool) -> range:
    return range(start % size - size if start % size else 0, room, size) if repeats else range(start, start + 1)
