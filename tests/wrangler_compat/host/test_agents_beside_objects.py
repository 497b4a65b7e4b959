"""Agents of edgeagents and objects of the SDK in one worker, each calling the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeagents import Request

from .conftest import RunWorker, write_worker

pytestmark = pytest.mark.cloudflare("Workers", "Python: `from agents import Agent` beside the SDK's classes", "same")

BOTH = """
    import json
    from agents import Agent, callable, get_agent_by_name, route_agent_request
    from workers import DurableObject, Response, WorkerEntrypoint

    class Assistant(Agent):
        initial_state = {"n": 0}

        @callable()
        async def add(self, by, *, twice=False):
            self.set_state({"n": self.state["n"] + by * (2 if twice else 1)})
            return {"n": self.state["n"], "by": [by]}

        async def ask_box(self, word):
            by_class = await get_agent_by_name(Box, "a")
            by_binding = self.env.BOX.get_by_name("a")
            counter = await by_class.counter()
            return [await by_class.keep(word), await by_binding.keep(word), await counter(3)]

        async def on_request(self, request):
            return f"{request.method} {(await request.text())}"

    class Box(DurableObject):
        async def keep(self, word):
            words = await self.ctx.storage.get("words") or []
            await self.ctx.storage.put("words", [*words, word])
            return [*words, word]

        async def counter(self):
            return lambda by: by + 1

        async def ask_assistant(self):
            stub = self.env.ASSISTANT.getByName("a")
            by_name = await get_agent_by_name(Assistant, "a")
            return [await stub.add(2), await stub.add(1, twice=True), (await by_name.add(1))["n"],
                    await (await stub.fetch("http://x/", method="POST", body="hello")).text()]

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            answer = await route_agent_request(request, self.env)
            if answer:
                return answer
            if request.url.endswith("/agent"):
                agent = await get_agent_by_name(self.env.ASSISTANT, "a")
                return Response(json.dumps(await agent.ask_box("word")))
            if request.url.endswith("/body"):
                return Response(await request.text())
            return Response(json.dumps(await self.env.BOX.getByName("a").ask_assistant()))
"""


async def test_an_object_of_the_sdk_calls_an_agent(run: RunWorker) -> None:
    worker = await run(BOTH, objects=["Assistant", "Box"])
    assert await worker.text("/box") == '[{"n": 2, "by": [2]}, {"n": 4, "by": [1]}, 5, "POST hello"]'


async def test_an_agent_calls_an_object_of_the_sdk(run: RunWorker) -> None:
    worker = await run(BOTH, objects=["Assistant", "Box"])
    assert await worker.text("/agent") == '[["word"], ["word", "word"], 4]'


async def test_a_worker_of_the_sdk_routes_requests_to_its_agents(run: RunWorker) -> None:
    worker = await run(BOTH, objects=["Assistant", "Box"])
    assert await worker.text("/agents/assistant/a", method="POST", body=b"hello") == "POST hello"
    assert await worker.text("/body", method="POST", body=b"kept") == "kept"
    socket = await worker.connect("/agents/assistant/a")
    assert "cf_agent_identity" in str(await socket.receive())


async def test_a_project_that_has_its_own_module_of_that_name_keeps_it(start: RunWorker, tmp_path: Path) -> None:
    source = """
        import agents
        from workers import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                return Response(agents.WORD)
    """
    folder = write_worker(tmp_path, source)
    (folder / "src" / "agents.py").write_text("WORD = 'its own'")
    worker = await start(folder)
    assert await (await worker.runtime.fetch(Request("/"))).text() == "its own"
