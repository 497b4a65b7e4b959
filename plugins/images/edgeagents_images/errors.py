"""What goes wrong, by Cloudflare's numbers."""

from __future__ import annotations

from typing import Literal

from edgeagents.errors import EdgeAgentsError

__all__ = ["ImageNotFound", "ImagesError", "Operation"]

Operation = Literal["INFO", "TRANSFORM", "UPLOAD"]


class ImagesError(EdgeAgentsError):
    """A picture could not be read, changed or written. ``code`` is Cloudflare's number for the reason."""

    def __init__(self, operation: Operation, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"IMAGES_{operation}_ERROR {code}: {message}")


class ImageNotFound(EdgeAgentsError):
    """A hosted image that is to be changed is not there."""

    def __init__(self, image_id: str) -> None:
        self.image_id = image_id
        super().__init__(f"Image not found: {image_id}")
