"""Browser Rendering from a Python Worker on Cloudflare's SDK."""

from __future__ import annotations

import json

import pytest
from edgeagents_browser import BrowserError
from edgeagents_browser.chromium import find_chromium

from .conftest import RunWorker

try:
    find_chromium()
    missing = ""
except BrowserError as fault:
    missing = str(fault)

pytestmark = [
    pytest.mark.cloudflare("Workers", "Python: Browser Rendering", "same; `screenshot`, `content` and `pdf` are ours"),
    pytest.mark.skipif(bool(missing), reason=missing),
]

SOURCE = """
    import asyncio
    import json
    import js
    from pyodide.ffi import create_proxy, to_js
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            browser = self.env.BROWSER
            if request.url.endswith("/picture"):
                picture = await browser.screenshot(None, to_js({"html": "<h1>hi</h1>", "width": 40, "height": 30}))
                return Response(picture, headers={"content-type": "image/png"})
            acquired = await (await browser.fetch("http://fake.host/v1/acquire")).json()
            answer = await browser.fetch(
                f"http://fake.host/v1/connectDevtools?browser_session={acquired.sessionId}",
                to_js({"headers": {"Upgrade": "websocket"}}, dict_converter=js.Object.fromEntries),
            )
            socket = answer.webSocket
            socket.binaryType = "arraybuffer"
            told = asyncio.get_event_loop().create_future()
            def listen(event):
                if not told.done():
                    told.set_result(bytes(event.data.to_py()))

            socket.addEventListener("message", create_proxy(listen))
            socket.accept()
            command = json.dumps({"id": 1, "method": "Browser.getVersion"}).encode()
            socket.send(to_js(len(command).to_bytes(4, "little") + command))
            message = json.loads((await told)[4:])
            sessions = await (await browser.fetch("http://fake.host/v1/sessions")).json()
            return Response.json([message["result"]["protocolVersion"], len(sessions.sessions)])
"""


async def test_a_worker_speaks_to_a_browser_and_has_pictures_made(run: RunWorker) -> None:
    worker = await run(SOURCE, browser={"binding": "BROWSER"})
    response = await worker.fetch("/picture")
    content = await response.bytes()
    assert (response.status, content[:4]) == (200, b"\x89PNG"), content
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (40, 30)
    assert json.loads(await worker.text("/talk")) == ["1.3", 2]
