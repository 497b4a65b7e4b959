"""Worker Loader: code that comes while a Python Worker runs, and runs beside it."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from wrangler_compat import bindings
from wrangler_compat.dynamic_workers import DynamicWorker, NoNetwork, WorkerCode, WorkerLoader

from .conftest import RunningWorker, RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: Worker Loader", "different: what it loads is Python, in this process"
)

LOADERS = {"worker_loaders": [{"binding": "LOADER"}]}

HELLO = """
    from workers import WorkerEntrypoint, Response

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            return Response("hello from below")
"""

# What each worker of these tests begins with: ``code(source, **more)`` is what a callback gives.
PARENT = """
from js import Object
from pyodide.ffi import create_proxy, jsnull, to_js
from workers import DurableObject, Request, Response, WorkerEntrypoint, fetch

def js(value):
    return to_js(value, dict_converter=Object.fromEntries)

def code(modules, **more):
    if isinstance(modules, str):
        modules = {"entry.py": modules}
    told = {"compatibilityDate": "2026-04-01", "compatibilityFlags": ["python_workers"], "mainModule": "entry.py"}
    return js({**told, "modules": modules, **more})

"""


async def load(run: RunWorker, body: str, **sources: str) -> RunningWorker:
    """Run a worker whose ``fetch`` is ``body``; ``sources`` are texts that it knows by their names."""
    texts = "".join(f"{name} = {dedent(text)!r}\n" for name, text in sources.items())
    handler = "class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n" + _indented(body)
    return await run(PARENT + texts + handler, runtime={"plugins": (bindings,)}, **LOADERS)


def _indented(body: str) -> str:
    return "".join(f"        {line}\n" for line in dedent(body).strip().splitlines())


async def test_a_worker_is_made_of_code(run: RunWorker) -> None:
    worker = await load(
        run, "return await self.env.LOADER.load(code(HELLO)).getEntrypoint().fetch(request)", HELLO=HELLO
    )
    assert await worker.text() == "hello from below"


async def test_by_its_id_it_is_loaded_once(run: RunWorker) -> None:
    body = """
        asked = []
        async def callback():
            asked.append(1)
            return code(COUNTER)
        found = []
        for _ in range(3):
            entrypoint = self.env.LOADER.get("one", create_proxy(callback)).getEntrypoint()
            found.append(await (await entrypoint.fetch("http://below/")).text())
        other = self.env.LOADER.get("two", create_proxy(callback)).getEntrypoint()
        found.append(await (await other.fetch("http://below/")).text())
        return Response.json([found, len(asked)])
    """
    counter = """
        from workers import WorkerEntrypoint, Response
        count = 0
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                global count
                count += 1
                return Response(str(count))
    """
    worker = await load(run, body, COUNTER=counter)
    assert await worker.text() == '[["1", "2", "3", "1"], 2]'


async def test_nothing_is_loaded_before_it_is_used(run: RunWorker) -> None:
    body = """
        asked = []
        self.env.LOADER.get("one", create_proxy(lambda: asked.append(1))).getEntrypoint()
        return Response.json(asked)
    """
    worker = await load(run, body)
    assert await worker.text() == "[]"


async def test_methods_of_a_named_entrypoint_are_called_with_props_and_env(run: RunWorker) -> None:
    body = """
        worker = self.env.LOADER.load(code(BELOW, env={"GREETING": "good day", "LIST": [1, 2]}))
        inner = worker.getEntrypoint("Inner", js({"props": {"who": "Ann"}}))
        return Response.json([await inner.greet("!"), await worker.getEntrypoint("Inner").greet("?")])
    """
    below = """
        from workers import WorkerEntrypoint
        class Inner(WorkerEntrypoint):
            async def greet(self, end):
                who = getattr(self.ctx.props, "who", None) or "nobody"
                return f"{self.env.GREETING}, {who}{end} {len(self.env.LIST)}"
    """
    worker = await load(run, body, BELOW=below)
    assert await worker.text() == '["good day, Ann! 2", "good day, nobody? 2"]'


async def test_modules_of_one_name_do_not_meet(run: RunWorker) -> None:
    worker = await run(
        PARENT
        + f"HELLO = {dedent(NEIGHBOURS)!r}\n"
        + dedent(
            """
            import helper
            class Default(WorkerEntrypoint):
                async def fetch(self, request):
                    made = code({"entry.py": HELLO, "helper.py": "NAME = 'below'", "notes.txt": {"text": "some notes"}})
                    told = await (await self.env.LOADER.load(made).getEntrypoint().fetch(request)).text()
                    alone = self.env.LOADER.load(code({"entry.py": HELLO}))
                    try:
                        await alone.getEntrypoint().fetch(request)
                    except Exception as error:
                        return Response.json([helper.NAME, told, str(error).splitlines()[-1]])
            """
        ),
        runtime={"plugins": (bindings,)},
        files={"src/helper.py": "NAME = 'above'"},
        **LOADERS,
    )
    assert await worker.text() == '["above", "below, some notes", "ModuleNotFoundError: No module named \'helper\'"]'


NEIGHBOURS = """
    from pathlib import Path
    from workers import WorkerEntrypoint, Response
    import helper
    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            return Response(f"{helper.NAME}, {(Path(__file__).parent / 'notes.txt').read_text()}")
