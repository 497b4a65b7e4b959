"""What is given as a picture: bytes, or a stream of them, as they are or in Base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from edgeagents_images.errors import ImagesError, Operation

__all__ = ["Content", "read_content"]

Content: TypeAlias = bytes | AsyncIterator[bytes]


async def read_content(content: Any, operation: Operation, encoding: Any = None) -> bytes:
    """Return the bytes of a picture; ``encoding`` is ``base64`` or None. Raises ``ImagesError`` for what is none."""
    if isinstance(content, bytes | bytearray | memoryview):
        given = bytes(content)
    elif isinstance(content, AsyncIterator):
        given = b"".join([bytes(piece) async for piece in content])
    else:
        raise ImagesError(operation, 9523, "ERROR: Expected image in request")
    if encoding is None:
        return given
    if encoding != "base64":
        raise ImagesError(operation, 9401, f"ERROR: encoding is 'base64', not {encoding!r}")
    try:
        return base64.b64decode(b"".join(given.split()), validate=True)
    except binascii.Error as error:
        raise ImagesError(operation, 9412, f"ERROR: The input is not Base64: {error}") from error
