"""``pyodide.http``: ``pyfetch`` and its response."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["FetchResponse", "http_module"]


class HttpStatusError(OSError):
    """The server answered with a status of failure."""

    def __init__(self, status: int, status_text: str, url: str) -> None:
        self.status, self.status_text, self.url = status, status_text, url
        kind = "Client" if 400 <= status < 500 else "Server"
        super().__init__(f"{status} {kind} Error: {status_text} for url: {url}")


class BodyUsedError(OSError):
    """The body was read already."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args or ("Body already used",))


class AbortError(OSError):
    """The request was aborted, or could not be sent."""


class FetchResponse:
    """The answer to a ``pyfetch``."""

    def __init__(self, url: Any, js_response: Any, abort_controller: Any = None, abort_signal: Any = None) -> None:
        self._url, self.js_response = url, js_response
        self.abort_controller, self.abort_signal = abort_controller, abort_signal

    @property
    def body_used(self) -> bool:
        """Whether the body was read."""
        return self.js_response.bodyUsed

    @property
    def headers(self) -> dict[str, str]:
        """The headers, by name in lower case."""
        return dict(self.js_response.headers)

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return self.js_response.ok

    @property
    def redirected(self) -> bool:
        """Whether another URL answered than was asked."""
        return self.js_response.redirected

    @property
    def status(self) -> int:
        """The status."""
        return self.js_response.status

    @property
    def status_text(self) -> str:
        """The reason phrase."""
        return self.js_response.statusText

    @property
    def type(self) -> str:
        """The kind of response."""
        return self.js_response.type

    @property
    def url(self) -> str:
        """The URL that answered."""
        return self.js_response.url

    def _raise_if_failed(self) -> None:
        if self.js_response.bodyUsed:
            raise BodyUsedError

    def raise_for_status(self) -> None:
        """Raise ``HttpStatusError`` for a status from 400 on."""
        if 400 <= self.status < 600:
            raise HttpStatusError(self.status, self.status_text, self.url)

    def clone(self) -> FetchResponse:
        """Return another one with the same body."""
        self._raise_if_failed()
        return type(self)(self._url, self.js_response.clone())

    async def buffer(self) -> Any:
        """Read the body as an ``ArrayBuffer``."""
        self._raise_if_failed()
        return await self.js_response.arrayBuffer()

    async def text(self) -> str:
        """Read the body as text."""
        self._raise_if_failed()
        return await self.js_response.text()

    async def string(self) -> str:
        """Read the body as text."""
        return await self.text()

    async def json(self, **options: Any) -> Any:
        """Read the body as JSON."""
        return json.loads(await self.text(), **options)

    async def bytes(self) -> bytes:
        """Read the body as bytes."""
        return (await self.buffer()).to_bytes()

    async def memoryview(self) -> memoryview:
        """Read the body as a memoryview."""
        return (await self.buffer()).to_memoryview()

    async def unpack_archive(self, *, extract_dir: str | None = None, format: str | None = None) -> None:
        """Unpack the body, an archive, into ``extract_dir``."""
        name = self.url.rpartition("/")[2] or "archive"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(await self.bytes())
            shutil.unpack_archive(path, extract_dir, format, filter="data")


def http_module(js: types.ModuleType) -> types.ModuleType:
    """Return the module ``pyodide.http``, whose requests ``js.fetch`` sends."""

    async def pyfetch(request: Any, /, *, signal: Any = None, fetcher: Any = None, **options: Any) -> FetchResponse:
        """Send a request and return the answer. A failure raises OSError."""
        send: Callable[..., Any] = fetcher or js.fetch
        if signal is not None:
            options["signal"] = signal
        try:
            return FetchResponse(request, await send(request, JsObject(options)))
        except JsException as error:
            raise AbortError(error.message) from None

    def open_url(url: str) -> io.StringIO:
        """Return the text at ``url``; nothing else goes on meanwhile."""
        with urllib.request.urlopen(url) as answer:
            return io.StringIO(answer.read().decode())

    module = types.ModuleType("pyodide.http")
    vars(module).update(
        pyfetch=pyfetch,
        open_url=open_url,
        FetchResponse=FetchResponse,
        HttpStatusError=HttpStatusError,
        BodyUsedError=BodyUsedError,
        AbortError=AbortError,
    )
    return module
