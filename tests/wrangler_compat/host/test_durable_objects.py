"""Durable Objects of Cloudflare's SDK: reached by method and by fetch, one instance an id."""

from __future__ import annotations

import asyncio

import pytest

from edgeagents.testing import ManualClock, settle

from .conftest import RunningWorker, RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: Durable Objects of the SDK, called by method and by fetch", "same"
)

COUNTER = """
    from urllib.parse import urlparse
    from workers import DurableObject, Response, WorkerEntrypoint

    class Counter(DurableObject):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.calls = 0

        async def fetch(self, request):
            self.calls += 1
            return Response(f"{request.method} {urlparse(request.url).path} {self.calls}", headers={"x-made-by": "it"})

        async def increment(self, by=1):
            n = (await self.ctx.storage.get("n") or 0) + by
            await self.ctx.storage.put("n", n)
            return n

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            path = urlparse(request.url).path
            stub = self.env.COUNTER.getByName(path.split("/")[1])
            if path.endswith("/fetch"):
                return await stub.fetch(request)
            return Response(str(await stub.increment(2)))
"""


async def test_an_object_is_called_by_its_methods(run: RunWorker) -> None:
    worker = await run(COUNTER, objects=["Counter"])
    assert [await worker.text("/a"), await worker.text("/a"), await worker.text("/b")] == ["2", "4", "2"]


async def test_an_object_answers_requests(run: RunWorker) -> None:
    worker = await run(COUNTER, objects=["Counter"])
    first = await worker.fetch("/a/fetch", method="POST", body=b"x")
    assert (await first.bytes(), first.headers["x-made-by"]) == (b"POST /a/fetch 1", "it")
    assert await worker.text("/a/fetch") == "GET /a/fetch 2"


LIFE = """
    import asyncio
    import json
    from datetime import datetime
    from urllib.parse import urlparse
    from workers import DurableObject, Response, WorkerEntrypoint, env, wait_until

    class Base(DurableObject):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.log = [f"made {self.ctx.id.name}"]

            async def prepare():
                await asyncio.sleep(0)
                self.log.append("prepared")
                if self.ctx.id.name == "broken":
                    raise ValueError("cannot be prepared")

            self.ctx.blockConcurrencyWhile(prepare)

    class Box(Base):
        async def told(self):
            return self.log

        async def section(self):
            async def run():
                self.log.append("in")
                await asyncio.sleep(0)
                self.log.append("out")
                return 42
            return await self.ctx.blockConcurrencyWhile(run)

        async def leave(self):
            await self.ctx.storage.put("n", 1)
            await self.ctx.storage.sync()
            self.ctx.abort("had enough")

        def later(self):
            async def note():
                await asyncio.sleep(0)
                await self.ctx.storage.put("later", True)
            self.ctx.waitUntil(note())
            wait_until(note())

        async def kept(self):
            return [await self.ctx.storage.get("n"), await self.ctx.storage.get("later"), env.WORD]

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            _, name, *methods = urlparse(request.url).path.split("/")
            stub = self.env.BOX.get(self.env.BOX.idFromName(name))
            said = []
            for method in methods:
                try:
                    said.append(await getattr(stub, method)())
                except Exception as error:
                    said.append(str(error).splitlines()[-1])
            return Response(json.dumps(said))
"""


async def run_life(run: RunWorker) -> RunningWorker:
    return await run(LIFE, objects=["Box"], vars={"WORD": "word"})


async def test_what_a_constructor_asks_for_is_done_before_the_first_event(run: RunWorker) -> None:
    assert await (await run_life(run)).text("/a/told") == '[["made a", "prepared"]]'


async def test_a_constructor_that_fails_is_told_to_the_caller(run: RunWorker) -> None:
    worker = await run_life(run)
    assert "cannot be prepared" in await worker.text("/broken/told")


async def test_a_critical_section_returns_what_its_function_does(run: RunWorker) -> None:
    assert await (await run_life(run)).text("/a/section/told") == '[42, ["made a", "prepared", "in", "out"]]'


