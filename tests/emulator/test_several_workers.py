"""Several workers in one process: who has the traffic, who reaches whom, and whose module an import finds."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.options import Options

from tests.asgi.client import Exchange, http_scope
from tests.emulator.test_dev import dev
from tests.servers import until

pytestmark = pytest.mark.cloudflare(
    "Workers", "Several workers in one process: services, objects and workflows of each other", "same"
)

Write = Callable[..., Path]
Start = Callable[..., Awaitable[Any]]

FRONT = """
    import helper
    from edgeagents import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            match request.path:
                case "/own":
                    return helper.WHOSE
                case "/lazy":
                    import lazy
                    from package import inner
                    return [lazy.WHOSE, inner.WHOSE]
                case "/back":
                    return await self.env.BACK.fetch("http://back/own")
                case "/back-lazy":
                    return await self.env.BACK.fetch("http://back/lazy")
                case "/call":
                    return await self.env.NAMED.add(1, 2)
                case "/props":
                    return await self.env.NAMED.told()
                case "/count":
                    return await self.env.COUNTER.get_by_name("a").count()
                case "/object":
                    return await self.env.COUNTER.get_by_name("a").fetch("http://x/")
                case "/gone":
                    return await self.env.GONE.fetch("http://x/")
                case "/gone-object":
                    return await self.env.GONE_OBJECT.get_by_name("a").fetch("http://x/")
                case "/gone-call":
                    return await self.env.GONE_OBJECT.get_by_name("a").work()
                case "/queue":
                    await self.env.JOBS.send({"job": 1})
                    return "sent"
"""
BACK = """
    import helper
    from edgeagents import DurableObject, Response, WorkerEntrypoint

    class Counter(DurableObject):
        async def count(self):
            n = (await self.ctx.storage.get("n") or 0) + 1
            await self.ctx.storage.put("n", n)
            return n

        async def fetch(self, request):
            import lazy
            return f"{lazy.WHOSE}: {await self.ctx.storage.get('n')}"

    class Named(WorkerEntrypoint):
        async def add(self, a, b):
            return a + b

        async def told(self):
            return dict(self.ctx.props)

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            if request.path == "/own":
                return f"{helper.WHOSE} {self.env.WORD}"
            if request.path == "/lazy":
                import lazy
                from package import inner
                return [lazy.WHOSE, inner.WHOSE]
            return await self.env.FRONT.fetch("http://front/own")