"""

FETCHES = """
    from workers import WorkerEntrypoint, Response, fetch
    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            try:
                return Response(await (await fetch("https://example.com/x")).text())
            except Exception as error:
                return Response(f"refused: {error}")
"""


async def test_without_an_outbound_it_reaches_nothing(run: RunWorker) -> None:
    body = """
        made = code(FETCHES)
        made.globalOutbound = jsnull
        return await self.env.LOADER.load(made).getEntrypoint().fetch(request)
    """
    worker = await load(run, body, FETCHES=FETCHES)
    assert (await worker.text()).startswith("refused: This worker is not permitted to access the internet")


async def test_what_it_fetches_goes_to_its_outbound(run: RunWorker) -> None:
    worker = await run(
        PARENT
        + f"FETCHES = {dedent(FETCHES)!r}\n"
        + dedent(
            """
            class Gate(WorkerEntrypoint):
                async def fetch(self, request):
                    return Response(f"the gate saw {request.url}")

            class Default(WorkerEntrypoint):
                async def fetch(self, request):
                    made = code(FETCHES)
                    made.globalOutbound = self.ctx.exports.Gate
                    return await self.env.LOADER.load(made).getEntrypoint().fetch(request)
            """
        ),
        runtime={"plugins": (bindings,)},
        **LOADERS,
    )
    assert await worker.text() == "the gate saw https://example.com/x"


async def test_an_object_has_facets_of_a_dynamic_class(run: RunWorker) -> None:
    worker = await run(
        PARENT
        + dedent(
            '''
            BELOW = """
            from workers import DurableObject
            class Counter(DurableObject):
                async def add(self, number):
                    total = (await self.ctx.storage.get("total") or 0) + number
                    await self.ctx.storage.put("total", total)
                    return f"{self.env.NAME} {total}"
            """
            class Home(DurableObject):
                async def add(self, number):
                    worker = self.env.LOADER.get("counter", create_proxy(lambda: code(BELOW, env={"NAME": "below"})))
                    start = lambda: js({"class": worker.getDurableObjectClass("Counter")})
                    return await self.ctx.facets.get("counter", create_proxy(start)).add(number)

            class Default(WorkerEntrypoint):
                async def fetch(self, request):
                    home = self.env.HOME.getByName("a")
                    return Response.json([await home.add(2), await home.add(3)])
            '''
        ),
        objects=["Home"],
        runtime={"plugins": (bindings,)},
        **LOADERS,
    )
    assert await worker.text() == '["below 2", "below 5"]'


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("code({})", "Dynamic Worker code must contain at least one module."),
        ('code({"entry.txt": "x"})', "Module name must end with '.js' or '.py'"),
        ('code({"other.py": "x = 1"})', "mainModule 'entry.py' is none of the modules: other.py."),
        ('code({"entry.py": {"py": "", "text": ""}})', "Each module must contain exactly one of"),
        ('code({"../entry.py": "x = 1"})', "cannot be the name of a module"),
        ('code({"entry.js": "x"}, mainModule="entry.js")', "JavaScript, which only Cloudflare runs"),
        ('js({"modules": {}})', "Invalid compatibility date: undefined"),
        ('code({}, compatibilityDate="yesterday")', "Invalid compatibility date: yesterday"),
        ('code("raise KeyError(1)")', "1"),
    ],
)
async def test_what_is_no_worker_is_refused_with_the_reason(run: RunWorker, code: str, fault: str) -> None:
    body = f"""
        try:
            await self.env.LOADER.load({code}).getEntrypoint().fetch(request)
        except Exception as error:
            return Response(str(error))
    """
    worker = await load(run, body)
    assert fault in await worker.text()


async def test_the_callback_is_asked_again_after_it_failed(run: RunWorker) -> None:
    body = """
        asked = []
        def callback():
            asked.append(1)
            return code("raise ValueError('not yet')" if len(asked) == 1 else HELLO)
        worker = self.env.LOADER.get("one", create_proxy(callback))
        try:
            await worker.getEntrypoint().fetch(request)
        except Exception as error:
            return Response(f"{error}; {await (await worker.getEntrypoint().fetch(request)).text()}")
    """
    worker = await load(run, body, HELLO=HELLO)
    assert "not yet; hello from below" in await worker.text()


# Natively, for a worker of edgeagents

NATIVE = """
from edgeagents import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    def fetch(self, request):
        return Response(f"native {self.env.WHO}")
