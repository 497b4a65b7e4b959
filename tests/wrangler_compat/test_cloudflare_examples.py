"""Cloudflare's examples for Python Workers, all of them, unedited, each served by the emulator in a process of its own.

They are read where they are at hand and never kept here: EDGEAGENTS_PYTHON_WORKERS_EXAMPLES names a checkout of
``cloudflare/python-workers-examples``, or its git directory. What they ask of the internet is answered on loopback, and
their models by the offline model. Those that answered are named at the end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.figures import Figures
from tests.servers import Server, until
from tests.wrangler_compat.upstream.internet import Internet, internet
from tests.wrangler_compat.upstream.tools import EXAMPLES, copy_of, environment

pytestmark = [
    pytest.mark.cloudflare("Workers", "Python: Cloudflare's own examples, served by the emulator", "same"),
    pytest.mark.skipif(
        not EXAMPLES, reason="EDGEAGENTS_PYTHON_WORKERS_EXAMPLES does not say where Cloudflare's examples are"
    ),
]


class Example:
    """An example that is served."""

    def __init__(self, server: Server, client: httpx2.Client) -> None:
        self.server, self._client = server, client

    def get(self, path: str = "/") -> httpx2.Response:
        return self.ask("GET", path)

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Return its answer, which must be one that the example means to give."""
        answer = self._client.request(method, path, **options)
        assert answer.status_code < 500, f"{answer.text}\n{self.server.log}"
        return answer


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    with internet(tmp_path_factory.mktemp("internet")) as found:
        yield found


Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path, network: Internet, figures: Figures) -> Serve:
    """Serve an example: ``with serve("01-hello") as example``. ``before`` are commands to run first."""

    @contextmanager
    def serve(name: str, *before: list[str], part: str = "") -> Iterator[Example]:
        folder = copy_of(EXAMPLES, name, tmp_path) / part
        for command in before:
            call = ["-c", "from edgeagents_emulator.cli import main; main()", *command]
            done = subprocess.run(
                [sys.executable, *call], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stdout + done.stderr
        server = Server(
            "edgeagents.emulator:app",
            cwd=folder,
            env=network.environment,
            pythonpath=[network.folder],
            ready="/cdn-cgi/nothing",
        )
        try:
            server.start()
            with httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as client:
                yield Example(server, client)
            figures(f"{name} answered")
        finally:
            server.close()

    return serve


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def has_django_cf() -> bool:
    try:
        return tuple(map(int, version("django-cf").split(".")[:2])) >= (0, 2)
    except PackageNotFoundError:
        return False


def test_01_hello(serve: Serve) -> None:
    with serve("01-hello") as example:
        answer = example.get()
        assert (answer.text, answer.headers["content-type"]) == ("Hello world!", "text/plain;charset=UTF-8")


def test_02_binding(serve: Serve) -> None:
    with serve("02-binding") as example:
        assert example.get().text == "baz"


@needs("fastapi", "jinja2")
def test_03_fastapi(serve: Serve) -> None:
    with serve("03-fastapi") as example:
        answer = example.get()
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"].startswith("This is an example of FastAPI")
        assert example.get("/hi/Ann").json() == {"message": "Hello, Ann!"}
        assert example.get("/env").json()["message"].endswith("My env var")


def test_04_query_d1(serve: Serve) -> None:
    with serve("04-query-d1", ["d1", "execute", "quotes", "--local", "--file", "db_init.sql"]) as example:
        assert set(example.get().json()) == {"quote", "author"}


@needs("langchain_cloudflare", "langchain_core")
def test_05_langchain(serve: Serve) -> None:
    with serve("05-langchain") as example:
        assert "electrician" in example.get().json()["result"]


def test_06_assets(serve: Serve) -> None:
    with serve("06-assets") as example:
        kinds = {path: example.get(f"/{path}").headers["content-type"] for path in ("", "image.svg", "painting.jpg")}
        assert kinds == {"": "text/html; charset=utf-8", "image.svg": "image/svg+xml", "painting.jpg": "image/jpeg"}


def test_07_durable_objects(serve: Serve) -> None:
    with serve("07-durable-objects") as example:
        said = [example.get(path).text for path in ("/a/show", "/a/add/hi", "/a/add/you", "/a/show", "/b/show")]
        assert said == ["No messages", "Message sent", "Message sent", "hi\nyou", "No messages"]
        assert example.get("/").status_code == 400


def test_08_cron(serve: Serve) -> None:
    with serve("08-cron") as example:
        assert "Hello from Cron Worker" in example.get().text
        assert example.get("/cdn-cgi/handler/scheduled").text == "ok"
        assert "Scheduled task has been executed." in example.server.log


def test_09_workers_ai(serve: Serve) -> None:
    with serve("09-workers-ai") as example:
        assert example.get().json()[-1]["content"][0]["type"] == "output_text"


def test_10_workflows(serve: Serve) -> None:
    with serve("10-workflows") as example:
        assert "/start" in example.get().text
        number = example.get("/start").text.rpartition("ID: ")[2].strip()
        assert example.get(f"/status/{number}").json()["status"] in ("queued", "running")
        until(lambda: "executing dep" in example.server.log, "the workflow's first step")


def test_11_opengraph(serve: Serve) -> None:
    with serve("11-opengraph") as example:
        page = example.get("/blog/a-post").text
        assert '<meta property="og:title" content="Blog Post: A Post" />' in page
        assert "Example Domain" in page
        assert "old" not in page


@needs("PIL")
def test_12_image_gen(serve: Serve) -> None:
    with serve("12-image-gen") as example:
        assert "<html" in example.get().text.lower()
        for path in ("/gradient", "/badge?text=hi", "/placeholder?width=20&height=10", "/chart"):
            answer = example.get(path)
            assert (answer.headers["content-type"], answer.content[:4]) == ("image/png", b"\x89PNG")


_CALLER = """
from edgeagents import WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        made = await self.env.PYGMENTS.highlight_code("const x: number = 1", "typescript")
        other = await self.env.PYGMENTS.highlight_code("x", "no such language")
        return {
            "language": made["language"],
            "is_marked": "highlight" in made["html"],
            "other": other["language"],
            "page": await (await self.env.PYGMENTS.fetch("http://example.com/")).text(),
        }
"""


@needs("pygments")
def test_13_js_api_pygments(tmp_path: Path, figures: Figures) -> None:
    # Its caller is TypeScript: one in Python takes its place.
    caller = tmp_path / "caller"
    caller.mkdir()
    (caller / "caller.py").write_text(_CALLER)
    config = {
        "name": "caller",
        "main": "caller.py",
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["python_workers"],
        "services": [{"binding": "PYGMENTS", "service": "py-rpc-server"}],
    }
    (caller / "wrangler.json").write_text(json.dumps(config))
    example = copy_of(EXAMPLES, "13-js-api-pygments", tmp_path) / "py" / "wrangler.jsonc"
    server = Server(
        "edgeagents.emulator:app", cwd=caller, env={"EDGEAGENTS_CONFIG": f"{caller / 'wrangler.json'}:{example}"}
    )
    try:
        server.start()
        with httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            answer = client.get("/")
            assert answer.status_code == 200, server.log
            said = answer.json()
            assert "Python RPC server is running" in said.pop("page")
            assert said == {"language": "TypeScript", "is_marked": True, "other": "unknown"}
        figures("13-js-api-pygments answered")
    finally:
        server.close()


def test_14_websocket_stream_consumer(serve: Serve, network: Internet) -> None:
    with serve("14-websocket-stream-consumer") as example:
        assert example.get("/status").text == "Firehose status: disconnected"
        network.lets_in.set()
        for told in ("Connected to Bluesky", "a post"):
            until(lambda told=told: told in example.server.log, "a post of the stream")
        assert example.get("/status").text == "Firehose status: connected"
        network.end_streams()
        until(lambda: "WebSocket closed: code=1000, reason=enough" in example.server.log, "the end of the stream")
        # It aborts itself, and its next life goes on where it was.
        until(lambda: example.get("/status") and network.streams[-1].endswith("&cursor=7"), "it to go on")


def test_15_chatroom(serve: Serve) -> None:
    with serve("15-chatroom") as example, ExitStack() as sockets:

        def enter(room: str) -> ClientConnection:
            return sockets.enter_context(connect(f"{example.server.ws_url}/room/{room}", proxy=None))

        def hear(socket: ClientConnection) -> Any:
            return json.loads(socket.recv(timeout=30))

        assert "<html" in example.get().text.lower()
        assert example.get("/room/one").status_code == 400
        one, other, elsewhere = enter("one"), enter("one"), enter("two")
        assert [hear(socket)["text"] for socket in (one, other, elsewhere)] == ["Connected to chatroom"] * 3
        one.send(json.dumps({"username": "Ann", "text": "hello"}))
        for heard in (hear(one), hear(other)):
            assert (heard["type"], heard["username"], heard["text"]) == ("message", "Ann", "hello")
        assert hear(enter("one"))["messages"][0]["text"] == "hello"
        other.close()
        until(lambda: "Active sessions: 2" in example.server.log, "a session to end")
        # A room hears nothing of another: the first it hears is what it says itself.
        elsewhere.send(json.dumps({"username": "Bob", "text": "alone"}))
        assert hear(elsewhere)["username"] == "Bob"


@needs("requests", "urllib3", "httpx")
def test_16_sync_http_clients(serve: Serve) -> None:
    with serve("16-sync-http-clients") as example:
        results = example.get("/sync").json()["results"]
        assert [(result["client"], result["saw_expected_text"]) for result in results] == [
            ("requests", True),
            ("urllib3", True),
            ("httpx.Client", True),
        ]


def test_17_dynamic_py_py(serve: Serve) -> None:
    with serve("17-dynamic-py-py") as example:
        assert example.get().text == "Hello from a dynamically-loaded Python Worker!"


@needs("django")
def test_18_django(serve: Serve) -> None:
    with serve("18-django") as example:
        assert example.get().json() == {"message": "Hello from Django on Cloudflare Workers!"}


@needs("django")
@pytest.mark.skipif(not has_django_cf(), reason="not installed: django-cf 0.2 or later")
def test_19_django_todo_d1(serve: Serve) -> None:
    with serve("19-django-todo-d1", ["d1", "migrations", "apply", "django-todo-d1", "--local"]) as example:
        assert example.get("/api/health/").json() == {"status": "ok"}
        assert "Django TODO" in example.get().text
        made = example.ask("POST", "/api/todos/", json={"title": "write"})
        assert (made.status_code, made.json()["todo"]["completed"]) == (201, False)
        path = f"/api/todos/{made.json()['todo']['id']}/"
        assert example.ask("PATCH", path, json={"completed": True}).json()["todo"]["completed"] is True
        assert [todo["title"] for todo in example.get("/api/todos/").json()["todos"]] == ["write"]
        assert example.ask("POST", "/api/todos/", json={"title": " "}).status_code == 400
        assert (example.ask("DELETE", path).status_code, example.get(path).status_code) == (204, 404)
