"""The examples of ``docs/security.md`` run as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Page

PAGE = Page("docs/security.md")

FASTAPI = """
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

with TestClient(app) as client:
    def refused(url, **options):
        try:
            with client.websocket_connect(url, **options):
                return False
        except Exception:
            return True

    assert client.post("/rooms/lobby/ticket").status_code == 401
    client.cookies.set("session", "session-of-ann")
    ticket = client.post("/rooms/lobby/ticket").json()["ticket"]
    assert refused("/agents/chat-room/attic?ticket=" + ticket)
    with client.websocket_connect("/agents/chat-room/lobby?ticket=" + ticket) as socket:
        while socket.receive_text() != "welcome, ann":
            pass
    assert refused("/agents/chat-room/lobby?ticket=" + ticket), "it is for once"
    assert refused("/agents/chat-room/lobby")
    headers = {"authorization": "Bearer key-of-a-service"}
    with client.websocket_connect("/agents/chat-room/lobby", headers=headers) as socket:
        while socket.receive_text() != "welcome, billing":
            pass
    assert refused("/agents/chat-room/lobby", headers={**headers, "origin": "https://evil.example"})
print("it runs")
"""

DJANGO_SETTINGS = """
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    ROOT_URLCONF=(),
)
django.setup()
from django.core.management import call_command

call_command("migrate", verbosity=0)
"""

DJANGO = """
import asyncio
from django.contrib.auth import get_user_model
from django.test import Client
from edgeagents.testing import ManualClock
from starlette.testclient import TestClient

ann = get_user_model().objects.create_user("ann")
signed_in = Client()
signed_in.force_login(ann)
with TestClient(application) as client:
    assert client.get("/agents/chat-room/lobby").status_code == 401
    client.cookies.set(settings.SESSION_COOKIE_NAME, "made up")
    assert client.get("/agents/chat-room/lobby").status_code == 401
    client.cookies.set(settings.SESSION_COOKIE_NAME, signed_in.session.session_key)
    assert client.get("/agents/chat-room/lobby").text == "welcome, ann"
    assert client.post("/agents/chat-room/lobby", headers={"origin": "https://evil.example"}).status_code == 403

renew = DjangoUsers().renew_identity
assert asyncio.run(renew(Identity(str(ann.pk)))).claims == {"name": "ann"}
get_user_model().objects.update(is_active=False)
assert asyncio.run(renew(Identity(str(ann.pk)))) is None
print("it runs")
"""


def run(folder: Path, *parts: str) -> str:
    script = folder / "example.py"
    script.write_text("\n".join(parts))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TICKET_SECRET": "a secret of the tests that is long enough"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() or done.stderr


def test_the_example_for_fastapi(tmp_path: Path) -> None:
    for needed in ("fastapi", "httpx"):
        pytest.importorskip(needed)
    assert run(tmp_path, PAGE.files["fastapi.py"], FASTAPI) == "it runs"


def test_the_example_for_django(tmp_path: Path) -> None:
    for needed in ("django", "httpx"):
        pytest.importorskip(needed)
    assert run(tmp_path, DJANGO_SETTINGS, PAGE.files["django.py"], DJANGO) == "it runs"
