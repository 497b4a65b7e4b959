"""In a real browser: an answer is seen growing, the tab is reloaded in the middle of it, and the rest arrives."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from tests.agents.chat.cuts_model import CountingModels, word
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers", "Cloudflare's example `resumable-stream-chat`", "same; without its data parts. Its page is our own"
    ),
]

MODEL = "gpt-4o"
WORDS = 40


def said(count: int) -> str:
    return "".join(map(word, range(count)))


async def test_a_reload_in_the_middle_loses_nothing(
    browser: Any, emulator: Server, models: tuple[CountingModels, str]
) -> None:
    model, _ = models
    model.expect(MODEL, WORDS)
    await browser.do("open", tab="one", url=f"{emulator.url}/?chat=a")
    await browser.do("say", tab="one", text="Count for me.")

    model.allow(MODEL, 5)
    assert await browser.do("answer", tab="one", text="w4") == said(5)
    model.allow(MODEL, 5)
    assert await browser.do("answer", tab="one", text="w9") == said(10)

    await browser.do("reload", tab="one")
    assert await browser.do("answer", tab="one", text="w9") == said(10)
    await browser.do("open", tab="two", url=f"{emulator.url}/?chat=a")
    assert await browser.do("answer", tab="two", text="w9") == said(10)

    model.allow(MODEL, 5)
    for tab in ("one", "two"):
        assert await browser.do("answer", tab=tab, text="w14") == said(15)
    if "EDGEAGENTS_SCREENSHOT" in os.environ:
        await browser.do("screenshot", tab="one", path=os.environ["EDGEAGENTS_SCREENSHOT"])

    model.finish(MODEL)
    for tab in ("one", "two"):
        await browser.do("answer", tab=tab, text=f"w{WORDS - 1}")
        await browser.do("ready", tab=tab)
        assert await browser.do("messages", tab=tab) == ["Count for me.", said(WORDS)]


async def test_a_killed_server_loses_nothing(
    browser: Any, emulator: Server, models: tuple[CountingModels, str]
) -> None:
    model, _ = models
    model.expect(MODEL, WORDS)
    await browser.do("open", tab="one", url=f"{emulator.url}/?chat=b")
    await browser.do("say", tab="one", text="Count for me.")
    model.allow(MODEL, 7)
    assert await browser.do("answer", tab="one", text="w6") == said(7)

    await asyncio.to_thread(emulator.kill)
    await asyncio.to_thread(emulator.start)
    model.finish(MODEL)

    await browser.do("answer", tab="one", text=f"w{WORDS - 1}")
    await browser.do("ready", tab="one")
    assert await browser.do("messages", tab="one") == ["Count for me.", said(WORDS)]
