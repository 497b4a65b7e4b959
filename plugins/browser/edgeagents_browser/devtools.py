"""The browser's protocol, as much of it as taking a picture of a page needs."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import websockets

from edgeagents_browser.chromium import BrowserError

__all__ = ["DevTools", "Tab"]

_SECONDS: Final = 30.0


class DevTools:
    """A connection to a browser. Use it as ``async with``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._events: dict[tuple[str | None, str], asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        self._socket = await websockets.connect(
            self._address, max_size=None, compression=None, ping_interval=None, proxy=None
        )
        self._reading = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command. Raises ``BrowserError``."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        try:
            await self._socket.send(json.dumps(message if session is None else {**message, "sessionId": session}))
            return await asyncio.wait_for(future, _SECONDS)
        except websockets.ConnectionClosed as error:
            raise BrowserError(f"{method}: the browser has gone.") from error
        except TimeoutError as error:
            raise BrowserError(f"{method}: the browser did not answer within {_SECONDS:g} seconds.") from error
        finally:
            self._waiting.pop(number, None)

    def expect(self, event: str, session: str | None = None) -> asyncio.Event:
        """Return what is set when the browser tells of ``event``."""
        return self._events.setdefault((session, event), asyncio.Event())

    @asynccontextmanager
    async def tab(self) -> AsyncGenerator[Tab]:
        """Open a page of its own, with cookies of its own, for a ``with`` block."""
        context = (await self.ask("Target.createBrowserContext"))["browserContextId"]
        try:
            target = await self.ask("Target.createTarget", url="about:blank", browserContextId=context)
            attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            yield Tab(self, attached["sessionId"])
        finally:
            await self.ask("Target.disposeBrowserContext", browserContextId=context)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(BrowserError("The browser has gone."))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            event = self._events.get((message.get("sessionId"), message["method"]))
            if event is not None:
                event.set()
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(BrowserError(message["error"]["message"]))
        else:
            future.set_result(message["result"])


class Tab:
    """A page."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self._devtools, self._session = devtools, session

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command to the page."""
        return await self._devtools.ask(method, self._session, **parameters)

    async def show(self, url: str | None, html: str | None) -> None:
        """Load ``url``, or show ``html``. Raises ``BrowserError`` when it does not load within 30 seconds."""
        loaded = self._devtools.expect("Page.loadEventFired", self._session)
        await self.ask("Page.enable")
        if url is not None:
            went = await self.ask("Page.navigate", url=url)
            if went.get("errorText"):
                raise BrowserError(f"{url} cannot be loaded: {went['errorText']}")
        else:
            tree = await self.ask("Page.getFrameTree")
            await self.ask("Page.setDocumentContent", frameId=tree["frameTree"]["frame"]["id"], html=html)
        try:
            await asyncio.wait_for(loaded.wait(), _SECONDS)
        except TimeoutError as error:
            raise BrowserError(f"{url or 'The page'} was not loaded within {_SECONDS:g} seconds.") from error
