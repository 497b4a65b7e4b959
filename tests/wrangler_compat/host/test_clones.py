"""Structured clones keep what JavaScript's do, in storage, through stubs, in queues and in workflows.

What each value comes back as was seen on workerd 1.20260503.
"""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from edgeagents.testing import ManualClock

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: structured clones (`Map`, typed arrays, errors, cycles), `structuredClone`", "same"
)

VALUES = """
import json
import js
from js import Object
from pyodide.ffi import JsException, jsnull, to_js
from workers import DurableObject, Response, WorkerEntrypoint

def obj(**properties):
    return js.Object.fromEntries(list(properties.items()))

def seen(v):
    if v is None: return "undefined"
    if v is jsnull: return "null"
    if not hasattr(v, "constructor"): return repr(v)
    name = v.constructor.name
    if name == "Map": return "Map(" + ", ".join(f"{seen(k)}=>{seen(x)}" for k, x in v) + ")"
    if name == "Set": return "Set(" + ", ".join(map(seen, v)) + ")"
    if name == "Array": return "[" + ", ".join(map(seen, v)) + "]"
    if name == "Object": return "{" + ", ".join(f"{k}: {seen(x)}" for k, x in v.object_entries()) + "}"
    if name == "Date": return f"Date({v.getTime()})"
    if name == "ArrayBuffer": return f"ArrayBuffer({v.byteLength})"
    if hasattr(v, "byteOffset"): return f"{name}({v.byteLength} of {v.buffer.byteLength} at {v.byteOffset})"
    if hasattr(v, "message"):
        return f"{name}({v.name}, {v.message}, {seen(getattr(v, 'code', None))}, {seen(getattr(v, 'cause', None))})"
    if name == "Headers": return "Headers(" + ", ".join(f"{k}: {x}" for k, x in v) + ")"
    if name in ("Number", "String", "Boolean"): return f"new {name}({v.valueOf()!r})"
    return v.toString()

def values():
    own = js.Error.new("m")
    own.name, own.code = "MyErr", 7
    return {
        "map": js.Map.new([["a", 1], [obj(k=1), 2], [3, js.Map.new()]]),
        "set": js.Set.new(to_js(["b", "a", obj(k=1)])),
        "regexp": js.RegExp.new("a+", "gi"),
        "bytes": to_js(b"abc"),
        "part": js.Uint8Array.of(1, 2, 3, 4).subarray(1, 3),
        "floats": js.Float32Array.of(1.5),
        "clamped": js.Uint8ClampedArray.new(2),
        "big": js.BigInt64Array.new(1),
        "view": js.DataView.new(js.ArrayBuffer.new(8), 2, 4),
        "buffer": js.ArrayBuffer.new(4),
        "error": js.TypeError.new("t", obj(cause=js.Error.new("c"))),
        "own error": own,
        "exception": js.DOMException.new("d", "AbortError"),
        "number": js.Number.new(3), "text": js.String.new("s"), "boolean": js.Boolean.new(False),
        "date": js.Date.new(5), "no date": js.Date.new(float("nan")), "far date": js.Date.new(8.64e15),
        "undefined": obj(a=None, b=jsnull, c=to_js([None, jsnull, 1])),
        "headers": js.Headers.new({"b": "2", "a": "1"}),
        "large": 2**80,
    }
"""
BACK = {
    "map": "Map('a'=>1, {k: 1}=>2, 3=>Map())",
    "set": "Set('b', 'a', {k: 1})",
    "regexp": "/a+/gi",
    "bytes": "Uint8Array(3 of 3 at 0)",
    "part": "Uint8Array(2 of 4 at 1)",
    "floats": "Float32Array(4 of 4 at 0)",
    "clamped": "Uint8ClampedArray(2 of 2 at 0)",
    "big": "BigInt64Array(8 of 8 at 0)",
    "view": "DataView(4 of 8 at 2)",
    "buffer": "ArrayBuffer(4)",
    "error": "TypeError(TypeError, t, undefined, Error(Error, c, undefined, undefined))",
    "own error": "Error(MyErr, m, 7, undefined)",
    "exception": "DOMException(AbortError, d, 20, undefined)",
    "number": "new Number(3)",
    "text": "new String('s')",
    "boolean": "new Boolean(False)",
    "date": "Date(5)",
    "no date": "Date(nan)",
    "far date": "Date(8640000000000000)",
    "undefined": "{a: undefined, b: null, c: [undefined, null, 1]}",
    "headers": "Headers(a: 1, b: 2)",
    "large": str(2**80),
}