"""
BINDINGS: dict[str, Any] = {
    "services": [
        {"binding": "BACK", "service": "back"},
        {"binding": "NAMED", "service": "back", "entrypoint": "Named", "props": {"who": "front"}},
        {"binding": "GONE", "service": "gone"},
    ],
    "durable_objects": {
        "bindings": [
            {"name": "COUNTER", "class_name": "Counter", "script_name": "back"},
            {"name": "GONE_OBJECT", "class_name": "Counter", "script_name": "gone"},
        ]
    },
}
BACK_CONFIG: dict[str, Any] = {
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Counter"]}],
    "vars": {"WORD": "word"},
    "services": [{"binding": "FRONT", "service": "front"}],
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a project: ``write("front", source, **configuration)`` returns its configuration file."""

    def write(folder: str, source: str, *, files: dict[str, str] | None = None, **config: Any) -> Path:
        own = {
            "entry.py": source,
            "helper.py": f"WHOSE = {folder!r}",
            "lazy.py": f"WHOSE = {folder!r} + ' late'",
            "package/__init__.py": "",
            "package/inner.py": "from .deep import WHOSE\nfrom package import deep\nimport package.deep as deep",
            "package/deep.py": f"WHOSE = {folder!r} + ' deep'",
            **(files or {}),
        }
        for file, text in own.items():
            path = tmp_path / folder / "src" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        path = tmp_path / folder / "wrangler.json"
        settings = {
            "name": folder,
            "main": "src/entry.py",
            "compatibility_date": "2026-01-01",
            "compatibility_flags": ["python_workers"],
        }
        path.write_text(json.dumps({**settings, **config}))
        return path

    return write


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start the workers of configuration files, and return a function that gets a path of the first."""
    async with AsyncExitStack() as stack:

        async def start(*configs: Path, **options: Any) -> Any:
            first, *others = map(str, configs)
            app = EmulatorApp(Options(directory=str(tmp_path), config=first, others=tuple(others), **options))
            stack.push_async_callback(app.stop)

            async def get(path: str) -> str:
                exchange = Exchange(app, http_scope(path, server=("front.example", 80)))
                await exchange.send()
                status, _ = await exchange.start()
                return f"{status} {(await exchange.rest()).decode()}"

            return get

        yield start


@pytest.fixture
async def get(write: Write, start: Start) -> Any:
    return await start(write("front", FRONT, **BINDINGS), write("back", BACK, **BACK_CONFIG))


async def test_the_first_worker_has_the_traffic(get: Any) -> None:
    assert await get("/own") == "200 front"


async def test_a_service_binding_reaches_the_other_worker_and_back(get: Any) -> None:
    assert await get("/back") == "200 back word"
    # Back asks front in turn.
    assert await get("/back-lazy") == '200 ["back late","back deep"]'


async def test_an_entrypoint_of_the_other_worker_is_called_with_its_props(get: Any) -> None:
    assert await get("/call") == "200 3"
    assert await get("/props") == '200 {"who":"front"}'


async def test_objects_of_the_other_worker_are_reached_and_kept_there(get: Any, tmp_path: Path) -> None:
    assert await get("/count") == "200 1"
    assert await get("/count") == "200 2"
    assert await get("/object") == "200 back late: 2"
    (kept,) = (tmp_path / "front" / ".edgeagents" / "state" / "objects").iterdir()
    assert kept.name == "back-Counter"


async def test_an_import_finds_the_worker_s_own_modules_whenever_it_runs(get: Any) -> None:
    assert await get("/lazy") == '200 ["front late","front deep"]'
    assert await get("/back-lazy") == '200 ["back late","back deep"]'
    assert await get("/lazy") == '200 ["front late","front deep"]'


async def test_a_worker_that_does_not_run_answers_503(get: Any) -> None:
    absent = '503 Worker "gone" not found. Make sure it is running locally.'
    assert await get("/gone") == absent
    assert await get("/gone-object") == absent
    assert await get("/gone-call") == absent


async def test_nothing_is_left_of_them_when_they_stop(write: Write, tmp_path: Path) -> None:
    before, path, original = set(sys.modules), list(sys.path), importlib.import_module
    app = EmulatorApp(
        Options(
            directory=str(tmp_path),
            config=str(write("front", FRONT, **BINDINGS)),
            others=(str(write("back", BACK, **BACK_CONFIG)),),
        )
    )
    exchange = Exchange(app, http_scope("/own", server=("front.example", 80)))
    await exchange.send()
    assert (await exchange.start())[0] == 200
    assert {"worker-front.helper", "worker-back.helper"} <= set(sys.modules)
    await exchange.rest()
    await app.stop()
    assert [name for name in set(sys.modules) - before if name.startswith(("worker-", "helper", "entry"))] == []
    assert sys.path == path
    assert importlib.import_module is original


TRICKS = """
    import importlib
    import pickle
    import threading
    import typing
    from dataclasses import dataclass

    import helper
    from edgeagents import WorkerEntrypoint

    @dataclass
    class Told:
        of: "helper.Kind"

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            return answers()

    def answers():
        found = []
        def work():
            import lazy

            found.append(lazy.WHOSE)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return [
            *found,
            importlib.import_module("lazy").WHOSE,
            importlib.import_module("package.deep").WHOSE,
            __import__("lazy").WHOSE,
            typing.get_type_hints(Told)["of"].word,
            pickle.loads(pickle.dumps(Told(helper.Kind()))).of.word,
            eval("__import__('lazy').WHOSE"),
        ]
"""


@pytest.mark.parametrize("name", ["front", "back"])
async def test_names_in_texts_threads_and_pickles_lead_to_the_worker_s_own(
    write: Write, start: Start, name: str
) -> None:
    configs = [write(n, TRICKS, files={"helper.py": KIND.format(n)}) for n in (name, "other")]
    get = await start(*configs)
    late, deep = f"{name} late", f"{name} deep"
    assert json.loads((await get("/"))[4:]) == [late, late, deep, late, name, name, late]


KIND = """
class Kind:
    word = {!r}
"""


async def test_a_relative_import_from_main_fails_as_it_does_when_deployed(write: Write, start: Start) -> None:
    front = write("front", "from . import helper")
    get = await start(front, write("back", BACK, **BACK_CONFIG), serves_when_broken=True)
    assert "attempted relative import with no known parent package" in await get("/")


async def test_a_traceback_begins_in_the_file_of_the_worker_that_failed(write: Write, start: Start) -> None:
    front = write("front", "import helper", files={"helper.py": "def work():\n    raise ValueError('no')\nwork()"})
    get = await start(front, write("back", BACK, **BACK_CONFIG), serves_when_broken=True)
    lines = (await get("/")).splitlines()
    frames = [line.split('"')[1].rpartition("/")[2] for line in lines if line.startswith("  File")]
    assert frames == ["entry.py", "helper.py", "helper.py"]


async def test_two_workers_of_one_name_are_refused(write: Write, start: Start) -> None:
    get = await start(write("front", FRONT), write("back", BACK, name="front"), serves_when_broken=True)
    assert "name: 'front' is the name of another worker of this session" in await get("/")


async def test_what_is_wrong_in_all_of_them_is_told_at_once(write: Write, start: Start) -> None:
    get = await start(write("front", FRONT, main="a.py"), write("back", BACK, main="b.py"), serves_when_broken=True)
    told = await get("/")
    assert "main: a.py does not exist" in told
    assert "main: b.py does not exist" in told


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"services": [{"binding": "B", "service": "back", "entrypoint": "Namd"}]}, "Did you mean 'Named'?"),
        (
            {"durable_objects": {"bindings": [{"name": "C", "class_name": "Conter", "script_name": "back"}]}},
            "Did you mean 'Counter'?",
        ),
    ],
    ids=["entrypoint", "class"],
)
async def test_what_the_other_worker_has_not_is_told_at_the_start(
    write: Write, start: Start, bindings: dict[str, Any], message: str
) -> None:
    front = write("front", FRONT, **bindings)
    get = await start(front, write("back", BACK, **BACK_CONFIG), serves_when_broken=True)
    assert message in await get("/")


SDK = """
    import helper
    from workers import Response, WorkerEntrypoint, env

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            if "/ask" in request.url:
                return await self.env.OTHER.fetch("http://other/")
            return Response(f"{helper.WHOSE} {env.WORD} {self.env.WORD} {await self.env.OTHER.whose()}")

        async def whose(self):
            import lazy
            return f"{lazy.WHOSE} {env.WORD}"
