"""Pages while they pass: what no handler touches comes out byte for byte.

The tokens are turbohtml's, which keeps the source of each. An element is known by the open elements around it; nothing
else of the page is held.
"""

from __future__ import annotations

import codecs
import html
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from turbohtml import Token, Tokenizer, TokenType

from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.functions import call_relaxed, method_of
from wrangler_compat.host.model.promise import settle_with
from wrangler_compat.host.web.page_content import (
    BYTES,
    Comment,
    Content,
    Doctype,
    DocumentEnd,
    Element,
    EndTag,
    Mutable,
    TextChunk,
    attributes_of,
    shown,
)
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.selectors import OpenElement, Selector
from wrangler_compat.host.web.streams import ReadableStream, bytes_from

__all__ = ["Handlers", "Page"]

_VOID: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
# An element of HTML in SVG or MathML ends that.
_BREAKS_OUT: Final = frozenset(
    ("b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
     "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
     "small", "span", "strike", "strong", "sub", "sup", "table", "tt", "u", "ul", "var")
)  # fmt: skip
_HTML: Final = "http://www.w3.org/1999/xhtml"
_SVG: Final = "http://www.w3.org/2000/svg"
_MATHML: Final = "http://www.w3.org/1998/Math/MathML"
_ROOTS: Final = {"svg": _SVG, "math": _MATHML}
_HOLDS_HTML: Final = {
    _HTML: frozenset[str](),
    _SVG: frozenset(("foreignobject", "desc", "title")),
    _MATHML: frozenset(("mi", "mo", "mn", "ms", "mtext", "annotation-xml")),
}


@dataclass(slots=True)
class _Open:
    """An open element, with what its start tag's handlers wanted of the rest."""

    element: OpenElement
    matched: list[Handlers]
    rewritten: Element | None = None
    namespace: str = _HTML
    """What the elements in it belong to, unless they say otherwise."""


@dataclass(slots=True)
class Handlers:
    """What a program does with the elements that a selector means, or with the page."""

    selector: Selector | None
    object: Any
    methods: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])

    def __post_init__(self) -> None:
        for name in ("element", "comments", "text", "doctype", "end"):
            found = method_of(self.object, name)
            if found is not None:
                self.methods[name] = found


class _Source:
    """The page as it came. The tokens have other ends of lines, and a tag that is cut off gives none."""

    def __init__(self) -> None:
        self._text, self._at = "", 0

    def feed(self, text: str) -> None:
        self._text, self._at = self._text[self._at :] + text, 0

    def take(self, written: str) -> str:
        """Return what came where the tokenizer read ``written``."""
        text, begin = self._text, self._at
        at = begin + len(written)
        if not text.startswith(written, begin):
            first, *lines = written.split("\n")
            at = begin + len(first)
            for line in lines:
                at += (2 if text.startswith("\r\n", at) else 1) + len(line)
        self._at = at
        return text[begin:at]

    def rest(self) -> str:
        """Return what no token was made of."""
        return self._text[self._at :]