IN_AN_OBJECT = """
class Box(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        # Without what Cloudflare's SDK makes of values.
        self.storage = getattr(ctx.storage, "_binding", ctx.storage)

    async def fetch(self, request):
        return Response(await work(self.storage))

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await self.env.BOX.getByName("a").fetch(request)
"""


def worker(work: str) -> str:
    return VALUES + dedent(work)


async def in_an_object(run: RunWorker, work: str) -> str:
    """Return what the function ``work`` makes of the storage of an object."""
    return await (await run(worker(work) + IN_AN_OBJECT, objects=["Box"])).text()


async def test_storage_gives_back_what_was_put(run: RunWorker) -> None:
    work = """
        async def work(storage):
            found = {}
            for name, value in values().items():
                await storage.put("k", value)
                found[name] = seen(await storage.get("k"))
            return json.dumps(found)
    """
    assert json.loads(await in_an_object(run, work)) == BACK


async def test_so_does_structured_clone_and_shares_nothing(run: RunWorker) -> None:
    source = """
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                found = {name: seen(js.structuredClone(value)) for name, value in values().items()}
                first = js.Uint8Array.of(1)
                js.structuredClone(first).fill(2)
                return Response(json.dumps([found, first.at(0), js.structuredClone(None)]))
    """
    assert json.loads(await (await run(worker(source))).text()) == [BACK, 1, None]


async def test_cycles_and_what_is_shared_come_back_from_storage(run: RunWorker) -> None:
    work = """
        async def work(storage):
            buffer = js.ArrayBuffer.new(4)
            cycle = js.Map.new()
            cycle.set("me", cycle).set(cycle, 1)
            value = obj(b=buffer, v=js.Uint8Array.new(buffer, 1, 2), w=js.Uint16Array.new(buffer), cycle=cycle)
            value.self = value
            await storage.put("k", value)
            got = await storage.get("k")
            return json.dumps([
                got.self is got,
                got.v.buffer is got.b and got.w.buffer is got.b,
                got.cycle.get("me") is got.cycle,
                got.cycle.get(got.cycle),
            ])
    """
    assert await in_an_object(run, work) == "[true, true, true, 1]"


async def test_what_crosses_to_another_entrypoint_arrives_as_it_was(run: RunWorker) -> None:
    source = """
        class Teller(WorkerEntrypoint):
            # What has no form in Python passes through the SDK untouched.
            async def tell(self, floats, view, error, pattern, text, date, headers):
                return [floats.format, floats.tolist(), view.nbytes, *map(seen, (error, pattern, text, date, headers))]

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                error = js.TypeError.new("t")
                error.code = 7
                teller = self.ctx.exports.Teller
                told = await teller.tell(
                    js.Float32Array.of(1.5, 2),
                    js.DataView.new(js.ArrayBuffer.new(8), 2, 4),
                    error,
                    js.RegExp.new("a", "i"),
                    js.String.new("s"),
                    js.DOMException.new("d", "AbortError"),
                    js.Headers.new({"a": "1"}),
                )
                return Response(json.dumps(told.to_py()))
    """
    assert json.loads(await (await run(worker(source))).text()) == [
        *("f", [1.5, 2], 4, "TypeError(TypeError, t, 7, undefined)", "/a/i", "new String('s')"),
        *("DOMException(AbortError, d, 20, undefined)", "Headers(a: 1)"),
    ]


