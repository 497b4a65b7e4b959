"""Answering with assets: redirects first, then the file that the path means, with its headers."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

from edgeagents.http import Headers, Request, Response
from edgeagents_assets.header_rules import HeaderRules
from edgeagents_assets.media_types import media_type
from edgeagents_assets.redirects import Redirects
from edgeagents_assets.site import HtmlHandling, Leads, NotFoundHandling, Serves, Site

__all__ = ["Assets"]

_SAFE = "/:@!$&'()*+,;=~-._"


class Assets:
    """The assets of one worker, as ``env.ASSETS`` and as what answers before the worker does."""

    js_name: ClassVar[str] = "Fetcher"

    def __init__(
        self,
        root: Path,
        *,
        html_handling: HtmlHandling = "auto-trailing-slash",
        not_found_handling: NotFoundHandling = "none",
    ) -> None:
        self._site = Site(root, html_handling)
        self._not_found: NotFoundHandling = not_found_handling
        self.redirects = Redirects(self._site.text("_redirects"))
        self.header_rules = HeaderRules(self._site.text("_headers"))
        self._tags: dict[Path, tuple[tuple[int, int], str]] = {}

    async def fetch(self, request: Request | str) -> Response:
        """Answer a request, of whose URL only the path counts; 404 when nothing is there."""
        request = request if isinstance(request, Request) else Request(request)
        return await self.answer(request, with_not_found=True) or Response(status=404)

    async def answer(self, request: Request, *, with_not_found: bool) -> Response | None:
        """Answer with a redirect or an asset, or None when nothing is there.

        With ``with_not_found`` what ``not_found_handling`` says is there too.
        """
        path, query = request.path, urlsplit(request.url).query
        redirect = self.redirects.find(path, query)
        if redirect is not None:
            if redirect.status != 200:
                return self._with_headers(Response(status=redirect.status, headers={"location": redirect.to}), request)
            path, query = urlsplit(redirect.to).path, ""
        decoded = re.sub(r"/{2,}", "/", unquote(path, errors="replace"))
        found = await asyncio.to_thread(self._find, decoded, with_not_found)
        if found is None:
            return None
        to = found.to if isinstance(found, Leads) else decoded
        to = quote(to, safe=_SAFE)
        if request.method not in ("GET", "HEAD"):
            return Response(status=405, headers={"allow": "GET, HEAD"})
        if isinstance(found, Leads) or (to != path and redirect is None):
            return self._with_headers(_lead(to, query), request)
        return self._with_headers(await self._serve(found, request), request)

    def _find(self, path: str, with_not_found: bool) -> Serves | Leads | None:
        found = self._site.find(path)
        return self._site.missing(path, self._not_found) if found is None and with_not_found else found

    def _with_headers(self, response: Response, request: Request) -> Response:
        self.header_rules.apply(response.headers, urlsplit(request.url).netloc, request.path)
        return response

    async def _serve(self, found: Serves, request: Request) -> Response:
        known = request.headers.get("if-none-match", "") if found.status == 200 else ""
        tag, body = await asyncio.to_thread(self._load, found.file, known)
        headers = Headers({"etag": f'"{tag}"'})
        kind = media_type(found.file)
        if kind is not None:
            headers["content-type"] = kind
        if "authorization" not in request.headers and "range" not in request.headers:
            headers["cache-control"] = "public, max-age=0, must-revalidate"
        if body is None:
            return Response(status=304, headers=headers)
        return Response(body, status=found.status, headers=headers)

    def _load(self, file: Path, known: str) -> tuple[str, bytes | None]:
        tag = self._tag(file)
        return tag, None if _has(known, tag) else file.read_bytes()

    def _tag(self, file: Path) -> str:
        status = file.stat()
        version = (status.st_mtime_ns, status.st_size)
        known = self._tags.get(file)
        if known is None or known[0] != version:
            with file.open("rb") as opened:
                known = self._tags[file] = (version, hashlib.file_digest(opened, "sha256").hexdigest()[:32])
        return known[1]


def _lead(to: str, query: str) -> Response:
    return Response(status=307, headers={"location": f"{to}?{query}" if query else to})


def _has(header: str, tag: str) -> bool:
    return any(each.strip().removeprefix("W/").strip('"') == tag for each in header.split(","))