async def test_an_object_that_aborts_is_gone_and_what_it_kept_is_not(run: RunWorker) -> None:
    worker = await run_life(run)
    assert await worker.text("/a/leave/told") == '["Error: had enough", "Error: had enough"]'
    assert await worker.text("/a/told/kept") == '[["made a", "prepared"], [1, null, "word"]]'


async def test_what_is_waited_for_goes_on_after_the_answer(run: RunWorker) -> None:
    worker = await run_life(run)
    assert await worker.text("/a/later") == "[null]"
    await settle()
    assert await worker.text("/a/kept") == '[[null, true, "word"]]'


async def test_ids_are_those_of_their_namespace(run: RunWorker) -> None:
    source = """
        import json
        from workers import DurableObject, Response, WorkerEntrypoint

        class Box(DurableObject):
            async def who(self):
                return [self.ctx.id.name, str(self.ctx.id)]

        class Other(DurableObject):
            pass

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                box, said = self.env.BOX, []
                named = box.idFromName("a")
                said.append([named.name, len(str(named)), named.equals(box.idFromString(named.toString()))])
                said.append((await box.get(named).who()) == ["a", str(named)])
                unique = box.newUniqueId()
                said += [unique.name, box.get(unique).id.equals(unique), box.getByName("a").name]
                european = box.jurisdiction("eu").getByName("a")
                said.append((await european.who())[1] == str(named))
                said.append((await box.get(box.newUniqueId(jurisdiction="eu")).who())[0])
                for digits in ("nonsense", str(self.env.OTHER.idFromName("a"))):
                    try:
                        box.idFromString(digits)
                    except Exception as error:
                        said.append(str(error))
                return Response(json.dumps(said))
    """
    worker = await run(source, objects=["Box", "Other"])
    assert await worker.text() == (
        '[["a", 64, true], true, null, true, "a", false, null, '
        '"TypeError: Invalid Durable Object ID: must be 64 hex digits", '
        '"TypeError: Durable Object ID is not valid for this namespace."]'
    )


async def test_a_mixin_before_the_base_gets_the_raw_context(run: RunWorker) -> None:
    source = """
        from pyodide.ffi import JsProxy
        from workers import DurableObject, Response, WorkerEntrypoint

        class Mixin:
            def __init__(self, ctx, env):
                self.raw = [isinstance(ctx, JsProxy), isinstance(env, JsProxy), ctx.constructor.name]
                self.sql = ctx.storage.sql

        class Box(Mixin, DurableObject):
            def read(self, query):
                rows = self.sql.exec(query)
                return self.raw + [rows.raw().toArray().to_py(), rows.rowsRead]

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return Response(str(await self.env.BOX.getByName("a").read("SELECT 1, 'x'")))
    """
    worker = await run(source, objects=["Box"])
    assert await worker.text() == "[True, True, 'DurableObjectState', [[1, 'x']], 1]"


async def test_a_response_of_an_object_is_streamed(run: RunWorker) -> None:
    source = """
        from js import ReadableStream
        from pyodide.ffi import to_js
        from workers import DurableObject, Response, WorkerEntrypoint

        class Box(DurableObject):
            async def fetch(self, request):
                chunks = [b"one ", b"two"]
                def pull(controller):
                    controller.enqueue(to_js(chunks.pop(0)))
                    if not chunks:
                        controller.close()
                return Response(ReadableStream.new(to_js({"pull": pull})))

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return await self.env.BOX.getByName("a").fetch(request)
    """
    worker = await run(source, objects=["Box"])
    response = await worker.fetch()
    assert [chunk async for chunk in response.stream()] == [b"one ", b"two"]


