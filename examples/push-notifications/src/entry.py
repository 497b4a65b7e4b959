"""Reminders that arrive as push notifications, also when no tab is open.

A port of ``examples/push-notifications`` of the Agents SDK. Who is subscribed and what is to be remembered are the
agent's state; each reminder is a schedule, so it comes after a restart too.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any, TypedDict
from uuid import uuid4

import httpx2
from web_push import TIMEOUT_SECONDS, PushFailed, Subscription, WebPush

from edgeagents import Agent, Env, Request, Response, WorkerEntrypoint, callable, route_agent_request

log = logging.getLogger("push-notifications")


class Reminder(TypedDict):
    """``scheduledAt`` is in milliseconds since 1970."""

    id: str
    message: str
    scheduledAt: int
    sent: bool


class ReminderAgentState(TypedDict):
    """What every client sees."""

    subscriptions: list[Subscription]
    reminders: list[Reminder]


class Sent(TypedDict):
    """To how many subscriptions a notification went, and to how many it did not."""

    sent: int
    failed: int


class ReminderAgent(Agent[Env, ReminderAgentState]):
    initial_state: ReminderAgentState = {"subscriptions": [], "reminders": []}

    @callable()
    async def get_vapid_public_key(self) -> str:
        return self.env.VAPID_PUBLIC_KEY

    @callable()
    async def subscribe(self, subscription: Subscription) -> dict[str, bool]:
        subscriptions = self.state["subscriptions"]
        if all(each["endpoint"] != subscription["endpoint"] for each in subscriptions):
            self.set_state({**self.state, "subscriptions": [*subscriptions, subscription]})
        return {"ok": True}

    @callable()
    async def unsubscribe(self, endpoint: str) -> dict[str, bool]:
        self.forget({endpoint})
        return {"ok": True}

    @callable()
    async def create_reminder(self, message: str, delay_seconds: float) -> Reminder:
        id = str(uuid4())
        due = milliseconds(self.ctx.clock.now()) + round(delay_seconds * 1000)
        await self.schedule(delay_seconds, "send_reminder", {"id": id, "message": message})
        reminder: Reminder = {"id": id, "message": message, "scheduledAt": due, "sent": False}
        self.set_state({**self.state, "reminders": [*self.state["reminders"], reminder]})
        return reminder

    @callable()
    async def cancel_reminder(self, id: str) -> dict[str, bool]:
        for schedule in await self.list_schedules():
            if schedule.payload["id"] == id:
                await self.cancel_schedule(schedule.id)
        self.set_state({**self.state, "reminders": [each for each in self.state["reminders"] if each["id"] != id]})
        return {"ok": True}

    @callable()
    async def send_test_notification(self) -> Sent:
        return await self.push_to_all("Test Notification", "Push notifications are working!", tag="test")

    async def send_reminder(self, payload: dict[str, str]) -> None:
        """Push a reminder, and tell who looks. Called by its schedule."""
        id = payload["id"]
        await self.push_to_all("Reminder", payload["message"], tag=f"reminder-{id}")
        reminders: list[Reminder] = [
            {**each, "sent": True} if each["id"] == id else each for each in self.state["reminders"]
        ]
        self.set_state({**self.state, "reminders": reminders})
        now = milliseconds(self.ctx.clock.now())
        self.broadcast(json.dumps({"type": "reminder_sent", "id": id, "timestamp": now}))

    async def push_to_all(self, title: str, body: str, *, tag: str) -> Sent:
        """Send a notification to every subscription, and forget those that have ended."""
        web_push = WebPush(self.env.VAPID_PRIVATE_KEY, self.env.get("VAPID_SUBJECT") or "mailto:test@example.com")
        text = json.dumps({"title": title, "body": body, "tag": tag})
        now = self.ctx.clock.now()

        async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
            outcomes = await asyncio.gather(
                *(self.push(web_push, http, each, text, now) for each in self.state["subscriptions"])
            )
        gone = {endpoint for endpoint, failure in outcomes if failure is not None and failure.is_gone}
        if gone:
            self.forget(gone)
        failed = sum(failure is not None for _, failure in outcomes)
        return {"sent": len(outcomes) - failed, "failed": failed}

    async def push(
        self, web_push: WebPush, http: httpx2.AsyncClient, subscription: Subscription, text: str, now: datetime
    ) -> tuple[str, PushFailed | None]:
        """Return the endpoint, and what went wrong there."""
        endpoint = subscription["endpoint"]
        try:
            await web_push.send(http, subscription, text, now)
        except PushFailed as failure:
            log.warning("A notification did not get to %s: %s", endpoint, failure)
            return endpoint, failure
        return endpoint, None

    def forget(self, endpoints: set[str]) -> None:
        kept = [each for each in self.state["subscriptions"] if each["endpoint"] not in endpoints]
        self.set_state({**self.state, "subscriptions": kept})


def milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


class Default(WorkerEntrypoint[Any]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/reminder-agent/<name>``; the page is an asset."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
