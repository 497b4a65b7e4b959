"""Calls between entrypoints and objects of the SDK: values, errors, functions by reference, services, exports."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest

from edgeagents.errors import ConfigError

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: calls by stubs, service bindings, `ctx.exports`", "same")

SOURCE = """
import json
import js
from datetime import datetime
from pyodide.ffi import JsException, JsProxy, run_sync, to_js
from workers import Blob, DurableObject, Request, Response, WorkerEntrypoint, import_from_javascript
from workers.rpc import _RpcStubWrapper

class Mixin:
    def of_a_mixin(self):
        return "mixed in"

class Callee(Mixin):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.calls = 0

    def identity(self, value):
        assert not isinstance(value, JsProxy) or callable(value), value
        return value

    async def kind(self, value):
        return type(value).__name__

    async def fail(self, kind):
        raise {"value": ValueError, "key": KeyError, "js": js.TypeError.new}[kind]("what went wrong")

    async def counter(self):
        n = 0
        def increment(by=1):
            nonlocal n
            n += by
            return n
        return increment

    async def use(self, function):
        return await function(10)

    def count(self):
        self.calls += 1
        return self.calls

    async def shout(self, response):
        return Response((await response.text()).upper(), status=response.status)

    def props(self):
        return dict(self.ctx.props.to_py())

    async def keywords(self, one, two=2):
        return [one, two]

    def _hidden(self):
        return "hidden"

class Service(Callee, WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"service {request.url}")

    async def scheduled(self, controller):
        assert controller.cron == "0 * * * *", controller.cron
        if controller.scheduledTime == 1:
            controller.noRetry()
            raise ValueError("not at this time")

