"""Images from a Python Worker on Cloudflare's SDK."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: Images", "same")

SOURCE = """
    import base64
    import js
    from pyodide.ffi import create_proxy, to_js
    from workers import Response, WorkerEntrypoint

    PNG = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
    )

    def stream(data):
        def start(controller):
            controller.enqueue(to_js(data))
            controller.close()

        return js.ReadableStream.new(to_js({"start": create_proxy(start)}))

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            images = self.env.IMAGES
            if request.url.endswith("/picture"):
                pipeline = images.input(stream(PNG)).transform({"width": 6, "height": 4, "fit": "squeeze"})
                output = await pipeline.draw(images.input(stream(PNG))).output({"format": "image/webp", "quality": 90})
                return output.response()
            told = await images.info(stream(PNG))
            pipeline = images.input(stream(PNG))
            output = await pipeline.output({"format": "image/png"})
            try:
                await pipeline.output({"format": "image/png"})
            except Exception as error:
                refused = [error.code, error.message]
            return Response.json([told, output.contentType(), output.response().headers.get("content-type"), refused])
"""


async def test_pictures_are_changed_by_a_worker(run: RunWorker) -> None:
    worker = await run(SOURCE, images={"binding": "IMAGES"})
    response = await worker.fetch("/picture")
    content = await response.bytes()
    assert (response.status, response.headers["content-type"]) == (200, "image/webp"), content
    assert Image.open(io.BytesIO(content)).size == (6, 4)
    told, kind, field, refused = json.loads(await worker.text("/told"))
    assert told == {"format": "image/png", "fileSize": 70, "width": 1, "height": 1}
    assert (kind, field) == ("image/png", "image/png")
    assert refused[0] == 9525
    assert refused[1].startswith("IMAGES_TRANSFORM_ERROR 9525: ")
