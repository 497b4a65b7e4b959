"""What a capability may do beyond hearing of events: be found, add methods, be called from outside, greet."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from edgeagents import Agent, call_part, get_current_agent, hookimpl
from edgeagents.agents import Capability, get_sub_agent_by_name
from edgeagents.testing import agent_runtime, connect


class Post(Capability):
    name = "post"
    exports = ("send_letter", "stamp")
    remote = ("deliver",)

    def send_letter(self, text):
        return f"{self.host.class_name} {self.host.name}: {text}"

    def stamp(self):
        return "the capability's"

    async def deliver(self, letter):
        return await self.host.call("on_letter", letter, "ignored by those who take one argument")

    async def burn(self):
        return "not for others"

    async def who(self):
        with self.host.acting(email="a letter"):
            return get_current_agent()

    async def greet(self, connection, request):
        connection.send("first of all")


class Office(Agent):
    capability_types = (Post,)

    async def on_letter(self, letter):
        return letter.upper()

    def stamp(self):
        return "the agent's own"

    async def letter(self, text):
        return self.send_letter(text)

    async def which_stamp(self):
        return self.stamp()

    async def is_there(self):
        return self.post is self.capability(Post)

    async def who(self):
        current = await self.post.who()
        return [current.agent is self, current.email, get_current_agent().email]


def stub(runtime):
    return runtime.namespaces["Office"].get_by_name("x")


async def test_the_agent_has_the_capability_under_its_name():
    async with agent_runtime(Office) as runtime:
        assert await stub(runtime).is_there()


async def test_the_agent_has_the_methods_that_a_capability_exports():
    async with agent_runtime(Office) as runtime:
        assert await stub(runtime).letter("hello") == "Office x: hello"


async def test_a_method_of_the_class_goes_before_an_exported_one():
    async with agent_runtime(Office) as runtime:
        assert await stub(runtime).which_stamp() == "the agent's own"


async def test_a_part_of_the_agent_can_be_called_and_calls_the_agents_hook():
    async with agent_runtime(Office) as runtime:
        assert await call_part(stub(runtime), "post", "deliver", "dear you") == "DEAR YOU"


@pytest.mark.parametrize(("part", "method"), [("post", "burn"), ("post", "host"), ("parcel", "deliver")])
async def test_no_more_of_a_part_can_be_called_than_it_says(part, method):
    async with agent_runtime(Office) as runtime:
        with pytest.raises(AttributeError, match=f"no method '{part}:{method}'"):
            await call_part(stub(runtime), part, method)


@pytest.mark.cloudflare("Agents", "methods that a plugin adds to an agent, through a stub", "same")
async def test_an_exported_method_is_called_through_a_stub():
    async with agent_runtime(Office) as runtime:
        assert await stub(runtime).send_letter("hello") == "Office x: hello"
        assert await stub(runtime).stamp() == "the agent's own"
        assert "send_letter" in dir(stub(runtime))
        with pytest.raises(AttributeError, match="burn"):
            stub(runtime).burn()
        with pytest.raises(AttributeError, match="burn"):
            await stub(runtime)._call("burn")


async def test_so_it_is_where_a_plugin_brought_the_capability_and_on_a_sub_agent():
    class Branch(Agent):
        pass

    class Head(Agent):
        sub_agents = [Branch]

        async def of_the_branch(self, text):
            return await (await self.sub_agent(Branch, "b")).send_letter(text)

    plugin = SimpleNamespace(register_capabilities=hookimpl(lambda runtime: [Post]))
    async with agent_runtime(Head, plugins=[plugin]) as runtime:
        head = runtime.namespaces["Head"].get_by_name("h")
        from_outside = await get_sub_agent_by_name(head, Branch, "b")
        assert await head.send_letter("hello") == "Head h: hello"
        assert await head.of_the_branch("hello") == "Branch b: hello"
        assert await from_outside.send_letter("hello") == "Branch b: hello"


async def test_a_capability_acts_as_the_agent():
    async with agent_runtime(Office) as runtime:
        assert await stub(runtime).who() == [True, "a letter", None]


async def test_what_a_capability_greets_with_comes_before_the_identity():
    async with agent_runtime(Office) as runtime:
        socket = await connect(runtime, "/agents/office/x")
        first, second = await socket.receive(), await socket.receive()
    assert first == "first of all"
    assert json.loads(second)["type"] == "cf_agent_identity"


async def test_clients_are_told_when_the_mcp_servers_change():
    class Changing(Capability):
        name = "changing"
        remote = ("change",)

        async def change(self):
            self.host.set_mcp_servers({"servers": {"s": {}}, "tools": [], "prompts": [], "resources": []})

    class Plain(Agent):
        capability_types = (Changing,)

    async with agent_runtime(Plain) as runtime:
        early = await connect(runtime, "/agents/plain/x")
        early.pending()
        await call_part(runtime.namespaces["Plain"].get_by_name("x"), "changing", "change")
        late = await connect(runtime, "/agents/plain/x")
        told = [json.loads(socket.pending()[-1]) for socket in (early, late)]
    assert told[0] == told[1]
    assert told[0]["mcp"]["servers"] == {"s": {}}
