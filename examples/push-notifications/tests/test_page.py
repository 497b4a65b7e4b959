"""The page and its service worker in a real browser, with a stand-in for the push service of the browser's vendor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import play
from tests.servers import Server

pytestmark = [pytest.mark.node, pytest.mark.server]


async def test_a_user_is_reminded(emulator: Server) -> None:
    assert await play(Path(__file__).parent / "page.mjs", emulator.url) == [
        "a reminder was cancelled",
        "the browser subscribed and unsubscribed",
        "Drink (sent)",
        {"title": "Reminder", "body": "Drink", "tag": "reminder-1"},
    ]
