"""``HTMLRewriter``: changes a page while it passes. What no handler touches comes out byte for byte.

The tokens are turbohtml's, which keeps the source of each. An element is known by the open elements around it; nothing
else of the page is held.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from turbohtml import Token, Tokenizer, TokenType

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.functions import call_relaxed
from wrangler_compat.host.model.promise import settle_with
from wrangler_compat.host.model.proxy import JsProxy, jsnull, properties
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.selectors import OpenElement, Selector, parse_selector
from wrangler_compat.host.web.streams import ReadableStream, bytes_from, stream_of

__all__ = ["HTMLRewriter"]

_VOID: Final = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
# An element of HTML in SVG or MathML ends that.
_BREAKS_OUT: Final = frozenset(
    ("b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
     "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
     "small", "span", "strike", "strong", "sub", "sup", "table", "tt", "u", "ul", "var")
)  # fmt: skip
_ATTRIBUTE: Final = re.compile(r"""([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")
_TAG: Final = re.compile(r"[\s/>]")
_HTML: Final = "http://www.w3.org/1999/xhtml"
_SVG: Final = "http://www.w3.org/2000/svg"
_MATHML: Final = "http://www.w3.org/1998/Math/MathML"
_ROOTS: Final = {"svg": _SVG, "math": _MATHML}
_HOLDS_HTML: Final = {
    _HTML: frozenset[str](),
    _SVG: frozenset(("foreignobject", "desc", "title")),
    _MATHML: frozenset(("mi", "mo", "mn", "ms", "mtext", "annotation-xml")),
}

# Bytes that are no text in the page's encoding stand in it as these, and are written as what they were.
_BYTES: Final = "edgeagents.bytes"
_STRAY: Final = re.compile("[\udc80-\udcff]+")

Content = tuple[Any, bool]


def _bytes_as_text(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        wrong = error.object[error.start : error.end]
        return "".join(chr(0xDC00 + byte) if byte >= 0x80 else chr(byte) for byte in wrong), error.end
    assert isinstance(error, UnicodeEncodeError)
    letters = map(ord, error.object[error.start : error.end])
    return b"".join(bytes((n - 0xDC00,)) if 0xDC80 <= n <= 0xDCFF else b"&#%d;" % n for n in letters), error.end


codecs.register_error(_BYTES, _bytes_as_text)


def _shown(text: str) -> str:
    """Return ``text`` of a page as handlers see it, where bytes that are no text are replaced."""
    return _STRAY.sub(_replaced, text) if not text.isascii() else text


def _replaced(stray: re.Match[str]) -> str:
    return bytes(ord(letter) - 0xDC00 for letter in stray[0]).decode("utf-8", "replace")


class _Mutable(JsProxy):
    """What handlers get: something that can be replaced, removed, or have content before and after it."""

    def __init__(self) -> None:
        self._before: list[Content] = []
        self._after: list[Content] = []
        self._replacement: list[Content] | None = None
        self._is_alive = True

    @property
    def removed(self) -> bool:
        """Whether it was removed or replaced."""
        return self._replacement is not None

    def _check(self) -> None:
        if not self._is_alive:
            raise JsTypeError("This content token is no longer valid. Content tokens are only valid in their handler.")

    def before(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` before it; text unless ``{html: true}``."""
        self._check()
        self._before.append(_content(content, options))
        return self

    def after(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` after it."""
        self._check()
        self._after.insert(0, _content(content, options))
        return self

    def replace(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` in its place."""
        self._check()
        self._replacement = [_content(content, options)]
        return self

    def remove(self) -> Any:
        """Remove it."""
        self._check()
        self._replacement = []
        return self

    def _keys(self) -> list[str]:
        return []


class _TextChunk(_Mutable):
    _js_name = "Text"

    def __init__(self, text: str, *, is_last: bool) -> None:
        super().__init__()
        self.text, self.lastInTextNode = text, is_last


class _Comment(_Mutable):
    _js_name = "Comment"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text, self._is_changed = text, False

    @property
    def text(self) -> str:
        """What stands in it."""
        return self._text

    @text.setter
    def text(self, value: Any) -> None:
        text = to_text(value)
        if "-->" in text:
            raise JsTypeError("Parser error: Comment text shouldn't contain comment closing sequence (`-->`).")
        self._text, self._is_changed = text, True


class _Doctype(JsProxy):
    _js_name = "Doctype"

    def __init__(self, token: Token) -> None:
        self.name, self.publicId, self.systemId = (
            jsnull if value is None else value for value in (token.name, token.public_id, token.system_id)
        )


class _DocumentEnd(JsProxy):
    _js_name = "DocumentEnd"

    def __init__(self) -> None:
        self._content: list[Content] = []

    def append(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the end of the page."""
        self._content.append(_content(content, options))
        return self


class _EndTag(_Mutable):
    _js_name = "EndTag"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class _Element(_Mutable):
    _js_name = "Element"

    def __init__(self, tag: str, source: str, namespace: str, *, is_void: bool, is_self_closing: bool) -> None:
        super().__init__()
        self._tag, self._source, self._is_void = tag, source, is_void
        self._is_renamed = False
        self._is_self_closing = is_self_closing
        self.namespaceURI = namespace
        self._attributes = _attributes(source)
        self._is_changed = False
        self._prepended: list[Content] = []
        self._appended: list[Content] = []
        self._after_end: list[Content] = []
        self._end_handlers: list[Callable[..., Any]] = []
        self._drops_content = False

    @property
    def tagName(self) -> str:
        """The name of the element, which can be changed."""
        return self._tag

    @tagName.setter
    def tagName(self, name: Any) -> None:
        self._check()
        text = to_text(name)
        if not text:
            raise JsTypeError("Parser error: Tag name can't be empty.")
        if not re.match("[A-Za-z]", text):
            raise JsTypeError(
                "Parser error: The first character of the tag name should be an ASCII alphabetical character."
            )
        _refuse(r"[\s/>]", text, "tag")
        self._tag, self._is_changed, self._is_renamed = text, True, True

    @property
    def attributes(self) -> Iterator[JsArray]:
        """The attributes, as pairs."""
        return (JsArray((one.name, one.value)) for one in tuple(self._attributes))

    def getAttribute(self, name: Any) -> Any:
        """Return the value of an attribute, or null."""
        wanted = to_text(name).lower()
        return next((one.value for one in self._attributes if one.name == wanted), jsnull)

    def hasAttribute(self, name: Any) -> bool:
        """Whether it has such an attribute."""
        return self.getAttribute(name) is not jsnull

    def setAttribute(self, name: Any, value: Any) -> Any:
        """Set an attribute."""
        self._check()
        wanted, text = to_text(name).lower(), to_text(value)
        if not wanted:
            raise JsTypeError("Parser error: Attribute name can't be empty.")
        _refuse(r"[\s/>=]", wanted, "attribute")
        escaped = text.replace('"', "&quot;")
        at = next((n for n, one in enumerate(self._attributes) if one.name == wanted), None)
        if at is None:
            self._attributes.append(_Attribute(wanted, text, f'{wanted}="{escaped}"'))
        else:
            written = re.split(r"[\s=]", self._attributes[at].raw, maxsplit=1)[0]
            self._attributes[at] = _Attribute(wanted, text, f'{written}="{escaped}"')
        self._is_changed = True
        return self

    def removeAttribute(self, name: Any) -> Any:
        """Remove an attribute."""
        self._check()
        kept = [one for one in self._attributes if one.name != to_text(name).lower()]
        self._is_changed = self._is_changed or len(kept) != len(self._attributes)
        self._attributes = kept
        return self

    def after(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` after the element."""
        self._check()
        self._after_end.insert(0, _content(content, options))
        return self

    def prepend(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the beginning of the element."""
        self._check()
        self._prepended.insert(0, _content(content, options))
        return self

    def append(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the end of the element."""
        self._check()
        self._appended.append(_content(content, options))
        return self

    def setInnerContent(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` in place of what is in the element."""
        self._check()
        self._drops_content = True
        self._prepended, self._appended = [_content(content, options)], []
        return self

    def replace(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` in place of the element and what is in it."""
        super().replace(content, options)
        self._drops_content, self._prepended, self._appended = True, [], []
        return self

    def remove(self) -> Any:
        """Remove the element and what is in it."""
        super().remove()
        self._drops_content, self._prepended, self._appended = True, [], []
        return self

    def removeAndKeepContent(self) -> Any:
        """Remove the element's tags alone."""
        return super().remove()

    def onEndTag(self, handler: Callable[..., Any]) -> None:
        """Call ``handler`` with the element's end tag."""
        self._check()
        if self._is_void:
            raise JsTypeError("Parser error: No end tag.")
        self._end_handlers.append(handler)

    def _start_tag(self) -> str:
        if not self._is_changed:
            return self._source
        written = self._tag if self._is_renamed else _TAG.split(self._source[1:], maxsplit=1)[0]
        inside = " ".join([written, *(one.raw for one in self._attributes)])
        return f"<{inside}{' /' if self._is_self_closing else ''}>"


def _refuse(letters: str, name: str, what: str) -> None:
    found = re.search(letters, name)
    if found is not None:
        raise JsTypeError(f"Parser error: `{found[0]}` character is forbidden in the {what} name")


@dataclass(slots=True)
class _Attribute:
    name: str
    value: str
    """As it is written: references such as ``&amp;`` stand in it."""
    raw: str


def _attributes(source: str) -> list[_Attribute]:
    """Return the attributes of a start tag, in their order."""
    found = re.match(r"<[^\s/>]+", source)
    body = source[found.end() if found else 1 :].removesuffix(">")
    return [
        _Attribute(_shown(m[1].lower()), _shown(next((v for v in m.groups()[1:] if v is not None), "")), m[0])
        for m in _ATTRIBUTE.finditer(body)
    ]


@dataclass(slots=True)
class _Open:
    """An open element, with what its start tag's handlers wanted of the rest."""

    element: OpenElement
    matched: list[_Handlers]
    rewritten: _Element | None = None
    namespace: str = _HTML
    """What the elements in it belong to, unless they say otherwise."""


@dataclass(slots=True)
class _Handlers:
    selector: Selector | None
    object: Any
    methods: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])

    def __post_init__(self) -> None:
        for name in ("element", "comments", "text", "doctype", "end"):
            found = self.object.get(name) if isinstance(self.object, dict) else getattr(self.object, name, None)
            if callable(found):
                self.methods[name] = found


class HTMLRewriter(JsProxy):
    """``HTMLRewriter``."""

    _js_name = "HTMLRewriter"

    def __init__(self) -> None:
        self._handlers: list[_Handlers] = []
        self._of_document: list[_Handlers] = []

    def on(self, selector: Any, handlers: Any) -> HTMLRewriter:
        """Call ``handlers`` for each element that ``selector`` means, and for what is in it."""
        self._handlers.append(_Handlers(parse_selector(to_text(selector)), handlers))
        return self

    def onDocument(self, handlers: Any) -> HTMLRewriter:
        """Call ``handlers`` for the page."""
        self._of_document.append(_Handlers(None, handlers))
        return self

    def transform(self, response: Response) -> Response:
        """Return ``response`` with its page changed as it is read."""
        if response.body is jsnull:
            return Response(None, response)
        page = _Page(self._handlers, self._of_document, _charset(response))
        changed = Response(stream_of(page.rewritten(response.body)), response)
        changed.headers.delete("content-length")
        return changed


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


class _Page:
    def __init__(self, handlers: list[_Handlers], of_document: list[_Handlers], charset: str) -> None:
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
        decoder = codecs.getincrementaldecoder(self._charset)(_BYTES)
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
        return text.encode(self._charset, _BYTES)

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
                    await _call(handlers, "doctype", _Doctype(token))
                self._put(source)
            case _:
                self._put(source)

    def _concerned(self, name: str) -> list[_Handlers]:
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
        chunk = _TextChunk(_shown(text), is_last=is_last)
        for handlers in concerned:
            await _call(handlers, "text", chunk)
        await self._put_mutated(chunk, chunk.text)

    async def _comment(self, text: str, source: str) -> None:
        concerned = self._concerned("comments")
        if not concerned:
            self._put(source)
            return
        comment = _Comment(_shown(text))
        for handlers in concerned:
            await _call(handlers, "comments", comment)
        written = f"<!--{comment.text}-->" if comment._is_changed else source
        await self._put_mutated(comment, written)

    async def _put_mutated(self, thing: _Mutable, text: str) -> None:
        thing._is_alive = False
        await self._put_content(thing._before)
        if thing._replacement is None:
            self._put(text)
        else:
            await self._put_content(thing._replacement)
        await self._put_content(thing._after)

    async def _start_tag(self, token: Token, source: str) -> None:
        tag = _shown((token.tag or "").lower())
        parent = self._open[-1].element if self._open else self._root
        parent.children += 1
        parent.children_by_type[tag] = parent.children_by_type.get(tag, 0) + 1
        # The tokenizer's have no references any more; of two with one name, the first counts.
        written = [(one.name, one.value) for one in _attributes(source)] if "&" in source else token.attrs or []
        attributes = {_shown(name.lower()): _shown(value or "") for name, value in reversed(written)}
        element = OpenElement(tag, attributes, parent.children, parent.children_by_type[tag])
        around = [one.element for one in self._open]
        matched = [h for h in self._handlers if h.selector is not None and h.selector.matches(element, around)]
        namespace = self._namespace_of(tag)
        is_void = tag in _VOID if namespace == _HTML else token.self_closing
        opened = _Open(element, matched, namespace=_HTML if tag in _HOLDS_HTML[namespace] else namespace)
        if any("element" in handlers.methods for handlers in matched):
            opened.rewritten = rewritten = _Element(
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

    async def _put_start(self, element: _Element) -> None:
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
        tag = _shown((token.tag or "").lower())
        at = next((n for n in range(len(self._open) - 1, -1, -1) if self._open[n].element.tag == tag), None)
        if at is None:
            self._put(source)
            return
        # It ends the elements within that were never closed, too: what was wanted of their ends happens to this one.
        end, closed = _EndTag(tag), self._open[at:]
        del self._open[at:]
        for opened in reversed(closed):
            if opened.rewritten is not None:
                await self._close(opened.rewritten, end)
        written = source if end.name == tag else f"</{end.name}>"
        await self._put_mutated(end, written)

    async def _close(self, element: _Element, end: _EndTag) -> None:
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
        end = _DocumentEnd()
        for handlers in self._of_document:
            await _call(handlers, "end", end)
        await self._put_content(end._content)


async def _call(handlers: _Handlers, name: str, argument: Any) -> None:
    method = handlers.methods.get(name)
    if method is not None:
        await settle_with(call_relaxed(method, argument))


def _content(content: Any, options: Any) -> Content:
    return content, properties(options).get("html") is True


async def _text_of(content: Any) -> str:
    if isinstance(content, Response):
        return await content.text()
    if isinstance(content, ReadableStream):
        return b"".join([chunk async for chunk in bytes_from(content)]).decode("utf-8", "replace")
    return to_text(content)


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
