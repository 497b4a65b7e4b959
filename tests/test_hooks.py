"""Each hook does what its sentence says, for a plugin that is handed in."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import timedelta
from types import SimpleNamespace

import pytest

from edgeagents import Agent, callable, hookimpl
from edgeagents.agents import Capability
from edgeagents.asgi import AgentsMiddleware
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, PluginError, UnknownBinding
from edgeagents.http import Identity, Request, Response
from edgeagents.models import ModelHandle, stream_text
from edgeagents.models.parts import FinishStep, TextDelta, TextEnd, TextStart
from edgeagents.objects import MemoryStorage
from edgeagents.placement import SingleProcess
from edgeagents.plugins import load_plugins
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, agent_runtime, connect, settle
from edgeagents.worker import Worker

current: ContextVar[str] = ContextVar("current")


class Counter(Agent):
    initial_state = {"n": 0}

    @callable()
    async def add(self, by=1):
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def on_request(self, request):
        return "from the agent"


def plugin(**hooks):
    """Make a plugin of these functions."""
    return SimpleNamespace(__name__="a test", **{name: hookimpl(fn) for name, fn in hooks.items()})


async def test_hook_register_bindings():
    class Greeting:
        kind = "greeting"

        def make(self, declaration, *, runtime, worker):
            return f"{declaration.options['word']} from {worker.name}"

    worker = Worker(name="w", bindings=[BindingDeclaration("HELLO", "greeting", {"word": "hi"})])
    async with Runtime(worker, storage=None, plugins=[plugin(register_bindings=lambda: [Greeting()])]) as runtime:
        assert runtime.env.HELLO == "hi from w"


async def test_hook_declare_bindings():
    def declare_bindings(worker):
        return [BindingDeclaration("WORDS", "json", {"value": [worker.name]})]

    worker = Worker(name="w", bindings=[BindingDeclaration("HELLO", "plain_text", {"value": "hi"})])
    async with Runtime(worker, storage=None, plugins=[plugin(declare_bindings=declare_bindings)]) as runtime:
        assert dict(runtime.env) == {"HELLO": "hi", "WORDS": ["w"]}


async def test_two_bindings_of_one_name_are_an_error():
    declared = BindingDeclaration("HELLO", "plain_text", {"value": "hi"})
    worker = Worker(name="w", bindings=[declared])
    with pytest.raises(ConfigError, match="Two bindings are called 'HELLO'"):
        await Runtime(worker, storage=None, plugins=[plugin(declare_bindings=lambda: [declared])]).start()


async def test_a_binding_that_no_plugin_provides_is_an_error():
    worker = Worker(name="w", bindings=[BindingDeclaration("KV", "kv_namespace", {})])
    with pytest.raises(
        UnknownBinding, match="No installed plugin provides 'kv_namespace', needed for the binding 'KV'"
    ):
        await Runtime(worker, storage=None, discover_plugins=False).start()


async def test_hook_register_triggers():
    seen = []

    class Tick:
        name = "tick"

        async def start(self):
            seen.append("start")

        async def stop(self):
            seen.append("stop")

    async with agent_runtime(Counter, plugins=[plugin(register_triggers=lambda: [Tick()])]):
        assert seen == ["start"]
    assert seen == ["start", "stop"]


class Parrot:
    name = "parrot"

    async def stream(self, request, *, env, signal):
        yield TextStart("t")
        yield TextDelta("t", f"{request.model} repeats: {request.messages[-1].text}")
        yield TextEnd("t")
        yield FinishStep("stop")


async def test_hook_register_model_providers():
    async with agent_runtime(Counter, plugins=[plugin(register_model_providers=lambda: [Parrot()])]) as runtime:
        result = stream_text(model="parrot:polly", prompt="hello", models=runtime.models)
        assert await result.text == "polly repeats: hello"
        assert isinstance(ModelHandle(runtime.models.get("parrot"), "polly").name, str)


async def test_two_plugins_with_one_provider_name_are_an_error():
    twice = [plugin(register_model_providers=lambda: [Parrot()]) for _ in range(2)]
    twice[1].__name__ = "another test"
    with pytest.raises(PluginError, match="Two plugins provide the model provider 'parrot'"):
        await agent_runtime(Counter, plugins=twice).start()


async def test_hook_register_transports():
    class Shout:
        name = "shout"

        def claims(self, request):
            return request.headers.get("x-shout") == "1"

        async def serve(self, request, fetch):
            return Response((await (await fetch(request)).text()).upper())

    async with agent_runtime(Counter, plugins=[plugin(register_transports=lambda: [Shout()])]) as runtime:
        plain = await runtime.route(Request("/agents/counter/x"))
        shouted = await runtime.route(Request("/agents/counter/x", headers={"x-shout": "1"}))
        assert [await plain.text(), await shouted.text()] == ["from the agent", "FROM THE AGENT"]


async def test_hook_register_capabilities():
    class Greeter(Capability):
        async def request(self, request):
            if request.path.endswith("/greet"):
                return f"hello from {self.host.name}"
            return None

    async with agent_runtime(Counter, plugins=[plugin(register_capabilities=lambda: [Greeter])]) as runtime:
        greeted = await runtime.route(Request("/agents/counter/x/greet"))
        other = await runtime.route(Request("/agents/counter/x"))
        assert [await greeted.text(), await other.text()] == ["hello from x", "from the agent"]


async def test_hook_register_developer_routes():
    class Status:
        path = "/cdn-cgi/status"

        async def serve(self, request):
            return Response("fine")

    async with agent_runtime(Counter, plugins=[plugin(register_developer_routes=lambda: [Status()])]) as runtime:
        assert [route.path for route in runtime.developer_routes] == ["/cdn-cgi/status"]
        response = await runtime.fetch(Request("/cdn-cgi/status"))
        assert await response.text() == "fine"


def test_hook_register_commands():
    def register_commands(cli):
        cli.append("greet")

    commands: list[str] = []
    load_plugins([plugin(register_commands=register_commands)], discover=False).hook.register_commands(cli=commands)
    assert commands == ["greet"]


def test_hook_import_state():
    def import_state(source, state):
        state.append(source)

    copied: list[str] = []
    hook = load_plugins([plugin(import_state=import_state)], discover=False).hook
    hook.import_state(source="what was there", state=copied)
    assert copied == ["what was there"]


async def test_hook_storage_backend(tmp_path):
    class Counting(MemoryStorage):
        opened = 0

        def open(self, namespace, object_id, facets=()):
            type(self).opened += 1
            return super().open(namespace, object_id, facets)

    where = []

    def storage_backend(location):
        where.append(location)
        return Counting()

    async with agent_runtime(Counter, storage=tmp_path, plugins=[plugin(storage_backend=storage_backend)]) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert (where, Counting.opened) == ([str(tmp_path)], 1)
    assert list(tmp_path.rglob("*.sqlite")) == []


async def test_hook_placement():
    seen = []

    class Watching(SingleProcess):
        async def deliver(self, address, event, props):
            seen.append((address.namespace, address.id.name, type(event).__name__))
            return await super().deliver(address, event, props)

    async with agent_runtime(Counter, plugins=[plugin(placement=lambda: Watching(None))]) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert seen == [("Counter", "x", "CallEvent")]


async def test_hook_authorise():
    async def authorise(request):
        return Identity("ann") if request.headers.get("authorization") == "secret" else Response("no", status=403)

    async with agent_runtime(Counter, plugins=[plugin(authorise=authorise)]) as runtime:
        refused = await runtime.route(Request("/agents/counter/x"))
        allowed = await runtime.route(Request("/agents/counter/x", headers={"authorization": "secret"}))
        assert (refused.status, allowed.status) == (403, 200)


async def test_hook_renew_identity():
    clock = ManualClock()

    def authorise():
        return Identity("ann", expires_at=clock.now() + timedelta(minutes=1))

    async def renew_identity(runtime, identity):
        return Identity(identity.subject, {"renewed": True}, runtime.clock.now() + timedelta(hours=1))

    plugins = [plugin(authorise=authorise, renew_identity=renew_identity)]
    async with agent_runtime(Counter, clock=clock, plugins=plugins) as runtime:
        socket = await connect(runtime, "/agents/counter/x")
        await clock.advance(120)
        assert socket.closed is None


async def test_hook_wrap_asgi():
    async def app(scope, receive, send):
        raise AssertionError("not reached")

    def wrap_asgi(app):
        async def wrapped(scope, receive, send):
            async def tagging(message):
                if message["type"] == "http.response.start":
                    message["headers"] = [*message["headers"], (b"x-wrapped", b"yes")]
                await send(message)

            await app(scope, receive, tagging)

        return wrapped

    runtime = agent_runtime(Counter, plugins=[plugin(wrap_asgi=wrap_asgi)])
    middleware = AgentsMiddleware(app, runtime=runtime)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/agents/counter/x",
        "raw_path": b"/agents/counter/x",
        "query_string": b"",
        "headers": [(b"host", b"x")],
        "http_version": "1.1",
        "scheme": "http",
    }
    await middleware(scope, receive, send)
    assert (b"x-wrapped", b"yes") in sent[0]["headers"]
    await runtime.stop()


async def test_hook_startup():
    seen = []

    async def startup(runtime):
        seen.append(await runtime.namespaces["Counter"].get_by_name("x").add())

    async with agent_runtime(Counter, plugins=[plugin(startup=startup)]):
        assert seen == [1]


async def test_hook_shutdown():
    seen = []

    async def shutdown(runtime):
        seen.append(await runtime.namespaces["Counter"].get_by_name("x").add())

    async with agent_runtime(Counter, plugins=[plugin(shutdown=shutdown)]):
        assert seen == []
    assert seen == [1]


async def test_hook_object_woke():
    seen = []
    async with agent_runtime(Counter, plugins=[plugin(object_woke=lambda object_id: seen.append(object_id.name))]) as r:
        await r.namespaces["Counter"].get_by_name("x").add()
        await r.namespaces["Counter"].get_by_name("x").add()
    assert seen == ["x"]


async def test_hook_object_left():
    seen = []

    def object_left(object_id, reason):
        seen.append((object_id.name, reason))

    async with agent_runtime(Counter, plugins=[plugin(object_left=object_left)]) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
        await connect(runtime, "/agents/counter/y")
    assert sorted(seen) == [("x", "stopped"), ("y", "stopped")]


async def test_hook_event_started():
    seen = []

    def event_started(object_id, class_name, event):
        current.set("set at the start")
        seen.append((object_id.name, class_name, event.method))

    def event_finished():
        seen.append(current.get())

    plugins = [plugin(event_started=event_started, event_finished=event_finished)]
    async with agent_runtime(Counter, plugins=plugins) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert seen == [("x", "Counter", "add"), "set at the start"]


async def test_each_plugin_hears_of_an_event_what_it_asks_for_the_latest_first():
    seen = []

    def first(event):
        seen.append(("first", event.method))

    def second(seconds, object_id):
        seen.append(("second", seconds >= 0, object_id.name))

    def third(object_id, event, error, seconds):
        seen.append(("third", object_id.name, event.method, error, seconds >= 0))

    plugins = [plugin(event_finished=each) for each in (first, second, third)]
    for number, one in enumerate(plugins):
        one.__name__ = f"plugin {number}"
    async with agent_runtime(Counter, plugins=plugins) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert seen == [("third", "x", "add", None, True), ("second", True, "x"), ("first", "add")]


async def test_a_plugin_may_wrap_what_others_do_with_an_event():
    seen = []

    @hookimpl(wrapper=True)
    def around():
        seen.append("before")
        yield
        seen.append("after")

    inner = plugin(event_finished=lambda event: seen.append(event.method))
    outer = SimpleNamespace(__name__="outer", event_finished=around)
    async with agent_runtime(Counter, plugins=[inner, outer]) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert seen == ["before", "add", "after"]


async def test_hook_event_finished():
    seen = []

    def event_finished(object_id, event, error):
        seen.append((object_id.name, event.method, error))

    async with agent_runtime(Counter, plugins=[plugin(event_finished=event_finished)]) as runtime:
        await runtime.namespaces["Counter"].get_by_name("x").add()
    assert seen == [("x", "add", None)]


async def test_hook_agent_event():
    seen = []

    def agent_event(event):
        seen.append((event.channel, event.type, event.agent, event.name, dict(event.payload)))

    async with agent_runtime(Counter, plugins=[plugin(agent_event=agent_event)]) as runtime:
        socket = await connect(runtime, "/agents/counter/x?_pk=c1")
        socket.close()
        await settle()
    assert seen == [
        ("agents:state", "state:update", "Counter", "x", {}),  # initial_state
        ("agents:lifecycle", "connect", "Counter", "x", {"connection_id": "c1"}),
        ("agents:lifecycle", "disconnect", "Counter", "x", {"connection_id": "c1", "code": 1000, "reason": ""}),
    ]