class Page:
    """One page on its way."""

    def __init__(self, handlers: list[Handlers], of_document: list[Handlers], charset: str) -> None:
        self._handlers, self._of_document, self._charset = handlers, of_document, charset
        self._open: list[_Open] = []
        self._root = OpenElement("", {})
        self._source = _Source()
        self._dropping = 0
        self._out: list[str] = []
        self._in_text = False
        self._pieces: list[str] = []
        """The text that came since the last tag; references are pieces of their own to the tokenizer."""

    async def rewritten(self, source: ReadableStream) -> AsyncIterator[bytes]:
        """Yield the page as it is to be."""
        decoder = codecs.getincrementaldecoder(self._charset)(BYTES)
        tokenizer = Tokenizer(capture_source=True, resolve_references=False)
        async for chunk in bytes_from(source):
            text = decoder.decode(chunk)
            self._source.feed(text)
            for token in tokenizer.feed(text):
                await self._token(token)
            await self._put_text()
            if self._out:
                yield self._take()
        text = decoder.decode(b"", True)
        self._source.feed(text)
        for token in (*tokenizer.feed(text), *tokenizer.close()):
            await self._token(token)
        await self._end_of_text()
        self._put(self._source.rest())
        await self._end_of_page()
        if self._out:
            yield self._take()

    def _take(self) -> bytes:
        text, self._out = "".join(self._out), []
        return text.encode(self._charset, BYTES)

    def _put(self, text: str) -> None:
        if not self._dropping:
            self._out.append(text)

    async def _put_content(self, contents: list[Content]) -> None:
        for content, is_html in contents:
            text = (await _text_of(content)).encode("utf-8", "replace").decode()
            self._put(text if is_html else html.escape(text, quote=False))

    # Tokens

    async def _token(self, token: Token) -> None:
        source = self._source.take(token.source or token.data or "")
        if token.type in (TokenType.TEXT, TokenType.CHARACTER_REFERENCE):
            self._pieces.append(source)
            return
        await self._end_of_text()
        match token.type:
            case TokenType.START_TAG:
                await self._start_tag(token, source)
            case TokenType.END_TAG:
                await self._end_tag(token, source)
            case TokenType.COMMENT:
                await self._comment(token.data or "", source)
            case TokenType.PROCESSING_INSTRUCTION:
                await self._comment(source[1:].removesuffix(">"), source)
            case TokenType.DOCTYPE:
                for handlers in self._of_document:
                    await _call(handlers, "doctype", Doctype(token))
                self._put(source)
            case _:
                self._put(source)

    def _concerned(self, name: str) -> list[Handlers]:
        concerned = [handlers for handlers in self._of_document if name in handlers.methods]
        for one in self._open:
            concerned += [
                handlers for handlers in one.matched if name in handlers.methods and handlers not in concerned
            ]
        return concerned

    async def _put_text(self) -> None:
        if self._pieces:
            text, self._pieces = "".join(self._pieces), []
            await self._text(text, is_last=False)

    async def _end_of_text(self) -> None:
        await self._put_text()
        if self._in_text:
            await self._text("", is_last=True)

    async def _text(self, text: str, *, is_last: bool) -> None:
        self._in_text = not is_last
        concerned = self._concerned("text")
        if not concerned:
            self._put(text)
            return
        chunk = TextChunk(shown(text), is_last=is_last)
        for handlers in concerned:
            await _call(handlers, "text", chunk)
        await self._put_mutated(chunk, chunk.text)

    async def _comment(self, text: str, source: str) -> None:
        concerned = self._concerned("comments")
        if not concerned:
            self._put(source)
            return
        comment = Comment(shown(text))
        for handlers in concerned:
            await _call(handlers, "comments", comment)
        written = f"<!--{comment.text}-->" if comment._is_changed else source
        await self._put_mutated(comment, written)

    async def _put_mutated(self, thing: Mutable, text: str) -> None:
        thing._is_alive = False
        await self._put_content(thing._before)
        if thing._replacement is None:
            self._put(text)
        else:
            await self._put_content(thing._replacement)
        await self._put_content(thing._after)

    async def _start_tag(self, token: Token, source: str) -> None:
        tag = shown((token.tag or "").lower())
        parent = self._open[-1].element if self._open else self._root
        parent.children += 1
        parent.children_by_type[tag] = parent.children_by_type.get(tag, 0) + 1
        # The tokenizer's have no references any more; of two with one name, the first counts.
        written = [(one.name, one.value) for one in attributes_of(source)] if "&" in source else token.attrs or []
        attributes = {shown(name.lower()): shown(value or "") for name, value in reversed(written)}
        element = OpenElement(tag, attributes, parent.children, parent.children_by_type[tag])
        around = [one.element for one in self._open]
        matched = [h for h in self._handlers if h.selector is not None and h.selector.matches(element, around)]
        namespace = self._namespace_of(tag)
        is_void = tag in _VOID if namespace == _HTML else token.self_closing
        opened = _Open(element, matched, namespace=_HTML if tag in _HOLDS_HTML[namespace] else namespace)
        if any("element" in handlers.methods for handlers in matched):
            opened.rewritten = rewritten = Element(
                tag, source, opened.namespace, is_void=is_void, is_self_closing=token.self_closing
            )
            for handlers in matched:
                await _call(handlers, "element", rewritten)
            await self._put_start(rewritten)
        else:
            self._put(source)
        if not is_void:
            self._open.append(opened)

    def _namespace_of(self, tag: str) -> str:
        around = self._open[-1].namespace if self._open else _HTML
        return _HTML if tag in _BREAKS_OUT else _ROOTS.get(tag, around)

    async def _put_start(self, element: Element) -> None:
        element._is_alive = False
        await self._put_content(element._before)
        if element._replacement is None:
            self._put(element._start_tag())
        else:
            await self._put_content(element._replacement)
        if element._is_void:
            await self._put_content(element._after_end)
            return
        await self._put_content(element._prepended)
        if element._drops_content:
            self._dropping += 1

    async def _end_tag(self, token: Token, source: str) -> None:
        tag = shown((token.tag or "").lower())
        at = next((n for n in range(len(self._open) - 1, -1, -1) if self._open[n].element.tag == tag), None)
        if at is None:
            self._put(source)
            return
        # It ends the elements within that were never closed, too: what was wanted of their ends happens to this one.
        end, closed = EndTag(tag), self._open[at:]
        del self._open[at:]
        for opened in reversed(closed):
            if opened.rewritten is not None:
                await self._close(opened.rewritten, end)
        written = source if end.name == tag else f"</{end.name}>"
        await self._put_mutated(end, written)

    async def _close(self, element: Element, end: EndTag) -> None:
        if element._drops_content:
            self._dropping -= 1
        if element._appended or element._after_end or element.removed:
            end._before, end._after = list(element._appended), list(element._after_end)
            end._replacement = [] if element.removed else None
        if element._is_renamed:
            end.name = element._tag
        for handler in element._end_handlers:
            await settle_with(call_relaxed(handler, end))

    async def _end_of_page(self) -> None:
        # What is still open has no end tag, so nothing happens there.
        self._dropping = 0
        end = DocumentEnd()
        for handlers in self._of_document:
            await _call(handlers, "end", end)
        await self._put_content(end._content)


async def _call(handlers: Handlers, name: str, argument: Any) -> None:
    method = handlers.methods.get(name)
    if method is not None:
        await settle_with(call_relaxed(method, argument))


async def _text_of(content: Any) -> str:
    if isinstance(content, Response):
        return await content.text()
    if isinstance(content, ReadableStream):
        return b"".join([chunk async for chunk in bytes_from(content)]).decode("utf-8", "replace")
    return to_text(content)