NO_SERIALIZATION = 'Could not serialize object of type "{}". This type does not support serialization.'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('js.URL.new("http://a")', NO_SERIALIZATION.format("URL")),
        ('js.Blob.new(["a"])', NO_SERIALIZATION.format("Blob")),
        ("js.ReadableStream.new()", "ReadableStream can only be serialized for RPC."),
        ("js.Response.new('x')", "ReadableStream can only be serialized for RPC."),
        ("js.AbortController.new().signal", "AbortSignal serialization is not enabled."),
        ("js.WeakMap.new()", "#<WeakMap> could not be cloned."),
        ("js.Proxy.new(js.Object.new(), {})", "#<Object> could not be cloned."),
        ("js.Symbol('a')", "Symbol(a) could not be cloned."),
        ("js.Promise.resolve(1)", "#<Promise> could not be cloned."),
    ],
)
async def test_what_is_no_data_is_refused(run: RunWorker, value: str, text: str) -> None:
    source = f"""
        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                try:
                    js.structuredClone(js.Array.of({value}))
                except JsException as error:
                    return Response(json.dumps([error.name, error.message]))
    """
    assert json.loads(await (await run(worker(source))).text()) == ["DataCloneError", text]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, f"js.{name}.new()") for name in ("FormData", "URLSearchParams", "AbortController", "TransformStream")),
        ("WebSocket", "js.WebSocketPair.new()[0]"),
    ],
)
async def test_what_has_no_other_end_does_not_cross(run: RunWorker, name: str, value: str) -> None:
    source = f"""
        class Teller(WorkerEntrypoint):
            async def tell(self, value):
                return 1

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                try:
                    await self.ctx.exports.Teller.tell({value})
                except JsException as error:
                    return Response(json.dumps([error.name, error.message]))
    """
    assert json.loads(await (await run(worker(source))).text()) == ["DataCloneError", NO_SERIALIZATION.format(name)]


async def test_what_stands_before_an_object_is_called_where_that_is(run: RunWorker) -> None:
    source = """
        class Teller(WorkerEntrypoint):
            async def tell(self, stub):
                return await stub.double(4)

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                proxy = js.Proxy.new(js.Object.new(), {"get": lambda target, name: lambda one: [name, one * 2]})
                told = await self.ctx.exports.Teller.tell(proxy)
                return Response(json.dumps(told.to_py()))
    """
    assert json.loads(await (await run(worker(source))).text()) == ["double", 8]


async def test_memory_that_is_shared_is_shared_within_a_worker_only(run: RunWorker) -> None:
    work = """
        async def work(storage):
            memory = js.SharedArrayBuffer.new(4)
            js.structuredClone(js.Uint8Array.new(memory)).fill(7)
            try:
                await storage.put("k", memory)
            except JsException as error:
                return json.dumps([list(js.Uint8Array.new(memory)), error.message])
    """
    assert json.loads(await in_an_object(run, work)) == [[7] * 4, "Unable to deserialize cloned data."]


async def test_plain_data_such_as_was_stored_before_is_read(run: RunWorker) -> None:
    work = """
        async def work(storage):
            old = {"b": b"abc", "m": {1: {"x": None}}, "s": {1}, "e": {"name": "TypeError", "message": "t"}}
            storage._native.kv.put("k", old)
            return seen(await storage.get("k"))
    """
    seen = "{b: ArrayBuffer(3), m: Map(1=>{x: null}), s: Set(1), e: {name: 'TypeError', message: 't'}}"
    assert await in_an_object(run, work) == seen


async def test_messages_of_a_queue_keep_what_they_are(run: RunWorker) -> None:
    source = """
        bodies = {}

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                if request.url.endswith("/seen"):
                    return Response(json.dumps(bodies))
                queue = getattr(self.env.Q, "_binding", self.env.Q)
                for name, value in values().items():
                    await queue.send(js.Array.of(name, value), obj(contentType="v8"))
                return Response("sent")

            async def queue(self, batch, env, ctx):
                for message in getattr(batch, "_binding", batch).messages:
                    name, value = message.body
                    bodies[name] = seen(value)
    """
    queues = {
        "producers": [{"binding": "Q", "queue": "q"}],
        "consumers": [{"queue": "q", "max_batch_size": 100, "max_batch_timeout": 1}],
    }
    clock = ManualClock()
    running = await run(worker(source), queues=queues, runtime={"clock": clock})
    assert await running.text() == "sent"
    await clock.advance(1.1)
    # A binding is given plain values for these, as for every argument.
    plain = {"number": "3", "text": "'s'", "boolean": "False", "headers": "{a: '1', b: '2'}"}
    assert json.loads(await running.text("/seen")) == BACK | plain