"""


async def test_workers_on_cloudflare_s_sdk_have_environments_of_their_own(write: Write, start: Start) -> None:
    get = await start(
        write("front", SDK, vars={"WORD": "f"}, services=[{"binding": "OTHER", "service": "back"}]),
        write("back", SDK, vars={"WORD": "b"}, services=[{"binding": "OTHER", "service": "front"}]),
    )
    assert await get("/") == "200 front f f back late b"
    assert await get("/ask") == "200 back b b front late f"


WORKFLOW = """
    from edgeagents_workflows import WorkflowEntrypoint

    class Orders(WorkflowEntrypoint):
        async def run(self, event, step):
            import lazy
            return lazy.WHOSE
"""
ORDERS = """
    from edgeagents import WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            if request.path == "/new":
                await self.env.ORDERS.create(id="one")
            return (await (await self.env.ORDERS.get("one")).status())["output"]
"""


async def test_a_workflow_of_the_other_worker_runs_there(write: Write, start: Start) -> None:
    entry = {"binding": "ORDERS", "name": "orders", "class_name": "Orders"}
    get = await start(
        write("front", ORDERS, workflows=[{**entry, "script_name": "back"}]), write("back", WORKFLOW, workflows=[entry])
    )
    answer = await get("/new")
    while answer != "200 back late":
        assert answer == "200 null"
        answer = await get("/")


AGENT = """
    from edgeagents import Agent

    class Clock(Agent):
        def on_request(self, request):
            return "an agent"
"""
ASKS = """
    from edgeagents import WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            return await self.env.BACK.fetch(request)
"""


async def test_a_service_answers_with_the_agents_and_the_assets_of_the_other_worker(
    write: Write, start: Start, tmp_path: Path
) -> None:
    clock = {"bindings": [{"name": "Clock", "class_name": "Clock"}]}
    front = write("front", ASKS, services=[{"binding": "BACK", "service": "back"}])
    back = write("back", AGENT, durable_objects=clock, assets={"directory": "public"})
    (tmp_path / "back" / "public").mkdir()
    (tmp_path / "back" / "public" / "page.txt").write_text("an asset")
    get = await start(front, back)
    assert await get("/agents/clock/a") == "200 an agent"
    assert await get("/page.txt") == "200 an asset"
    assert await get("/nothing") == "404 Not found"


def test_the_variable_names_several_configurations(tmp_path: Path) -> None:
    several = Options.from_environment({"EDGEAGENTS_CONFIG": os.pathsep.join(("a/wrangler.json", "b.toml"))}, tmp_path)
    assert (several.config, several.others) == ("a/wrangler.json", ("b.toml",))
    assert Options.from_environment({"EDGEAGENTS_CONFIG": "a.toml"}, tmp_path).others == ()
    assert Options.from_environment({}, tmp_path).config is None


SENDS = """
    from edgeagents import WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            if request.path == "/send":
                await self.env.JOBS.send("x")
            return await self.env.BACK.got()
"""
TAKES = """
    from edgeagents import WorkerEntrypoint

    got = []

    class Default(WorkerEntrypoint):
        async def queue(self, batch):
            got.extend(message.body for message in batch.messages)

        async def got(self):
            return list(got)
"""


async def test_one_worker_takes_what_another_one_sends_to_a_queue(write: Write, start: Start) -> None:
    front = write(
        "front",
        SENDS,
        queues={"producers": [{"binding": "JOBS", "queue": "jobs"}]},
        services=[{"binding": "BACK", "service": "back"}],
    )
    back = write("back", TAKES, queues={"consumers": [{"queue": "jobs", "max_batch_size": 1}]})
    get = await start(front, back)
    answer = await get("/send")
    while answer != '200 ["x"]':
        assert answer == "200 []"
        answer = await get("/")


@pytest.mark.server
def test_the_command_takes_several_configurations_and_reloads_them_all(write: Write, tmp_path: Path) -> None:
    front, back = write("front", FRONT, **BINDINGS), write("back", BACK, **BACK_CONFIG)
    with dev(tmp_path, "--config", str(front), "--config", str(back)) as running:
        assert running.get("/back") == (200, "back word")
        helper = tmp_path / "back" / "src" / "helper.py"
        helper.write_text("WHOSE = 'changed'")
        until(lambda: running.get("/back") == (200, "changed word"), "the reload")
        assert "edgeagents" in running.log
        assert "front from" in running.log
        assert "back from" in running.log
