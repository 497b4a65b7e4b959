"""What is made of a page in one go: a picture, its HTML, a PDF."""

from __future__ import annotations

import base64
from typing import Any, Final, Literal

from edgeagents_browser.devtools import Tab

__all__ = ["PictureType", "html_of", "pdf_of", "picture_of"]

PictureType = Literal["png", "jpeg", "webp"]
_HTML: Final = (
    "(document.doctype ? new XMLSerializer().serializeToString(document.doctype) : '')"
    " + document.documentElement.outerHTML"
)


async def picture_of(
    tab: Tab, kind: PictureType, quality: int | None, width: int, height: int, full_page: bool
) -> bytes:
    """Return a picture of what the page shows, or of all of it."""
    options: dict[str, Any] = {"format": kind}
    if quality is not None and kind != "png":
        options["quality"] = quality
    if full_page:
        size = (await tab.ask("Page.getLayoutMetrics"))["cssContentSize"]
        options["clip"] = {"x": 0, "y": 0, "width": max(size["width"], width), "height": size["height"], "scale": 1}
        options["captureBeyondViewport"] = True
    return base64.b64decode((await tab.ask("Page.captureScreenshot", **options))["data"])


async def html_of(tab: Tab) -> str:
    """Return the HTML of the page as it is now, after its scripts."""
    result = await tab.ask("Runtime.evaluate", expression=_HTML, returnByValue=True)
    return result["result"]["value"]


async def pdf_of(tab: Tab, landscape: bool, background: bool, paper: tuple[float, float]) -> bytes:
    """Return the page as a PDF, on paper of this width and height in inches."""
    options = {"landscape": landscape, "printBackground": background, "paperWidth": paper[0], "paperHeight": paper[1]}
    return base64.b64decode((await tab.ask("Page.printToPDF", **options))["data"])
