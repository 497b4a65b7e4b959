"""Deliveries, sent as GitHub sends them, and what the dashboard sees of them."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
from typing import Any

import httpx2
import pytest

from tests.examples import Tab, commands_of, http_client, run_command
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's example `github-webhook`",
        "same; a delivery that GitHub sends again is taken once, and one that is not JSON is answered with 400",
    ),
]

SECRET = "It is a secret"
COMMIT = {"message": "Mend it\n\nAnd more.", "url": "https://github.test/commit"}
LONG = "x" * 101


def payload(repo: str, **fields: Any) -> dict[str, Any]:
    return {
        "repository": {
            "full_name": f"octo/{repo}",
            "html_url": "https://github.test/repo",
            "stargazers_count": 7,
            "forks_count": 2,
            "open_issues_count": 1,
        },
        "sender": {"login": "ann", "avatar_url": "https://github.test/ann.png"},
        **fields,
    }


async def deliver(
    server: Server, event: str | None, body: Any, *, id: str | None = None, secret: str | None = SECRET, **more: str
) -> httpx2.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body, indent=1).encode()
    headers = {"content-type": "application/json", **more}
    if event is not None:
        headers["X-GitHub-Event"] = event
    if id is not None:
        headers["X-GitHub-Delivery"] = id
    if secret is not None:
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    async with http_client(server) as http:
        return await http.post("/webhooks/github/octo/repo", content=raw, headers=headers)


def agent(repo: str) -> str:
    return f"/agents/repo-agent/octo-{repo}"


async def test_a_delivery_is_kept_and_shown_to_who_looks(emulator: Server) -> None:
    async with Tab(emulator, agent("shown")) as tab:
        before = await tab.until_state(lambda _: True)
        response = await deliver(emulator, "star", payload("shown", action="created"), id="d1")
        state = await tab.until_state(lambda _: True)
        (event,) = await tab.call("getEvents", 50)
        stats = await tab.call("getStats")

    assert before == {
        "repoFullName": "",
        "stats": {"stars": 0, "forks": 0, "openIssues": 0},
        "lastUpdated": None,
        "webhookConfigured": False,
    }
    assert (response.status_code, response.text) == (200, "OK")
    assert state == {
        "repoFullName": "octo/shown",
        "stats": {"stars": 7, "forks": 2, "openIssues": 1},
        "lastUpdated": event["timestamp"],
        "webhookConfigured": True,
    }
    assert stats == state["stats"]
    assert event == {
        "id": "d1",
        "type": "star",
        "action": "created",
        "title": "Repository starred",
        "description": "by ann",
        "url": "https://github.test/repo",
        "actor": {"login": "ann", "avatar_url": "https://github.test/ann.png"},
        "timestamp": event["timestamp"],
    }
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("kind", "fields", "title", "description"),
    [
        ("ping", {"zen": "Keep it simple."}, "Webhook configured", "Keep it simple."),
        ("push", {"ref": "refs/heads/main", "commits": [COMMIT]}, "Pushed 1 commit to main", "Mend it"),
        ("push", {"ref": "refs/heads/main", "commits": []}, "Pushed 0 commits to main", "No commit message"),
        (
            "pull_request",
            {"action": "opened", "number": 3, "pull_request": {"title": "Faster"}},
            "PR #3: Faster",
            "opened by ann",
        ),
        (
            "issues",
            {"action": "closed", "issue": {"number": 4, "title": "It broke"}},
            "Issue #4: It broke",
            "closed by ann",
        ),
        ("issue_comment", {"issue": {"number": 4}, "comment": {"body": LONG}}, "Comment on #4", f"{LONG[:100]}..."),
        ("star", {"action": "deleted"}, "Star removed", "by ann"),
        ("fork", {"forkee": {"full_name": "bob/hello"}}, "Repository forked", "Forked to bob/hello"),
        (
            "release",
            {"action": "published", "release": {"tag_name": "v1", "name": None}},
            "Release v1",
            "published by ann",
        ),
    ],
)
async def test_each_kind_of_event_has_its_words(
    emulator: Server, request: pytest.FixtureRequest, kind: str, fields: dict[str, Any], title: str, description: str
) -> None:
    repo = f"{kind}-{len(fields.get('commits', '..'))}-{fields.get('action')}".replace("_", "-").lower()
    await deliver(emulator, kind, payload(repo, **fields))

    async with Tab(emulator, agent(repo)) as tab:
        (event,) = await tab.call("getEvents")

    assert (event["type"], event["title"], event["description"]) == (kind, title, description)


async def test_a_delivery_that_comes_again_is_taken_once(emulator: Server) -> None:
    async with Tab(emulator, agent("again")) as tab:
        await deliver(emulator, "push", payload("again"), id="d1")
        state = await tab.until_state(lambda state: state["webhookConfigured"])
        again = await deliver(emulator, "push", payload("again"), id="d1")
        events = await tab.call("getEvents")

        assert again.status_code == 200
        assert [event["id"] for event in events] == ["d1"]
        assert tab.state == state


@pytest.mark.parametrize("secret", [None, "another secret"], ids=["unsigned", "signed with another secret"])
async def test_what_github_did_not_sign_is_not_taken(emulator: Server, secret: str | None) -> None:
    response = await deliver(emulator, "push", payload("forged"), secret=secret)

    assert (response.status_code, response.text) == (401, "Invalid signature")
    async with Tab(emulator, agent("forged")) as tab:
        assert await tab.call("getEvents") == []
        assert tab.state["webhookConfigured"] is False


async def test_a_signature_holds_for_its_own_bytes_only(emulator: Server) -> None:
    body = json.dumps(payload("bytes")).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()

    response = await deliver(emulator, "push", body + b" ", secret=None, **{"X-Hub-Signature-256": signature})

    assert response.status_code == 401


async def test_a_signature_that_is_no_ascii_is_no_error_of_ours(emulator: Server) -> None:
    async with http_client(emulator) as http:
        headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": b"sha256=\xfc"}
        response = await http.post("/webhooks/github/a/b", json=payload("latin"), headers=headers)

    assert response.status_code == 401


async def test_without_a_secret_every_delivery_is_believed(open_emulator: Server) -> None:
    response = await deliver(open_emulator, "push", payload("open"), secret=None)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("event", "body", "why"),
    [
        ("push", b"{", "The payload is not JSON"),
        ("push", b"[]", "Missing repository in payload"),
        ("push", b'{"repository": {"full_name": 7}}', "Missing repository in payload"),
        ("push", b'{"repository": {"full_name": "?"}}', "Missing repository in payload"),
        (None, b'{"repository": {"full_name": "octo/none"}}', "Missing X-GitHub-Event header"),
    ],
)
async def test_what_is_no_delivery_is_refused(
    emulator: Server, event: str | None, body: bytes, why: str | None
) -> None:
    response = await deliver(emulator, event, body)

    assert (response.status_code, response.text) == (400, why)


async def test_other_events_change_the_numbers_only(emulator: Server) -> None:
    await deliver(emulator, "watch", payload("watched"))

    async with Tab(emulator, agent("watched")) as tab:
        assert await tab.call("getEvents") == []
        assert tab.state["stats"]["stars"] == 7


async def test_events_are_cleared(emulator: Server) -> None:
    await deliver(emulator, "push", payload("cleared"))

    async with Tab(emulator, agent("cleared")) as tab:
        assert len(await tab.call("getEvents")) == 1
        await tab.call("clearEvents")
        assert await tab.call("getEvents") == []
        assert tab.state["repoFullName"] == "octo/cleared"


async def test_the_newest_hundred_are_kept_also_over_a_kill(open_emulator: Server) -> None:
    for number in range(101):
        await deliver(open_emulator, "push", payload("many"), id=f"d{number}", secret=None)
    open_emulator.kill()
    open_emulator.start()

    async with Tab(open_emulator, agent("many")) as tab:
        events = await tab.call("getEvents", 500)

    assert [event["id"] for event in events] == [f"d{number}" for number in range(100, 0, -1)]


async def test_an_agent_takes_deliveries_only(emulator: Server) -> None:
    async with http_client(emulator) as http:
        responses = [await http.get(path) for path in (agent("x"), "/api/agent-name", "/webhooks/github/a/b")]

    assert [(response.status_code, response.text) for response in responses] == [
        (405, "Method not allowed"),
        (400, "Missing repo parameter"),
        (404, "Not found"),
    ]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_readmes_commands_do_what_it_says(emulator: Server) -> None:
    sent, name, kept = [run_command(command, emulator) for command in commands_of("github-webhook")]

    assert sent == "OK"
    assert json.loads(name) == {"agentName": "octo-hello"}
    assert kept == "star Repository starred by ann\n{'stars': 1, 'forks': 0, 'openIssues': 0}\n"
