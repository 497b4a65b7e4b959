"""``HTMLRewriter``: changes a page while it passes."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, jsnull
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import stream_of

if TYPE_CHECKING:
    from wrangler_compat.host.web.page import Handlers

__all__ = ["HTMLRewriter"]


class HTMLRewriter(JsProxy):
    """``HTMLRewriter``. What reads pages is loaded with the first handler: most workers have none."""

    _js_name = "HTMLRewriter"

    def __init__(self) -> None:
        self._handlers: list[Handlers] = []
        self._of_document: list[Handlers] = []

    def on(self, selector: Any, handlers: Any) -> HTMLRewriter:
        """Call ``handlers`` for each element that ``selector`` means, and for what is in it."""
        from wrangler_compat.host.web.page import Handlers
        from wrangler_compat.host.web.selectors import parse_selector

        self._handlers.append(Handlers(parse_selector(to_text(selector)), handlers))
        return self

    def onDocument(self, handlers: Any) -> HTMLRewriter:
        """Call ``handlers`` for the page."""
        from wrangler_compat.host.web.page import Handlers

        self._of_document.append(Handlers(None, handlers))
        return self

    def transform(self, response: Response) -> Response:
        """Return ``response`` with its page changed as it is read."""
        from wrangler_compat.host.web.page import Page

        if response.body is jsnull:
            return Response(None, response)
        page = Page(self._handlers, self._of_document, _charset(response))
        changed = Response(stream_of(page.rewritten(response.body)), response)
        changed.headers.delete("content-length")
        return changed


def _charset(response: Response) -> str:
    kind = response.headers.get("content-type")
    found = re.search(r"charset=\"?([\w-]+)", kind if isinstance(kind, str) else "")
    if found is None:
        return "utf-8"
    try:
        charset = codecs.lookup(found[1]).name
    except LookupError:
        raise JsTypeError("Parser error: Unknown character encoding has been provided.") from None
    if charset.startswith(("utf-16", "utf-32", "utf-7")):
        raise JsTypeError("Parser error: Expected ASCII-compatible encoding.")
    return charset