async def test_an_object_has_facets_with_storage_of_their_own(run: RunWorker) -> None:
    source = """
        import json
        from pyodide.ffi import create_proxy, to_js
        from workers import DurableObject, Response, WorkerEntrypoint

        class Child(DurableObject):
            async def add(self, word):
                words = (await self.ctx.storage.get("words") or []) + [word]
                await self.ctx.storage.put("words", words)
                return words

        class Parent(DurableObject):
            async def work(self):
                def start():
                    return to_js({"class": self.ctx.exports.Child})
                one, two = (self.ctx.facets.get(name, create_proxy(start)) for name in ("one", "two"))
                said = [(await facet.add(word)).to_py() for facet, word in ((one, "a"), (one, "b"), (two, "c"))]
                self.ctx.facets.abort("one", "enough")
                try:
                    await one.add("d")
                except Exception as error:
                    said.append(str(error))
                said.append((await self.ctx.facets.get("one", start).add("e")).to_py())
                self.ctx.facets.delete("one")
                said.append((await self.ctx.facets.get("one", start).add("f")).to_py())
                return said

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return Response(json.dumps(await self.env.PARENT.getByName("a").work()))
    """
    worker = await run(source, objects=["Parent", "Child"])
    assert await worker.text() == (
        '[["a"], ["a", "b"], ["c"], "Error: The facet \'one\' was aborted or deleted. Get it again.", '
        '["a", "b", "e"], ["f"]]'
    )


async def test_a_section_that_fails_or_takes_too_long_resets_the_object(run: RunWorker) -> None:
    source = """
        import asyncio, json
        from workers import DurableObject, Response, WorkerEntrypoint

        class Box(DurableObject):
            def __init__(self, ctx, env):
                super().__init__(ctx, env)
                self.calls = 0

            async def section(self, kind):
                self.calls += 1
                async def run():
                    if kind == "fail":
                        raise ValueError("it failed")
                    await asyncio.get_running_loop().create_future()
                await self.ctx.blockConcurrencyWhile(run)

            async def count(self):
                self.calls += 1
                return self.calls

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                kind = request.url.rpartition("/")[2]
                stub, said = self.env.BOX.getByName(kind), []
                try:
                    await stub.section(kind)
                except Exception as error:
                    said.append(str(error).splitlines()[-1][:71])
                return Response(json.dumps([*said, await self.env.BOX.getByName(kind).count()]))
    """
    clock = ManualClock()
    worker = await run(source, objects=["Box"], runtime={"clock": clock})
    assert await worker.text("/fail") == '["ValueError: it failed", 1]'
    waiting = asyncio.ensure_future(worker.text("/wait"))
    await settle()
    await clock.advance(30)
    assert await waiting == '["Error: A call to blockConcurrencyWhile() in a Durable Object waited for", 1]'


async def test_a_socket_answers_no_ordinary_request(run: RunWorker) -> None:
    source = """
        from js import WebSocketPair
        from workers import DurableObject, Response, WorkerEntrypoint

        class Box(DurableObject):
            async def fetch(self, request):
                return Response(None, status=101, web_socket=WebSocketPair.new().object_values()[0])

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                if request.url.endswith("/box"):
                    return await self.env.BOX.getByName("a").fetch(request)
                return Response(None, status=101, web_socket=WebSocketPair.new().object_values()[0])
    """
    worker = await run(source, objects=["Box"])
    for path in ("/", "/box"):
        with pytest.raises(Exception, match="tried to return WebSocket in a response to a request which did not"):
            await worker.fetch(path)


@pytest.mark.cloudflare("Workers", "Python: `ctx.container`", "different: none runs; an error says so")
async def test_a_class_with_a_container_has_one_that_does_not_run(run: RunWorker) -> None:
    source = """
        from pyodide.ffi import JsException
        from workers import DurableObject, Response, WorkerEntrypoint

        class Box(DurableObject):
            async def told(self):
                container = self.ctx.container
                try:
                    container.start()
                except JsException as error:
                    return f"{container.running} {error.message}"

        class Plain(DurableObject):
            async def told(self):
                return str(self.ctx.container)

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                box, plain = self.env.BOX.getByName("a"), self.env.PLAIN.getByName("a")
                return Response(f"{await plain.told()}, {await box.told()}")
    """
    running = await run(source, objects=["Box", "Plain"], containers=[{"class_name": "Box", "image": "./Dockerfile"}])
    assert await running.text() == (
        "None, False ctx.container.start() of Box needs a container, and no containers are run here. "
        "Start what is in it by yourself and reach it by fetch() or a socket, and ask ctx.container.running first."
    )
