"""Images: pictures that are resized, turned, drawn on each other and written in another format.

| to | look in |
|---|---|
| see what a binding does | `binding.py` |
| see what an operation makes of a picture | `operations.py`, `fitting.py` |
| read and write files | `codec.py` |
| see what is refused | `errors.py` |
| see how pictures are kept, and served | `hosted.py`, `delivery.py` |
| see how it comes into ``env`` | `plugin.py` |

Pillow is imported when a picture is first asked for.
"""

from edgeagents_images.binding import Images, ImageTransformer, TransformationResult
from edgeagents_images.errors import ImageNotFound, ImagesError
from edgeagents_images.hosted import HostedImages, ImageHandle

__all__ = [
    "HostedImages",
    "ImageHandle",
    "ImageNotFound",
    "ImageTransformer",
    "Images",
    "ImagesError",
    "TransformationResult",
]
