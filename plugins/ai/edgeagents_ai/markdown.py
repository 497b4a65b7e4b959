"""Documents to Markdown: text, HTML, CSV, JSON and XML. What needs a model or a library comes back as an error."""

from __future__ import annotations

import asyncio
import csv
import io
import mimetypes
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any, ClassVar, Final

__all__ = ["ToMarkdownService", "html_to_markdown"]

_SUPPORTED: Final = {
    ".csv": "text/csv",
    ".htm": "text/html",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".xml": "application/xml",
}
_LETTERS_A_TOKEN: Final = 4


class ToMarkdownService:
    """Turns documents into Markdown."""

    js_name: ClassVar[str] = "ToMarkdownService"

    async def transform(self, files: Mapping[str, Any] | Sequence[Mapping[str, Any]], options: Any = None) -> Any:
        """Return ``{"name", "mimeType", "format": "markdown", "tokens", "data"}``; a list for several.

        For what cannot be read here ``format`` is ``error``, and ``error`` says why.
        """
        if isinstance(files, Mapping):
            return await asyncio.to_thread(_converted, files)
        return [await asyncio.to_thread(_converted, one) for one in files]

    async def supported(self) -> list[dict[str, str]]:
        """Return the kinds that can be read."""
        return [{"extension": ending, "mimeType": kind} for ending, kind in _SUPPORTED.items()]


def _converted(file: Mapping[str, Any]) -> dict[str, Any]:
    name, blob = str(file.get("name") or ""), file.get("blob")
    ending = re.search(r"\.[^.]*$", name.lower())
    kind = _SUPPORTED.get(ending[0] if ending else "")
    if not isinstance(blob, bytes | str):
        raise TypeError("A document is an object with a name and a blob.")
    if kind is None:
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        error = f"{guessed} cannot be turned into Markdown here. Can be: {', '.join(_SUPPORTED)}."
        return {"name": name, "mimeType": guessed, "format": "error", "error": error}
    text = blob if isinstance(blob, str) else blob.decode("utf-8", "replace").removeprefix("\ufeff")
    data = _markdown(kind, name, text)
    return {
        "name": name,
        "mimeType": kind,
        "format": "markdown",
        "tokens": max(1, len(data) // _LETTERS_A_TOKEN),
        "data": data,
    }


def _markdown(kind: str, name: str, text: str) -> str:
    match kind:
        case "text/html":
            return html_to_markdown(text)
        case "text/csv":
            return _table(text)
        case "application/json" | "application/xml":
            return f"```{kind.rpartition('/')[2]}\n{text.rstrip()}\n```\n"
        case _:
            return text


def _table(text: str) -> str:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = ["| " + " | ".join(_cell(row, column) for column in range(width)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]]) + "\n"


def _cell(row: Sequence[str], column: int) -> str:
    value = row[column] if column < len(row) else ""
    return value.replace("|", "\\|").replace("\n", " ").strip()


def html_to_markdown(html: str) -> str:
    """Return headings, paragraphs, lists, links, emphasis and code of a page as Markdown."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(reader.written)).strip() + "\n"


_INLINE: Final = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`"}
_BLOCKS: Final = frozenset({"p", "div", "section", "article", "table", "blockquote", "main", "header", "footer"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.written: list[str] = []
        self._silent = 0
        self._is_code = False
        self._lists: list[int | None] = []
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "style", "head", "template"):
            self._silent += 1
        elif tag == "pre":
            self._is_code = True
            self.written.append("\n\n```\n")
        elif tag in _INLINE and not self._is_code:
            self.written.append(_INLINE[tag])
        elif re.fullmatch(r"h[1-6]", tag):
            self.written.append(f"\n\n{'#' * int(tag[1])} ")
        elif tag in ("ul", "ol"):
            self._lists.append(0 if tag == "ol" else None)
            self.written.append("\n")
        elif tag == "li":
            self.written.append(self._bullet())
        elif tag == "a":
            self._links.append(given.get("href") or "")
            self.written.append("[")
        elif tag == "img":
            self.written.append(f"![{given.get('alt') or ''}]({given.get('src') or ''})")
        elif tag == "br":
            self.written.append("\n")
        elif tag == "tr":
            self.written.append("\n|")
        elif tag in ("td", "th"):
            self.written.append(" ")
        elif tag in _BLOCKS:
            self.written.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "head", "template"):
            self._silent = max(0, self._silent - 1)
        elif tag == "pre":
            self._is_code = False
            self.written.append("\n```\n\n")
        elif tag in _INLINE and not self._is_code:
            self.written.append(_INLINE[tag])
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self.written.append("\n")
        elif tag == "a" and self._links:
            self.written.append(f"]({self._links.pop()})")
        elif tag in ("td", "th"):
            self.written.append(" |")
        elif tag in _BLOCKS or re.fullmatch(r"h[1-6]", tag):
            self.written.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.written.append(data if self._is_code else re.sub(r"\s+", " ", data))

    def _bullet(self) -> str:
        indent = "  " * max(0, len(self._lists) - 1)
        number = self._lists[-1] if self._lists else None
        if number is None:
            return f"\n{indent}- "
        self._lists[-1] = number + 1
        return f"\n{indent}{number + 1}. "
