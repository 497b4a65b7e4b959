"""In a real browser: a call is approved, another denied, one answered by the browser, one needs nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgeagents.testing.vendor import Answer, Calls, VendorServer, says
from tests.examples import http_client
from tests.pages import Browser, browser_of
from tests.servers import Server

EXAMPLE = "human-in-the-loop"

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "Cloudflare's guide `human-in-the-loop`", "same; its page is our own"),
]


@pytest.fixture
async def browser(page: Path) -> AsyncIterator[Browser]:
    async with browser_of(EXAMPLE) as browser:
        yield browser


def calls(tool: str, arguments: str) -> Answer:
    return Answer(blocks=(Calls("call-1", tool, (arguments,)),), reason="tool-calls")


async def ask(browser: Browser, emulator: Server, chat: str, text: str) -> None:
    await browser.do("open", tab=chat, url=f"{emulator.url}/?chat={chat}")
    await browser.do("say", tab=chat, text=text)


async def test_a_call_waits_for_leave_across_a_restart_and_is_made(
    browser: Browser, emulator: Server, model: VendorServer
) -> None:
    model.answers = [calls("getWeatherInformation", '{"city": "Paris"}'), says("Sunny it is.")]
    await ask(browser, emulator, "yes", "What is the weather in Paris?")
    await browser.do("answer", tab="yes", text="getWeatherInformation(Paris)?")
    if "EDGEAGENTS_SCREENSHOT" in os.environ:
        await browser.do("screenshot", tab="yes", path=os.environ["EDGEAGENTS_SCREENSHOT"])
    await asyncio.to_thread(emulator.kill)
    await asyncio.to_thread(emulator.start)
    await browser.do("reload", tab="yes")

    await browser.do("click", tab="yes", button="Yes")

    await browser.do("answer", tab="yes", text="Sunny it is.")
    async with http_client(emulator) as http:
        messages = (await http.get("/agents/human-in-the-loop/yes/get-messages")).json()
    (call,) = [part for part in messages[-1]["parts"] if part["type"] == "tool-getWeatherInformation"]
    assert (call["state"], call["output"]) == ("output-available", "The weather in Paris is sunny.")


async def test_a_call_that_is_denied_is_not_made(browser: Browser, emulator: Server, model: VendorServer) -> None:
    model.answers = [calls("getWeatherInformation", '{"city": "Paris"}'), says("As you like.")]
    await ask(browser, emulator, "no", "What is the weather in Paris?")
    await browser.do("answer", tab="no", text="getWeatherInformation(Paris)?")
    await browser.do("click", tab="no", button="No")
    answer = await browser.do("answer", tab="no", text="As you like.")
    assert "sunny" not in answer


async def test_the_browser_answers_a_call(browser: Browser, emulator: Server, model: VendorServer) -> None:
    model.answers = [calls("getLocalTime", '{"location": "Rome"}'), says("Half past ten.")]
    await ask(browser, emulator, "time", "What time is it in Rome?")
    answer = await browser.do("answer", tab="time", text="Half past ten.")
    assert "It is 10:30 in Rome." in answer


async def test_a_call_that_needs_nobody_is_made_at_once(
    browser: Browser, emulator: Server, model: VendorServer
) -> None:
    model.answers = [calls("getLocalNews", '{"location": "Oslo"}'), says("All is well.")]
    await ask(browser, emulator, "news", "Any news from Oslo?")
    answer = await browser.do("answer", tab="news", text="All is well.")
    assert "Oslo is fine." in answer
