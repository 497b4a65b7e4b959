"""Reminders and notifications, as a browser asks for them and as its push service gets them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.examples import CallFailed, Tab, commands_of, http_client, run_command
from tests.servers import Server

from .conftest import SUBJECT, Browser, PushService, Sender

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's example `push-notifications`",
        "same; its page is our own, and keys that are there are not made anew",
    ),
]


def agent(name: str) -> str:
    return f"/agents/reminder-agent/{name}"


async def subscribed(tab: Tab, service: PushService, id: str) -> Browser:
    browser = Browser(service, id)
    assert await tab.call("subscribe", browser.subscription) == {"ok": True}
    return browser


async def test_a_browser_asks_for_the_key_to_subscribe_with(emulator: Server, sender: Sender) -> None:
    async with Tab(emulator, agent("key")) as tab:
        assert await tab.call("getVapidPublicKey") == sender.public_key


async def test_a_browser_subscribes_once_and_unsubscribes(emulator: Server, service: PushService) -> None:
    async with Tab(emulator, agent("once")) as tab, Tab(emulator, agent("once")) as other:
        browser = await subscribed(tab, service, "once")
        await subscribed(tab, service, "once")
        assert tab.state == {"subscriptions": [browser.subscription], "reminders": []}
        assert await tab.call("unsubscribe", browser.subscription["endpoint"]) == {"ok": True}
        assert await other.until_state(lambda state: state["subscriptions"])
        assert await other.until_state(lambda state: not state["subscriptions"])


async def test_a_notification_is_signed_and_read_by_its_browser_only(
    emulator: Server, service: PushService, sender: Sender
) -> None:
    async with Tab(emulator, agent("test")) as tab:
        browsers = {browser.path: browser for browser in [await subscribed(tab, service, id) for id in ("a", "b")]}
        before = time.time()
        answer = await tab.call("sendTestNotification")

    assert answer == {"sent": 2, "failed": 0}
    for pushed in (await service.next(), await service.next()):
        browser = browsers.pop(pushed.path)
        assert browser.read(pushed) == {
            "title": "Test Notification",
            "body": "Push notifications are working!",
            "tag": "test",
        }
        claims = sender.check(pushed, audience=browser.origin)
        assert claims["sub"] == SUBJECT
        assert 12 * 3600 - 5 < claims["exp"] - before < 12 * 3600 + 60
        assert pushed.headers["ttl"] == "2419200"


async def test_a_reminder_is_kept_pushed_when_it_is_due_and_told(emulator: Server, service: PushService) -> None:
    async with Tab(emulator, agent("remind")) as tab:
        browser = await subscribed(tab, service, "remind")
        before = time.time() * 1000
        reminder = await tab.call("createReminder", "Drink ☕", 1)
        assert tab.state["reminders"] == [reminder]
        told = await tab.until_type("reminder_sent")

    assert reminder == {
        "id": reminder["id"],
        "message": "Drink ☕",
        "scheduledAt": reminder["scheduledAt"],
        "sent": False,
    }
    assert before + 1000 - 1 <= reminder["scheduledAt"] <= told["timestamp"] + 1000
    assert told == {"type": "reminder_sent", "id": reminder["id"], "timestamp": told["timestamp"]}
    assert tab.state["reminders"] == [{**reminder, "sent": True}]
    assert browser.read(await service.next()) == {
        "title": "Reminder",
        "body": "Drink ☕",
        "tag": f"reminder-{reminder['id']}",
    }


async def test_a_reminder_that_was_cancelled_does_not_come(emulator: Server, service: PushService) -> None:
    async with Tab(emulator, agent("cancel")) as tab:
        browser = await subscribed(tab, service, "cancel")
        first = await tab.call("createReminder", "first", 1)
        last = await tab.call("createReminder", "last", 2)
        assert await tab.call("cancelReminder", first["id"]) == {"ok": True}
        assert await tab.call("cancelReminder", "no such reminder") == {"ok": True}
        assert tab.state["reminders"] == [last]
        assert (await tab.until_type("reminder_sent"))["id"] == last["id"]

    assert browser.read(await service.next())["body"] == "last"
    assert service.messages.empty()


async def test_a_reminder_and_its_browsers_outlive_a_kill(emulator: Server, service: PushService) -> None:
    async with Tab(emulator, agent("kill")) as tab:
        browser = await subscribed(tab, service, "kill")
        reminder = await tab.call("createReminder", "still here", 3)
    assert service.messages.empty()
    await asyncio.to_thread(emulator.kill)
    await asyncio.to_thread(emulator.start)

    # Nobody looks: the alarm alone wakes the agent.
    pushed = await service.next()

    assert browser.read(pushed)["body"] == "still here"
    async with Tab(emulator, agent("kill")) as tab:
        state = await tab.until_state(lambda state: state["reminders"][0]["sent"])
    assert state == {"subscriptions": [browser.subscription], "reminders": [{**reminder, "sent": True}]}


@pytest.mark.parametrize(("status", "is_kept"), [(404, False), (410, False), (413, True), (429, True), (500, True)])
async def test_a_subscription_that_has_ended_is_forgotten(
    emulator: Server, service: PushService, status: int, is_kept: bool
) -> None:
    async with Tab(emulator, agent(f"status-{status}")) as tab:
        refused = await subscribed(tab, service, "refused")
        taken = await subscribed(tab, service, "taken")
        service.answers[refused.path] = status
        assert await tab.call("sendTestNotification") == {"sent": 1, "failed": 1}

    assert tab.state["subscriptions"] == [refused.subscription] * is_kept + [taken.subscription]


NOBODY = "https://127.0.0.1:1/push"


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": NOBODY},
        {"endpoint": "http://127.0.0.1:1/push"},
        {"endpoint": "https://[/push"},
        {"keys": {"p256dh": "AAAA", "auth": "AAAA"}},
        {"keys": {"p256dh": "?", "auth": "AAAA"}},
    ],
    ids=["nobody there", "no TLS", "no URL", "no point", "no base64"],
)
async def test_one_bad_subscription_does_no_harm_to_the_others(
    emulator: Server, service: PushService, change: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    async with Tab(emulator, agent(request.node.callspec.id.replace(" ", "-"))) as tab:
        await tab.call("subscribe", {**Browser(service, "bad").subscription, **change})
        browser = await subscribed(tab, service, "good")
        assert await tab.call("sendTestNotification") == {"sent": 1, "failed": 1}

    assert browser.read(await service.next())["tag"] == "test"
    assert len(tab.state["subscriptions"]) == 2
    assert service.messages.empty()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"endpoint": 5}, "endpoint must be a string, not 5"),
        ({"keys": None}, "keys must be"),
        ({"keys": {"auth": "AAAA"}}, "p256dh"),
    ],
)
async def test_what_is_no_subscription_is_refused(
    emulator: Server, service: PushService, change: dict[str, Any], error: str
) -> None:
    async with Tab(emulator, agent("none")) as tab:
        with pytest.raises(CallFailed, match=error):
            await tab.call("subscribe", {**Browser(service, "none").subscription, **change})

    assert tab.state == {"subscriptions": [], "reminders": []}


async def test_without_keys_it_says_what_is_missing(keyless_emulator: Server) -> None:
    async with Tab(keyless_emulator, agent("keyless")) as tab:
        for method in ("getVapidPublicKey", "sendTestNotification"):
            with pytest.raises(CallFailed, match="env has no 'VAPID_P"):
                await tab.call(method)

    assert "Missing required secrets: VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY, VAPID_SUBJECT" in keyless_emulator.log


async def test_the_page_and_its_service_worker_are_served(emulator: Server) -> None:
    async with http_client(emulator) as http:
        page, worker = await http.get("/"), await http.get("/sw.js")
        elsewhere = await http.get("/agents/nobody")

    assert "<title>Reminders</title>" in page.text
    assert worker.headers["content-type"].startswith("text/javascript")
    assert elsewhere.status_code == 404


def generate_keys(folder: Path) -> dict[str, str]:
    script = Path(__file__).parents[1] / "generate_vapid_keys.py"
    subprocess.run([sys.executable, "-W", "error", script], cwd=folder, check=True, capture_output=True)
    return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines())


def test_keys_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER=1\n")
    made = generate_keys(tmp_path)

    assert made.keys() == {"OTHER", "VAPID_PUBLIC_KEY", "VAPID_PRIVATE_KEY"}
    assert generate_keys(tmp_path) == made


async def test_keys_that_were_made_are_taken_by_a_push_service(keyless_emulator: Server, service: PushService) -> None:
    made = generate_keys(keyless_emulator.cwd)
    assert os.stat(keyless_emulator.cwd / ".env").st_mode & 0o777 == 0o600
    await asyncio.to_thread(keyless_emulator.kill)
    await asyncio.to_thread(keyless_emulator.start)

    async with Tab(keyless_emulator, agent("made")) as tab:
        assert await tab.call("getVapidPublicKey") == made["VAPID_PUBLIC_KEY"]
        browser = await subscribed(tab, service, "made")
        assert await tab.call("sendTestNotification") == {"sent": 1, "failed": 0}

    assert browser.read(await service.next())["tag"] == "test"


def test_the_readmes_command_does_what_it_says(emulator: Server) -> None:
    (command,) = commands_of("push-notifications")

    key, sent, told = run_command(command, emulator).splitlines()

    assert len(key.removeprefix("key: ")) == 87
    assert sent == "test: {'sent': 0, 'failed': 1}"
    assert json.loads(told)["type"] == "reminder_sent"