"""


async def native_loader(run: RunWorker) -> WorkerLoader:
    source = "from edgeagents import Response\ndef fetch(request, env, ctx):\n    return Response('up')"
    worker = await run(source, runtime={"plugins": (bindings,)}, **LOADERS)
    loader = worker.runtime.env.LOADER
    assert isinstance(loader, WorkerLoader)
    return loader


async def told_by(worker: DynamicWorker) -> str:
    return await (await worker.entrypoint().fetch("http://below/")).text()


async def test_a_native_worker_loads_native_code(run: RunWorker) -> None:
    loader = await native_loader(run)
    made = loader.load(WorkerCode("entry.py", {"entry.py": NATIVE}, env={"WHO": "Ann"}, network=NoNetwork()))
    assert await told_by(made) == "native Ann"


async def test_a_native_worker_without_a_network_reaches_nothing(run: RunWorker) -> None:
    source = """
        import js
        from edgeagents import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return Response(str(await js.fetch("http://elsewhere.example/")))
    """
    loader = await native_loader(run)
    below = loader.load(WorkerCode("entry.py", {"entry.py": dedent(source)}, network=NoNetwork()))
    with pytest.raises(Exception, match="not permitted to access the internet"):
        await told_by(below)


async def test_of_many_the_one_that_was_not_used_for_longest_is_unloaded(
    run: RunWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wrangler_compat.dynamic_workers.KEPT", 2)
    loader = await native_loader(run)
    asked: list[int] = []

    def source(number: int) -> WorkerCode:
        asked.append(number)
        return WorkerCode("entry.py", {"entry.py": NATIVE}, env={"WHO": str(number)})

    for number in (1, 2, 1, 3, 1, 2):
        assert await told_by(loader.get(str(number), lambda number=number: source(number))) == f"native {number}"
    assert asked == [1, 2, 3, 2]


async def test_what_was_loaded_leaves_nothing_behind(run: RunWorker) -> None:
    loader = await native_loader(run)
    before = set(sys.modules)
    made = loader.load(
        WorkerCode("entry.py", {"entry.py": "from pathlib import Path\nHERE = Path(__file__)\n" + NATIVE})
    )
    cls = "Default"
    service = made.entrypoint(cls)
    with pytest.raises(Exception, match="WHO"):
        await service.fetch("http://below/")
    (added,) = [name for name in set(sys.modules) - before if name.endswith(".entry")]
    folder = Path(sys.modules[added].HERE).parent
    assert folder.is_dir()
    await loader.stop()
    assert (added in sys.modules, folder.exists()) == (False, False)
