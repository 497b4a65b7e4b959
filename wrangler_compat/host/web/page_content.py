"""What handlers of a page are given: elements, texts, comments, and what they may do with them."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from turbohtml import Token

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, jsnull, properties

__all__ = [
    "BYTES",
    "Comment",
    "Content",
    "Doctype",
    "DocumentEnd",
    "Element",
    "EndTag",
    "Mutable",
    "TextChunk",
    "attributes_of",
    "shown",
]

_ATTRIBUTE: Final = re.compile(r"""([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")
_TAG: Final = re.compile(r"[\s/>]")

# Bytes that are no text in the page's encoding stand in it as these, and are written as what they were.
BYTES: Final = "edgeagents.bytes"
_STRAY: Final = re.compile("[\udc80-\udcff]+")

Content = tuple[Any, bool]
"""What is to be put somewhere, and whether it is HTML."""


def _bytes_as_text(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeDecodeError):
        wrong = error.object[error.start : error.end]
        return "".join(chr(0xDC00 + byte) if byte >= 0x80 else chr(byte) for byte in wrong), error.end
    assert isinstance(error, UnicodeEncodeError)
    letters = map(ord, error.object[error.start : error.end])
    return b"".join(bytes((n - 0xDC00,)) if 0xDC80 <= n <= 0xDCFF else b"&#%d;" % n for n in letters), error.end


codecs.register_error(BYTES, _bytes_as_text)


def shown(text: str) -> str:
    """Return ``text`` of a page as handlers see it, where bytes that are no text are replaced."""
    return _STRAY.sub(_replaced, text) if not text.isascii() else text


def _replaced(stray: re.Match[str]) -> str:
    return bytes(ord(letter) - 0xDC00 for letter in stray[0]).decode("utf-8", "replace")


def content_of(content: Any, options: Any) -> Content:
    """Return ``content`` with whether it is HTML, as the options say, or text."""
    return content, properties(options).get("html") is True


class Mutable(JsProxy):
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
        self._before.append(content_of(content, options))
        return self

    def after(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` after it."""
        self._check()
        self._after.insert(0, content_of(content, options))
        return self

    def replace(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` in its place."""
        self._check()
        self._replacement = [content_of(content, options)]
        return self

    def remove(self) -> Any:
        """Remove it."""
        self._check()
        self._replacement = []
        return self

    def _keys(self) -> list[str]:
        return []


class TextChunk(Mutable):
    """Text, or a part of one."""

    _js_name = "Text"

    def __init__(self, text: str, *, is_last: bool) -> None:
        super().__init__()
        self.text, self.lastInTextNode = text, is_last


class Comment(Mutable):
    """``<!-- ... -->``."""

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


class Doctype(JsProxy):
    """``<!DOCTYPE ...>``."""

    _js_name = "Doctype"

    def __init__(self, token: Token) -> None:
        self.name, self.publicId, self.systemId = (
            jsnull if value is None else value for value in (token.name, token.public_id, token.system_id)
        )


class DocumentEnd(JsProxy):
    """The end of the page."""

    _js_name = "DocumentEnd"

    def __init__(self) -> None:
        self._content: list[Content] = []

    def append(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the end of the page."""
        self._content.append(content_of(content, options))
        return self


class EndTag(Mutable):
    """``</...>``."""

    _js_name = "EndTag"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Element(Mutable):
    """An element: its start tag, and what is to happen at its end."""

    _js_name = "Element"

    def __init__(self, tag: str, source: str, namespace: str, *, is_void: bool, is_self_closing: bool) -> None:
        super().__init__()
        self._tag, self._source, self._is_void = tag, source, is_void
        self._is_renamed = False
        self._is_self_closing = is_self_closing
        self.namespaceURI = namespace
        self._attributes = attributes_of(source)
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
            self._attributes.append(Attribute(wanted, text, f'{wanted}="{escaped}"'))
        else:
            written = re.split(r"[\s=]", self._attributes[at].raw, maxsplit=1)[0]
            self._attributes[at] = Attribute(wanted, text, f'{written}="{escaped}"')
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
        self._after_end.insert(0, content_of(content, options))
        return self

    def prepend(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the beginning of the element."""
        self._check()
        self._prepended.insert(0, content_of(content, options))
        return self

    def append(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` at the end of the element."""
        self._check()
        self._appended.append(content_of(content, options))
        return self

    def setInnerContent(self, content: Any, options: Any = None) -> Any:
        """Put ``content`` in place of what is in the element."""
        self._check()
        self._drops_content = True
        self._prepended, self._appended = [content_of(content, options)], []
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
class Attribute:
    name: str
    value: str
    """As it is written: references such as ``&amp;`` stand in it."""
    raw: str


def attributes_of(source: str) -> list[Attribute]:
    """Return the attributes of a start tag, in their order."""
    found = re.match(r"<[^\s/>]+", source)
    body = source[found.end() if found else 1 :].removesuffix(">")
    return [
        Attribute(shown(m[1].lower()), shown(next((v for v in m.groups()[1:] if v is not None), "")), m[0])
        for m in _ATTRIBUTE.finditer(body)
    ]
