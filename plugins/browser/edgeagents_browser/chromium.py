"""Chromium: found on this machine, started for one session, and ended with everything that it has started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from edgeagents.errors import EdgeAgentsError

__all__ = ["BrowserError", "Chromium", "find_chromium"]

PATH_VARIABLE: Final = "EDGEAGENTS_CHROMIUM"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_PLACES: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
)
_INSTALL: Final = {
    "linux": "apt-get install chromium (or dnf install chromium)",
    "darwin": "brew install --cask chromium",
    "win32": "winget install Google.Chrome",
}
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0
_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
    "--use-mock-keychain",
)
_ADDRESS: Final = re.compile(rb"DevTools listening on ws://([^/\s]+)(/\S+)")


class BrowserError(EdgeAgentsError):
    """The browser could not be started, or could not do what it was asked for."""


def find_chromium() -> str:
    """Return the program. Raises ``BrowserError`` with the line that installs one."""
    given = os.environ.get(PATH_VARIABLE)
    if given:
        if Path(given).is_file():
            return given
        raise BrowserError(f"There is no browser at {given}, which {PATH_VARIABLE} names.")
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    for place in _PLACES:
        if Path(place).is_file():
            return place
    line = _INSTALL.get(sys.platform, _INSTALL["linux"])
    raise BrowserError(
        f"A browser binding needs a Chromium, and none was found. Install one: {line}. "
        f"If it is elsewhere, say so: {PATH_VARIABLE}=/path/to/chromium."
    )


class Chromium:
    """One process, with a profile of its own that goes when it ends. Made by ``start``."""

    def __init__(self, process: asyncio.subprocess.Process, profile: str, host: str, path: str) -> None:
        self._process, self._profile = process, profile
        self.host = host
        self.address = f"ws://{host}{path}"
        """Where it speaks its protocol."""
        self._reading = asyncio.ensure_future(_read_on(process))

    @classmethod
    async def start(cls) -> Chromium:
        """Start one. Raises ``BrowserError``."""
        program, profile = find_chromium(), tempfile.mkdtemp(prefix="edgeagents-browser-")
        options = [*_OPTIONS, f"--user-data-dir={profile}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Its sandbox does not work for root, as whom containers often run.
            options.append("--no-sandbox")
        process: asyncio.subprocess.Process | None = None
        try:
            process = await asyncio.create_subprocess_exec(
                *_wrapped(program),
                *options,
                "about:blank",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            async with asyncio.timeout(_START_SECONDS):
                host, path = await _find_address(process, program)
        except BaseException as error:
            if process is not None:
                await _end(process)
            shutil.rmtree(profile, ignore_errors=True)
            if isinstance(error, TimeoutError):
                raise BrowserError(f"{program} was not ready within {_START_SECONDS:g} seconds.") from error
            if isinstance(error, OSError):
                raise BrowserError(f"{program} cannot be started: {error}") from error
            raise
        return cls(process, profile, host, path)

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and not because it was told to."""
        return self._process.returncode not in (None, 0)

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._process.wait()

    async def ask(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        """Return the status and the body that its HTTP server answers with."""
        return await asyncio.to_thread(_ask, f"http://{self.host}{path}", method)

    async def stop(self) -> None:
        """End it, and remove its profile. Harmless when it has ended."""
        await _end(self._process)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self._profile, ignore_errors=True)


def _wrapped(program: str) -> list[str]:
    """Return the command that ends with us, however we end: when the pipe to its third descriptor is closed."""
    if os.name == "nt":
        return [program]
    return ["/bin/sh", "-c", 'exec "$0" "$@" 3<&0 4>/dev/null </dev/null', program, "--remote-debugging-pipe"]


async def _find_address(process: asyncio.subprocess.Process, program: str) -> tuple[str, str]:
    assert process.stderr is not None
    said: list[bytes] = []
    while line := await process.stderr.readline():
        if found := _ADDRESS.search(line):
            return found[1].decode(), found[2].decode()
        said.append(line)
    text = b"".join(said[-5:]).decode("utf-8", "replace").strip()
    raise BrowserError(f"{program} ended before it was ready (status {await process.wait()}): {text}")


async def _read_on(process: asyncio.subprocess.Process) -> None:
    # A full pipe would stop it.
    assert process.stderr is not None
    while await process.stderr.read(65_536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_SECONDS)
    # Some of its children outlive it otherwise.
    _signal(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _ask(url: str, method: str) -> tuple[int, bytes]:
    # Takes long to import, and few workers have a browser.
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, json.dumps({"error": error.read().decode("utf-8", "replace")}).encode()