class Box(Callee, DurableObject):
    pass

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        service, box = self.env.SERVICE, self.env.BOX.getByName("a")
        return Response(json.dumps(await self.work(service, box)))

    async def work(self, service, box):
{work}
"""

SERVICES = {"services": [{"binding": "SERVICE", "service": "under-test", "entrypoint": "Service"}]}


async def result(run: RunWorker, work: str, **changes: Any) -> str:
    source = SOURCE.replace("{work}", indent(dedent(work), " " * 8))
    worker = await run(source, objects=["Box"], **{**SERVICES, **changes})
    return await worker.text()


async def test_values_cross_as_copies(run: RunWorker) -> None:
    work = """
        said = []
        for stub in (service, box):
            value = {"list": [1, None], "set": {1}, "when": datetime(2026, 1, 2)}
            back = await stub.identity(value)
            said.append([back["list"], list(back["set"]), str(back.when), back is value])
            said.append([await stub.kind(b"x"), await stub.kind(js.Map.new([[1, 2]])), await stub.kind(js.Date.new(0)),
                         await stub.kind(js.Error.new("x")), await stub.kind(None), await stub.kind(js.undefined)])
        return said
    """
    kinds = '["memoryview", "JsDict", "datetime", "Exception", "NoneType", "NoneType"]'
    once = f'[[1, null], [1], "2026-01-02 00:00:00", false], {kinds}'
    assert await result(run, work) == f"[{once}, {once}]"


async def test_responses_and_requests_cross_with_their_bodies(run: RunWorker) -> None:
    work = """
        answer = await box.shout(Response("hello", status=201))
        blob = await service.identity(Blob("blob"))
        request = await service.identity(Request("https://example.com/x", method="POST", body="body"))
        return [await answer.text(), answer.status, await blob.text(), await request.text(), request.method]
    """
    assert await result(run, work) == '["HELLO", 201, "blob", "body", "POST"]'


async def test_what_cannot_be_copied_is_refused_before_it_is_sent(run: RunWorker) -> None:
    work = """
        said = []
        for value in (object(), complex(1), range(3)):
            try:
                await service.identity(value)
            except JsException as error:
                said.append(str(error).partition(":")[0])
        try:
            await box.identity((1, 2))
        except TypeError as error:
            said.append(str(error))
        return said
    """
    assert await result(run, work) == (
        '["DataCloneError", "DataCloneError", "DataCloneError", "<class \'tuple\'> cannot be sent over RPC."]'
    )


async def test_an_error_arrives_with_its_type_and_message(run: RunWorker) -> None:
    work = """
        said = []
        for stub in (service, box):
            for kind in ("value", "js"):
                try:
                    await stub.fail(kind)
                except JsException as error:
                    said.append([error.name, error.message.splitlines()[-1]])
        return said
    """
    pair = '["PythonError", "ValueError: what went wrong"], ["TypeError", "what went wrong"]'
    assert await result(run, work) == f"[{pair}, {pair}]"


async def test_the_traceback_of_an_error_begins_in_the_workers_own_file(run: RunWorker) -> None:
    work = """
        try:
            await box.fail("key")
        except JsException as error:
            return error.message.splitlines()[1].partition("src/")[2]
    """
    assert (await result(run, work)).startswith('"entry.py\\", line ')


async def test_a_method_that_is_not_there_or_not_public_is_refused(run: RunWorker) -> None:
    work = """
        said = []
        for stub in (service, box):
            for name in ("nothing", "fetch_it"):
                try:
                    await getattr(stub, name)()
                except JsException as error:
                    said.append(error.message.splitlines()[-1])
        return said + [hasattr(box, "_hidden"), await box.of_a_mixin(), await service.of_a_mixin()]
    """
    gone = '"TypeError: Method nothing does not exist", "TypeError: Method fetch_it does not exist"'
    assert await result(run, work) == f'[{gone}, {gone}, false, "mixed in", "mixed in"]'


async def test_functions_cross_by_reference_and_can_be_passed_on(run: RunWorker) -> None:
    work = """
        counter = await box.counter()
        said = [await counter(2), await counter(), await service.use(counter), await counter()]
        mine = []
        async def note(value):
            mine.append(value)
            return "noted"
        said += [await box.use(note), mine, isinstance(counter, _RpcStubWrapper)]
        for stub in (service, counter):
            try:
                len(stub)
            except TypeError as error:
                said.append(str(error))
        return said + [bool(service), bool(counter)]
    """
    assert await result(run, work) == (
        '[2, 3, 13, 14, "noted", [10], true, "\'Fetcher\' object has no len()", "\'JsRpcStub\' object has no len()", '
        "true, true]"
    )


async def test_an_entrypoint_is_made_anew_for_each_call_and_an_object_is_not(run: RunWorker) -> None:
    work = "return [await service.count(), await service.count(), await box.count(), await box.count()]"
    assert await result(run, work) == "[1, 1, 1, 2]"


async def test_keywords_arrive_as_one_object_behind_the_arguments(run: RunWorker) -> None:
    work = "return [await stub.keywords(1, a=3) for stub in (service, box)]"
    assert await result(run, work) == '[[1, {"a": 3}], [1, {"a": 3}]]'


async def test_a_service_answers_requests_and_is_given_props(run: RunWorker) -> None:
    changes = {"services": [{**SERVICES["services"][0], "props": {"who": "me"}}]}
    work = """
        answer = await service.fetch("https://example.com/path", method="POST", body="x")
        return [await answer.text(), await service.props()]
    """
    assert await result(run, work, **changes) == '["service https://example.com/path", {"who": "me"}]'


async def test_a_service_runs_what_is_scheduled(run: RunWorker) -> None:
    work = """
        good = await service.scheduled(scheduledTime=2, cron="0 * * * *")
        bad = await service.scheduled({"scheduledTime": 1, "cron": "0 * * * *"})
        return [dict(good), dict(bad)]
    """
    assert await result(run, work) == (
        '[{"outcome": "ok", "noRetry": false}, {"outcome": "exception", "noRetry": true}]'
    )


async def test_a_worker_finds_its_own_entrypoints_in_exports(run: RunWorker) -> None:
    work = """
        exports = self.ctx.exports
        stub = exports.Service
        told = await stub(to_js({"props": {"who": "you"}}, dict_converter=js.Object.fromEntries)).props()
        return [await exports.Box.getByName("a").count(), await box.count(), await stub.of_a_mixin(), told.to_py(),
                await import_from_javascript("cloudflare:workers").exports.Service.of_a_mixin()]
    """
    assert await result(run, work) == '[1, 2, "mixed in", {"who": "you"}, "mixed in"]'


async def test_a_service_that_is_not_there_is_named(run: RunWorker) -> None:
    with pytest.raises(ConfigError, match=r"needs an entrypoint 'Servise'.* Did you mean 'Service'"):
        await result(run, "return 1", services=[{"binding": "S", "service": "under-test", "entrypoint": "Servise"}])


async def test_a_service_of_a_worker_that_does_not_run_answers_503(run: RunWorker) -> None:
    work = 'response = await self.env.S.fetch("http://x/"); return [response.status, await response.text()]'
    absent = '[503, "Worker \\"elsewhere\\" not found. Make sure it is running locally."]'
    services = [*SERVICES["services"], {"binding": "S", "service": "elsewhere"}]
    assert await result(run, work, services=services) == absent


async def test_targets_cross_by_reference_and_calls_on_promises_wait(run: RunWorker) -> None:
    work = """
        RpcTarget = import_from_javascript("cloudflare:workers").RpcTarget

        class Account(RpcTarget):
            def __init__(self):
                self._balance = 0

            def add(self, amount):
                self._balance += amount
                return self._balance

            def nested(self):
                return self

        service, box = service._binding, box._binding
        stub = await box.identity(Account())
        said = [stub.constructor.name, await stub.add(2), await stub.nested().nested().add(3), await stub.dup().add(1)]
        for name in ("missing", "_balance"):
            try:
                await getattr(stub, name)()
            except (JsException, AttributeError) as error:
                said.append(str(error))
        stub.destroy()
        try:
            await stub.add(1)
        except JsException as error:
            said.append(str(error))
        return said
    """
    assert await result(run, work) == (
        '["JsRpcStub", 2, 5, 6, '
        '"TypeError: The RPC receiver does not implement the method \\"missing\\".", "_balance", '
        '"Error: RPC stub used after being disposed."]'
    )


async def test_streams_cross_by_reference(run: RunWorker) -> None:
    work = """
        stream = Response("streamed").body
        back = await service.identity([stream])
        return [await Response(back[0]).text()]
    """
    work = work.replace("service.identity([stream])", "service._binding.identity(to_js([stream]))")
    assert "streamed" in await result(run, work)


async def test_an_error_of_fetch_arrives_with_its_message(run: RunWorker) -> None:
    work = """
        said = []
        for stub in (service, box):
            try:
                await stub.fetch("http://x/")
            except OSError as error:
                said.append(str(error).splitlines()[-1])
        return said
    """
    source = SOURCE.replace('return Response(f"service {request.url}")', 'raise KeyError("broken")')
    source = source.replace("class Box(Callee, DurableObject):\n    pass", (
        "class Box(Callee, DurableObject):\n    async def fetch(self, request):\n        raise ValueError('broken too')"
    ))  # fmt: skip
    worker = await run(source.replace("{work}", indent(dedent(work), " " * 8)), objects=["Box"], **SERVICES)
    assert await worker.text() == '["KeyError: \'broken\'", "ValueError: broken too"]'


async def test_a_message_is_at_most_32_mib_large(run: RunWorker) -> None:
    work = """
        said = [len(await box.identity("x" * (31 << 20)))]
        for call in (lambda: box.identity(["x" * (17 << 20), b"y" * (17 << 20)]), lambda: box.large()):
            try:
                await call()
            except JsException as error:
                said.append(str(error))
        return said
    """
    source = SOURCE.replace("class Box(Callee, DurableObject):\n    pass", (
        'class Box(Callee, DurableObject):\n    def large(self):\n        return "x" * (33 << 20)'
    ))  # fmt: skip
    worker = await run(source.replace("{work}", indent(dedent(work), " " * 8)), objects=["Box"], **SERVICES)
    limit = "TypeError: Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was:"
    assert await worker.text() == f'[{31 << 20}, "{limit} {34 << 20} bytes.", "{limit} {33 << 20} bytes."]'
