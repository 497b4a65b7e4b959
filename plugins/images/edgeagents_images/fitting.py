"""Fitting: how a picture comes into a width and a height, and what is cut off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgeagents_images.errors import ImagesError

__all__ = ["FITS", "Plan", "gravity_of", "plan_of"]

FITS: Final = ("scale-down", "contain", "cover", "crop", "pad", "squeeze")

_SIDES: Final = {
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "center": (0.5, 0.5),
    # What is interesting in a picture, and where faces are, is not known here.
    "auto": (0.5, 0.5),
    "face": (0.5, 0.5),
}

Size = tuple[int, int]


class Plan:
    """First ``resize`` to that size, then take the ``canvas`` out of it, or put it on one that is larger."""

    def __init__(self, resize: Size, canvas: Size) -> None:
        self.resize, self.canvas = resize, canvas


def plan_of(size: Size, width: int | None, height: int | None, fit: str) -> Plan:
    """Return how a picture of ``size`` comes into ``width`` and ``height``, either of which may be left open."""
    have_width, have_height = size
    scale_x = None if width is None else width / have_width
    scale_y = None if height is None else height / have_height
    scales = [scale for scale in (scale_x, scale_y) if scale is not None]
    if not scales:
        return Plan(size, size)
    if fit == "squeeze":
        squeezed = (width or have_width, height or have_height)
        return Plan(squeezed, squeezed)
    wanted = (width or max(1, round(have_width * scales[0])), height or max(1, round(have_height * scales[0])))
    match fit:
        case "cover":
            return Plan(_scaled(size, max(scales)), wanted)
        case "crop":
            resize = _scaled(size, min(1.0, max(scales)))
            return Plan(resize, (min(resize[0], wanted[0]), min(resize[1], wanted[1])))
        case "pad":
            return Plan(_scaled(size, min(scales)), wanted)
        case "scale-down":
            resize = _scaled(size, min(1.0, *scales))
            return Plan(resize, resize)
        case _:
            resize = _scaled(size, min(scales))
            return Plan(resize, resize)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def gravity_of(value: Any) -> tuple[float, float]:
    """Return which point stays when something is cut off, from 0 to 1 in each direction."""
    if value is None:
        return _SIDES["center"]
    if isinstance(value, Mapping):
        point = (value.get("x", 0.5), value.get("y", 0.5))
        if all(isinstance(one, int | float) and 0 <= one <= 1 for one in point):
            return float(point[0]), float(point[1])
    elif value in _SIDES:
        return _SIDES[value]
    raise ImagesError("TRANSFORM", 9401, f"ERROR: gravity is one of {', '.join(_SIDES)}, or x and y from 0 to 1")
