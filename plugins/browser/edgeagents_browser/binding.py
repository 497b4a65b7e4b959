"""A browser: what is found in ``env``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

from edgeagents.http import Request, Response
from edgeagents.objects.websocket import web_socket_pair
from edgeagents_browser.chromium import BrowserError
from edgeagents_browser.devtools import DevTools, Tab
from edgeagents_browser.page import PictureType, html_of, pdf_of, picture_of
from edgeagents_browser.relay import relay
from edgeagents_browser.sessions import Session, Sessions, TooManySessions, read_keep_alive

__all__ = ["Browser"]

_BROWSER: Final = re.compile(r"/v1/devtools/browser/([^/]+)(?:/(page|json)(?:/(.+))?)?")
_SESSION: Final = re.compile(r"/v1/devtools/session/([^/]+)")
_PAPER: Final = {"a4": (8.27, 11.7), "a3": (11.7, 16.54), "letter": (8.5, 11.0), "legal": (8.5, 14.0)}


class Browser:
    """Browsers of this machine. ``fetch`` has what clients such as Puppeteer use; the rest is for one line of code."""

    js_name: ClassVar[str] = "BrowserRendering"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._own: Session | None = None
        self._lock = asyncio.Lock()
        self._relays: set[asyncio.Task[None]] = set()

    # For clients

    async def fetch(
        self,
        request: Request | str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Response:
        """Answer as Cloudflare's browsers do. The host does not matter.

        ``/v1/acquire``, ``/v1/connectDevtools?browser_session=``, ``/v1/sessions``, ``/v1/history``, ``/v1/limits``,
        ``/v1/devtools/...``.
        """
        if not isinstance(request, Request):
            request = Request(request, method=method, headers=dict(headers or {}), body=body)
        try:
            return await self._answer(request)
        except TooManySessions as error:
            return Response(str(error), status=429)
        except BrowserError as error:
            return Response(str(error), status=500)
        except ValueError as error:
            return Response(str(error), status=400)

    async def _answer(self, request: Request) -> Response:
        simple: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("GET", "/v1/acquire"): self._acquire,
            ("POST", "/v1/devtools/browser"): self._acquire,
            ("GET", "/v1/devtools/browser"): self._acquire_and_connect,
            ("GET", "/v1/connectDevtools"): self._connect_in_pieces,
        }
        told: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/v1/sessions"): lambda: {"sessions": self._sessions.list()},
            ("GET", "/v1/devtools/session"): self._sessions.list,
            ("GET", "/v1/history"): lambda: {"history": self._sessions.history()},
            ("GET", "/v1/limits"): self._sessions.limits,
        }
        asked = (request.method, request.path)
        if asked in simple:
            return await simple[asked](request)
        if asked in told:
            return Response.from_json(told[asked]())
        if found := _SESSION.fullmatch(request.path):
            return Response.from_json(self._find(found[1]).to_json())
        if found := _BROWSER.fullmatch(request.path):
            return await self._of_browser(request, self._find(found[1]), found[2], found[3] or "")
        return Response("Not Found", status=404)

    async def _of_browser(self, request: Request, session: Session, what: str | None, rest: str) -> Response:
        if what == "json":
            query = f"?{request.query_string}" if request.query_string else ""
            if rest == "new":
                query = f"?{request.query.get('url') or 'about:blank'}"
            status, data = await session.browser.ask(f"/json/{rest or 'list'}{query}", request.method)
            return Response(data, status=status, headers={"content-type": "application/json"})
        if what == "page":
            return self._connect(session, f"ws://{session.browser.host}/devtools/page/{rest}", in_pieces=False)
        if request.method == "DELETE":
            await self._sessions.close(session)
            return Response.from_json({"status": "closed"})
        return self._connect(session, session.browser.address, in_pieces=False)

    async def _acquire(self, request: Request) -> Response:
        session = await self._sessions.acquire(read_keep_alive(request.query.get("keep_alive")))
        return Response.from_json({"sessionId": session.id})

    async def _acquire_and_connect(self, request: Request) -> Response:
        session = await self._sessions.acquire(read_keep_alive(request.query.get("keep_alive")))
        return self._connect(session, session.browser.address, in_pieces=False)

    async def _connect_in_pieces(self, request: Request) -> Response:
        session_id = request.query.get("browser_session")
        if not session_id:
            return Response("browser_session must be set", status=400)
        session = self._find(session_id)
        if session.connections:
            return Response("A client is connected to this session already.", status=409)
        return self._connect(session, session.browser.address, in_pieces=True)

    def _find(self, session_id: str) -> Session:
        session = self._sessions.find(session_id)
        if session is None:
            raise ValueError(f"There is no session {session_id}; it may have ended.")
        return session

    def _connect(self, session: Session, address: str, *, in_pieces: bool) -> Response:
        client, server = web_socket_pair()
        connection = self._sessions.connect(session)

        async def carry() -> None:
            try:
                await relay(address, server, in_pieces=in_pieces)
            finally:
                self._sessions.disconnect(session, connection)

        task = asyncio.ensure_future(carry())
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)
        return Response(status=101, websocket=client, headers={"cf-browser-session-id": session.id})

    # In a line

    async def screenshot(
        self,
        url: str | None = None,
        *,
        html: str | None = None,
        type: PictureType = "png",
        quality: int | None = None,
        width: int = 1280,
        height: int = 720,
        full_page: bool = False,
    ) -> bytes:
        """Return a picture of the page at ``url``, or of ``html``, in a window of this size."""
        async with self._page(url, html, width, height) as tab:
            return await picture_of(tab, type, quality, width, height, full_page)

    async def content(self, url: str | None = None, *, html: str | None = None) -> str:
        """Return the HTML of the page after its scripts have run."""
        async with self._page(url, html) as tab:
            return await html_of(tab)

    async def pdf(
        self,
        url: str | None = None,
        *,
        html: str | None = None,
        format: str = "a4",
        landscape: bool = False,
        print_background: bool = True,
    ) -> bytes:
        """Return the page as a PDF. ``format`` is ``a4``, ``a3``, ``letter`` or ``legal``."""
        if format.lower() not in _PAPER:
            raise ValueError(f"format is one of {', '.join(_PAPER)}, not {format!r}.")
        async with self._page(url, html) as tab:
            return await pdf_of(tab, landscape, print_background, _PAPER[format.lower()])

    @asynccontextmanager
    async def _page(
        self, url: str | None, html: str | None, width: int = 1280, height: int = 720
    ) -> AsyncGenerator[Tab]:
        if (url is None) == (html is None):
            raise TypeError("Give a url or html, and not both.")
        async with self._lock:
            # One browser for all such calls: each has a page and cookies of its own.
            if self._own is None or self._sessions.find(self._own.id) is None:
                self._own = await self._sessions.acquire()
            session = self._own
            connection = self._sessions.connect(session)
        try:
            async with DevTools(session.browser.address) as devtools, devtools.tab() as tab:
                await tab.ask(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
                )
                await tab.show(url, html)
                yield tab
        finally:
            self._sessions.disconnect(session, connection)
