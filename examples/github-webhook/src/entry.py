"""GitHub's web hooks: an agent for each repository keeps what happened there, and shows it to who looks.

A port of ``examples/github-webhook`` of the Agents SDK. A delivery is taken if it is signed with the secret, and once:
GitHub sends it again, under the same id, when it does not hear in time that it has arrived.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any, TypedDict
from uuid import uuid4

from github_events import read, summarize

from edgeagents import (
    Agent,
    Env,
    Request,
    Response,
    WorkerEntrypoint,
    callable,
    get_agent_by_name,
    route_agent_request,
)

KEPT_EVENTS = 100


class Stats(TypedDict):
    stars: int
    forks: int
    openIssues: int


class RepoState(TypedDict):
    """What every client sees."""

    repoFullName: str
    stats: Stats
    lastUpdated: str | None
    webhookConfigured: bool


class RepoAgent(Agent[Env, RepoState]):
    initial_state: RepoState = {
        "repoFullName": "",
        "stats": {"stars": 0, "forks": 0, "openIssues": 0},
        "lastUpdated": None,
        "webhookConfigured": False,
    }

    async def on_start(self, props: Any = None) -> None:
        self.sql(
            """create table if not exists events (
                id text primary key, type text not null, action text, title text not null, description text, url text,
                actor_login text, actor_avatar text, timestamp text not null
            )"""
        )
        self.sql("create index if not exists idx_events_timestamp on events(timestamp desc)")

    async def on_request(self, request: Request) -> Response:
        """Take a delivery. What is answered with 200 is kept."""
        if request.method != "POST":
            return Response("Method not allowed", status=405)
        event_type = request.headers.get("x-github-event")
        if not event_type:
            return Response("Missing X-GitHub-Event header", status=400)
        # The signature is over the bytes as they came: JSON that was read and written again is other bytes.
        body = await request.bytes()
        secret = self.env.get("GITHUB_WEBHOOK_SECRET")
        if secret and not is_signed(body, request.headers.get("x-hub-signature-256", ""), secret):
            return Response("Invalid signature", status=401)
        self.keep(request.headers.get("x-github-delivery"), event_type, json.loads(body))
        return Response("OK")

    def keep(self, delivery: str | None, event_type: str, payload: dict[str, Any]) -> None:
        """Write an event down and show it, unless that was done before."""
        if delivery is not None and self.sql("select 1 from events where id = ?", delivery):
            return
        now, summary = self.now(), summarize(event_type, payload)
        if summary is not None:
            sender = read(payload, "sender", default={})
            self.sql(
                "insert into events values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                delivery or str(uuid4()),
                event_type,
                payload.get("action"),
                *summary,
                read(sender, "login"),
                read(sender, "avatar_url"),
                now,
            )
            self.sql(
                "delete from events where id not in"
                " (select id from events order by timestamp desc, rowid desc limit ?)",
                KEPT_EVENTS,
            )
        self.set_state(
            {
                "repoFullName": read(payload, "repository", "full_name"),
                "stats": {
                    "stars": read(payload, "repository", "stargazers_count", default=0),
                    "forks": read(payload, "repository", "forks_count", default=0),
                    "openIssues": read(payload, "repository", "open_issues_count", default=0),
                },
                "lastUpdated": now,
                "webhookConfigured": True,
            }
        )

    @callable()
    def get_events(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return the latest events, the newest first."""
        rows = self.sql("select * from events order by timestamp desc, rowid desc limit ?", limit)
        return [event_of(row) for row in rows]

    @callable()
    def get_stats(self) -> Stats:
        return self.state["stats"]

    @callable()
    def clear_events(self) -> None:
        self.sql("delete from events")
        self.set_state({**self.state, "lastUpdated": self.now()})

    def now(self) -> str:
        return self.ctx.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Return whether ``signature`` is that of ``body``. How long it takes tells nothing of how wrong it is."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def event_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return an event as clients get it. One without an action has no such field."""
    event = {name: value for name, value in row.items() if not name.startswith("actor_") and value is not None}
    return {**event, "actor": {"login": row["actor_login"], "avatar_url": row["actor_avatar"]}}


def agent_name_of(repository: str) -> str:
    """Return the name of the agent of ``owner/name``."""
    return re.sub("[^a-z0-9-]", "", repository.lower().replace("/", "-"))


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``POST /webhooks/github/<owner>/<name>``, ``/api/agent-name`` and ``/agents/repo-agent/<agent>``."""
        if request.path.startswith("/webhooks/github/") and request.method == "POST":
            return await self.deliver(request)
        if request.path == "/api/agent-name" and request.method == "GET":
            repository = request.query.get("repo")
            if not repository:
                return Response("Missing repo parameter", status=400)
            return Response.from_json({"agentName": agent_name_of(repository)})
        return await route_agent_request(request, self.env) or Response("Not found", status=404)

    async def deliver(self, request: Request) -> Response:
        """Give a delivery to the agent of the repository that it is about."""
        try:
            payload = await request.copy().json()
        except ValueError:
            return Response("The payload is not JSON", status=400)
        repository = read(payload, "repository", "full_name")
        if not isinstance(repository, str) or not agent_name_of(repository):
            return Response("Missing repository in payload", status=400)
        agent = await get_agent_by_name(self.env.RepoAgent, agent_name_of(repository))
        return await agent.fetch(request)
