"""Delivery: the emulator's route to hosted images."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from edgeagents.http import Request, Response
from edgeagents_images import codec
from edgeagents_images.errors import ImagesError
from edgeagents_images.hosted import DELIVERY_PATH, ImageStore

__all__ = ["DeliveryRoute"]

# Whoever uploaded it: a drawing has no scripts that run here.
_INERT: Final = {"content-security-policy": "sandbox; script-src 'none'", "x-content-type-options": "nosniff"}


class DeliveryRoute:
    """``GET <path>/<id>/<variant>``; every variant is the picture as it was uploaded."""

    path = DELIVERY_PATH

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    async def serve(self, request: Request) -> Response:
        """Answer with the picture, or 404."""
        image_id = unquote(request.path.removeprefix(f"{self.path}/").partition("/")[0])
        content = self._store.content(image_id)
        if content is None:
            return Response("Image not found", status=404)
        return Response(content, headers={"content-type": _media_type(content), **_INERT})


def _media_type(content: bytes) -> str:
    if codec.is_svg(content):
        return codec.SVG
    try:
        return codec.media_type_of(codec.open_image(content, "INFO"))
    except ImagesError:
        return "application/octet-stream"
