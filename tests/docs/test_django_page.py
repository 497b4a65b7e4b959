"""The project of ``docs/django.md`` works: its views, its tests, its command beside a server, its task."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from asgiref.sync import async_to_sync
from asgiref.wsgi import WsgiToAsgi
from starlette.testclient import TestClient

from edgeagents import AgentsMiddleware, get_agent_by_name
from tests.documents import ROOT, Page
from tests.servers import Server

PAGE = Page("docs/django.md")

SETTINGS = """
SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = ["mysite"]
MIDDLEWARE = []
"""

CELERY = """
def shared_task(function):
    function.delay = function  # As with task_always_eager.
    return function
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    pytest.importorskip("django")
    PAGE.write_to(tmp_path)
    (tmp_path / "mysite" / "settings.py").write_text(SETTINGS)
    for folder in ("mysite", "mysite/management", "mysite/management/commands"):
        (tmp_path / folder / "__init__.py").touch()
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
        "PYTHONPATH": os.pathsep.join(map(str, [project, ROOT, *sys.path])),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=project, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_tests_of_the_page_pass(project: Path) -> None:
    assert "Ran 1 test" in run(project, "-m", "django", "test", "mysite.tests")


def test_a_sync_client_finds_the_runtime(project: Path) -> None:
    page = PAGE.text
    assert 'await sync_to_async(self.client.post)("/rooms/a/say", {"text": "hello"})' in page
    tests = project / "mysite" / "tests.py"
    sync = '(await sync_to_async(self.client.post)("/rooms/a/say", {"text": "hello"}))'
    code = tests.read_text().replace('await self.async_client.post("/rooms/a/say", {"text": "hello"})', sync)
    assert sync in code
    tests.write_text("from asgiref.sync import sync_to_async\n" + code)
    assert "Ran 1 test" in run(project, "-m", "django", "test", "mysite.tests")


@pytest.mark.server
def test_a_command_and_a_task_speak_to_the_server_s_agents(project: Path) -> None:
    stand_in = project / "celery"
    stand_in.mkdir()
    (stand_in / "__init__.py").write_text(CELERY)
    server = Server("mysite.asgi:application", server="uvicorn", cwd=project, pythonpath=[project])
    try:
        server.start()
        with httpx2.Client(base_url=server.url, trust_env=False) as client:
            assert client.post("/rooms/a/say", data={"text": "one"}).json() == {"count": 1}
            assert run(project, "-m", "django", "say", "a", "two").strip() == "2"
            task = "from mysite.tasks import say_later; print(say_later.delay('a', 'three'))"
            assert run(project, "-c", task).strip() == "3"
            assert client.post("/rooms/a/say-sync", data={"text": "four"}).json() == {"count": 4}
    finally:
        server.close()
    assert run(project, "-m", "django", "say", "a", "five").strip() == "5"


def test_a_wsgi_app_behind_asgiref_calls_agents(tmp_path: Path) -> None:
    with PAGE.module("mysite/rooms.py") as rooms:

        async def say() -> int:
            room = await get_agent_by_name(rooms.Room, "a")
            return await room.say("hello")

        def wsgi(environ: object, start_response: Callable[..., object]) -> list[bytes]:
            start_response("200 OK", [("content-type", "text/plain")])
            return [str(async_to_sync(say)()).encode()]

        app = AgentsMiddleware(WsgiToAsgi(wsgi), agents=[rooms.Room], storage=tmp_path, discover_plugins=False)
        with TestClient(app) as client:
            assert [client.get("/").text, client.get("/").text] == ["1", "2"]


def test_threads_of_a_wsgi_worker_share_a_runtime(project: Path) -> None:
    calls = """
from concurrent.futures import ThreadPoolExecutor
from mysite.wsgi_agents import say

with ThreadPoolExecutor(4) as threads:
    print(sorted(threads.map(lambda _: say("a", "hello"), range(8))))
"""
    assert run(project, "-c", calls).strip() == "[1, 2, 3, 4, 5, 6, 7, 8]"
    assert run(project, "-m", "django", "say", "a", "again").strip() == "9"
