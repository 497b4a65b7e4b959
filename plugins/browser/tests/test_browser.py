"""A browser's sessions begin, end and are counted as Cloudflare's are; pages are shown by a real Chromium."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from edgeagents_browser import Browser, BrowserError, plugin
from edgeagents_browser.chromium import find_chromium
from edgeagents_browser.relay import Pieces, cut

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "Browser Rendering",
    "different: on a local Chromium; `screenshot`, `content` and `pdf` in a line are ours",
)


def _has_chromium() -> bool:
    try:
        find_chromium()
    except BrowserError:
        return False
    return True


needs_chromium = pytest.mark.skipif(not _has_chromium(), reason="no Chromium is installed")

# Says where it listens, as Chromium does, and waits. So sessions can be watched where there is no Chromium.
STAND_IN = """#!{python}
import sys, time
print("DevTools listening on ws://127.0.0.1:9/devtools/browser/x", file=sys.stderr, flush=True)
time.sleep(600)
"""


def program(folder: Path, text: str) -> str:
    path = folder / "chromium-of-the-test"
    path.write_text(text.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEAGENTS_CHROMIUM", program(tmp_path, STAND_IN))


@pytest.fixture
async def browser(clock: ManualClock) -> AsyncIterator[Browser]:
    bindings = [BindingDeclaration("BROWSER", "browser", {}), BindingDeclaration("SAME", "browser", {})]
    worker = Worker("w", bindings=bindings)
    async with Runtime(worker, storage=None, clock=clock, plugins=[plugin], discover_plugins=False) as runtime:
        yield runtime.env.BROWSER


async def ask(browser: Browser, path: str, method: str = "GET", status: int = 200) -> Any:
    answer = await browser.fetch(f"http://fake.host{path}", method=method)
    text = await answer.text()
    assert answer.status == status, text
    return json.loads(text) if text[:1] in "{[" else text


async def acquire(browser: Browser, query: str = "") -> str:
    return (await ask(browser, f"/v1/acquire{query}"))["sessionId"]


async def active(browser: Browser) -> list[str]:
    return [session["sessionId"] for session in (await ask(browser, "/v1/sessions"))["sessions"]]


# Sessions


async def test_a_session_is_told_of_while_it_runs_and_afterwards(stand_in, browser, clock):
    session = await acquire(browser)
    assert await ask(browser, "/v1/sessions") == {
        "sessions": [{"sessionId": session, "startTime": int(clock.now().timestamp() * 1000)}]
    }
    assert await ask(browser, f"/v1/devtools/session/{session}") == (await ask(browser, "/v1/devtools/session"))[0]
    assert await ask(browser, f"/v1/devtools/browser/{session}", "DELETE") == {"status": "closed"}
    assert await active(browser) == []
    (ended,) = (await ask(browser, "/v1/history"))["history"]
    assert (ended["sessionId"], ended["closeReasonText"]) == (session, "NormalClosure")


async def test_so_many_run_at_once_and_no_more(stand_in, browser):
    sessions = [await acquire(browser) for _ in range(6)]
    limits = await ask(browser, "/v1/limits")
    assert [each["id"] for each in limits["activeSessions"]] == sessions
    assert (limits["maxConcurrentSessions"], limits["allowedBrowserAcquisitions"]) == (6, 0)
    assert "429" in await ask(browser, "/v1/acquire", status=429)
    await ask(browser, f"/v1/devtools/browser/{sessions[0]}", "DELETE")
    assert await acquire(browser) not in sessions


@pytest.mark.parametrize(("query", "seconds"), [("", 60), ("?keep_alive=600000", 600)])
async def test_one_that_nobody_uses_ends_by_itself(stand_in, browser, clock, query, seconds):
    await acquire(browser, query)
    await clock.advance(seconds - 1)
    assert len(await active(browser)) == 1
    await clock.advance(2)
    assert await active(browser) == []
    assert (await ask(browser, "/v1/history"))["history"][0]["closeReasonText"] == "BrowserIdle"


@pytest.mark.parametrize(("status", "reason"), [(0, "NormalClosure"), (3, "BrowserCrashed")])
async def test_one_that_ends_by_itself_is_forgotten(tmp_path, monkeypatch, browser, status, reason):
    text = STAND_IN.replace("time.sleep(600)", f"sys.exit({status})")
    monkeypatch.setenv("EDGEAGENTS_CHROMIUM", program(tmp_path, text))
    await acquire(browser)
    async with asyncio.timeout(20):
        await asyncio.gather(*browser._sessions._tasks)
    assert await active(browser) == []
    assert (await ask(browser, "/v1/history"))["history"][0]["closeReasonText"] == reason


async def test_browsers_end_with_the_runtime_and_leave_nothing(tmp_path, monkeypatch, clock):
    noted = tmp_path / "noted"
    note = f"import os; open({str(noted)!r}, 'w').write(repr((os.getpid(), sys.argv)))\n"
    monkeypatch.setenv("EDGEAGENTS_CHROMIUM", program(tmp_path, STAND_IN.replace("print", note + "print", 1)))
    worker = Worker("w", bindings=[BindingDeclaration("BROWSER", "browser", {})])
    async with Runtime(worker, storage=None, clock=clock, plugins=[plugin], discover_plugins=False) as runtime:
        await acquire(runtime.env.BROWSER)
        number, arguments = ast.literal_eval(noted.read_text())
        (profile,) = (Path(each.partition("=")[2]) for each in arguments if each.startswith("--user-data-dir="))
        assert profile.is_dir()
    assert not profile.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/acquire?keep_alive=1", 400, "keep_alive is in milliseconds, from 10000 to 600000, not 1."),
        ("/v1/connectDevtools", 400, "browser_session must be set"),
        ("/v1/connectDevtools?browser_session=x", 400, "There is no session x"),
        ("/v1/devtools/session/x", 400, "There is no session x"),
        ("/v1/nope", 404, "Not Found"),
    ],
)
async def test_what_cannot_be_is_refused(browser, path, status, text):
    assert text in await ask(browser, path, status=status)


async def test_without_a_chromium_it_says_how_to_install_one(monkeypatch, browser, tmp_path):
    monkeypatch.delenv("EDGEAGENTS_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("edgeagents_browser.chromium._PLACES", ())
    with pytest.raises(BrowserError, match=r"none was found\. Install one: .*EDGEAGENTS_CHROMIUM=/path/to/chromium"):
        await browser.screenshot("http://x/")
    assert "Install one" in await ask(browser, "/v1/acquire", status=500)
    monkeypatch.setenv("EDGEAGENTS_CHROMIUM", "/nowhere")
    with pytest.raises(BrowserError, match="There is no browser at /nowhere"):
        await browser.content("http://x/")


async def test_one_that_does_not_start_tells_what_it_said(monkeypatch, browser, tmp_path):
    text = "#!{python}\nimport sys; sys.exit('no display')\n"
    monkeypatch.setenv("EDGEAGENTS_CHROMIUM", program(tmp_path, text))
    assert "ended before it was ready (status 1): no display" in await ask(browser, "/v1/acquire", status=500)
    assert (await ask(browser, "/v1/limits"))["allowedBrowserAcquisitions"] == 6


def test_long_messages_are_cut_and_put_together():
    message = "é" * 700_000
    pieces = list(cut(message))
    assert [len(piece) for piece in pieces] == [1_048_575, 1_400_004 - 1_048_575]
    whole = Pieces()
    assert [whole.add(piece) for piece in pieces] == [None, message]
    assert [whole.add(piece) for piece in (b"\x02\x00", b"\x00\x00o", b"k")] == [None, None, "ok"]


# Pages


@needs_chromium
async def test_a_page_is_shown_read_and_printed(browser):
    html = "<title>t</title><body style='margin:0;height:2000px'><script>document.body.append('late')</script>"
    picture = await browser.screenshot(html=html, width=320, height=200)
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) == (320, 200)
    whole = await browser.screenshot(html=html, width=320, height=200, full_page=True)
    assert (int.from_bytes(whole[16:20]), int.from_bytes(whole[20:24])) == (320, 2000)
    assert (await browser.screenshot(html=html, type="jpeg", quality=50))[:2] == b"\xff\xd8"
    assert "late</body>" in await browser.content(html=html)
    assert (await browser.pdf(html=html, format="letter"))[:5] == b"%PDF-"
    assert len(await active(browser)) == 1
    with pytest.raises(BrowserError, match="cannot be loaded: net::ERR_"):
        await browser.content("http://127.0.0.1:9/")
    with pytest.raises(TypeError, match="url or html"):
        await browser.content("http://x/", html="y")
    with pytest.raises(ValueError, match="format is one of"):
        await browser.pdf(html="y", format="a5")


@needs_chromium
async def test_a_client_speaks_to_the_browser_in_pieces_and_in_frames(browser):
    session = await acquire(browser)
    answer = await browser.fetch(
        f"http://x/v1/connectDevtools?browser_session={session}", headers={"upgrade": "websocket"}
    )
    assert (answer.status, answer.headers["cf-browser-session-id"]) == (101, session)
    socket = answer.websocket
    assert socket is not None
    socket.accept()
    socket.send("ping")
    for piece in cut(json.dumps({"id": 1, "method": "Browser.getVersion"})):
        socket.send(piece)
    pieces = Pieces()
    message = None
    async with asyncio.timeout(30):
        while message is None:
            piece = await socket.receive()
            assert isinstance(piece, bytes)
            message = pieces.add(piece)
    assert json.loads(message)["result"]["product"].startswith(("Chrome/", "HeadlessChrome/"))
    told = (await ask(browser, "/v1/sessions"))["sessions"][0]
    assert {"connectionId", "connectionStartTime"} <= told.keys()
    assert "connected" in await ask(browser, f"/v1/connectDevtools?browser_session={session}", status=409)

    frames = (await browser.fetch(f"http://x/v1/devtools/browser/{session}")).websocket
    assert frames is not None
    frames.accept()
    frames.send(json.dumps({"id": 7, "method": "Target.getTargets"}))
    async with asyncio.timeout(30):
        text = await frames.receive()
    assert json.loads(text)["id"] == 7

    assert "webSocketDebuggerUrl" in await ask(browser, f"/v1/devtools/browser/{session}/json/version")
    page = await ask(browser, f"/v1/devtools/browser/{session}/json/new?url=about:blank", "PUT")
    assert page["id"] in [each["id"] for each in await ask(browser, f"/v1/devtools/browser/{session}/json/list")]
    await ask(browser, f"/v1/devtools/browser/{session}", "DELETE")
    async with asyncio.timeout(30):
        assert [message async for message in frames] == []


@pytest.fixture
def short_path():
    """A folder in which Chromium has room for the name of a socket."""
    with tempfile.TemporaryDirectory(prefix="b-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@needs_chromium
@pytest.mark.skipif(sys.platform == "win32", reason="no pipe is handed on there")
async def test_a_browser_ends_with_a_server_that_is_killed(short_path):
    script = (
        "import asyncio\n"
        "from edgeagents_browser.chromium import Chromium\n"
        "async def main():\n"
        "    browser = await Chromium.start()\n"
        "    print(browser.host, flush=True)\n"
        "    await browser.wait()\n"
        "asyncio.run(main())\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TMPDIR": str(short_path),
    }
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert server.stdout is not None
    host, _, port = (await server.stdout.readline()).decode().strip().partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    server.kill()
    await server.wait()
    async with asyncio.timeout(30):
        # What the browser had open ends with it.
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()
