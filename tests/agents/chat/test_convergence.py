"""Two agents and five clients under random interleavings: in the end all see the same state and conversation.

A state machine does what people and networks do, in any order: tabs open, close and are lost, states are set, methods
are called, messages are sent, stopped and cleared, agents leave memory, the server restarts. Beside it runs a small
model of what must be there; and each client keeps what a browser would show of the frames that it got.

A client that sets the state by itself waits until that is done: the protocol has no answer to it, so two such changes
that cross leave their senders apart until the next one, here as on Cloudflare.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgeagents import AIChatAgent, callable
from edgeagents.http import Request
from edgeagents.objects import MemoryStorage
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, connect, settle
from tests.test_hooks import plugin

pytestmark = pytest.mark.cloudflare("Chat", "several tabs see one state and one conversation", "same")

AGENTS = ("left", "right")
CLIENTS = range(5)
agents, clients = st.sampled_from(AGENTS), st.sampled_from(CLIENTS)


class Bot(AIChatAgent):
    initial_state = {"n": 0}
    said: dict[str, asyncio.Queue[str]] = {}

    @callable()
    async def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def on_chat_message(self):
        words = self.said[self.name]
        while (word := await words.get()) != "":
            yield word


class Client:
    """What a browser shows: the latest state, and the conversation, with the answer that is on its way."""

    def __init__(self, agent: str, socket: TestSocket, shown: list[tuple[str, str]]) -> None:
        self.agent, self.socket = agent, socket
        self.state: Any = None
        self.shown = shown
        self.following: set[str] = set()
        self.coming: dict[str, str] = {}

    def read(self) -> None:
        for text in self.socket.pending():
            frame = json.loads(text)
            match frame["type"]:
                case "cf_agent_state":
                    self.state = frame["state"]
                case "cf_agent_chat_messages":
                    self.shown, self.following = shown(frame["messages"]), set()
                case "cf_agent_chat_clear":
                    self.shown, self.following = [], set()
                case "cf_agent_stream_resuming":
                    self.following.add(frame["id"])
                    self.say(type="cf_agent_stream_resume_ack", id=frame["id"])
                case "cf_agent_use_chat_response":
                    self._hear(frame)

    def _hear(self, frame: dict[str, Any]) -> None:
        id = frame["id"]
        if frame.get("seq") == 0:
            self.coming[id] = ""
        if not frame["done"] and frame["body"]:
            self.coming[id] = self.coming.get(id, "") + json.loads(frame["body"]).get("delta", "")
        if frame["done"]:
            answer = self.coming.pop(id, "")
            # Others are sent the whole conversation; who asked, or came back, adds the answer to what it shows.
            if id in self.following and answer:
                self.shown.append(("assistant", answer))
            self.following.discard(id)

    def say(self, **frame: Any) -> None:
        self.socket.send(json.dumps(frame))


def shown(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(m["role"], "".join(p.get("text", "") for p in m["parts"])) for m in messages]


class Convergence(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.storage = MemoryStorage()
        # One for all servers: a second one must not make up the ids of the first again.
        self.rng = random.Random(0)
        self.storage_plugin = plugin(storage_backend=lambda: _Kept(self.storage))
        self.clients: dict[int, Client] = {}
        self.states = dict.fromkeys(AGENTS, 0)
        self.talks: dict[str, list[tuple[str, str]]] = {agent: [] for agent in AGENTS}
        self.turns: dict[str, str | None] = dict.fromkeys(AGENTS)
        self.count = 0

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _do(self, function: Callable[..., object], **arguments: Any) -> None:
        """Call ``function`` on the loop, and run nothing else that waits there."""

        async def do() -> None:
            function(**arguments)

        self.run(do())

    @initialize()
    def start(self) -> None:
        Bot.said = {agent: asyncio.Queue() for agent in AGENTS}
        self.run(self._start())
        for number, agent in enumerate(("left", "left", "right")):
            self.open(number, agent)

    async def _start(self) -> None:
        self.runtime = agent_runtime(Bot, clock=ManualClock(), rng=self.rng, plugins=[self.storage_plugin])
        await self.runtime.start()

    def teardown(self) -> None:
        if hasattr(self, "runtime"):
            self.run(self.runtime.stop())
        self.storage.close()
        self.loop.close()

    # Tabs

    @rule(number=clients, agent=agents)
    def open(self, number: int, agent: str) -> None:
        self.close(number, is_lost=True)

        async def come() -> None:
            history = await self._history(agent)
            socket = await connect(self.runtime, f"/agents/bot/{agent}?_pk=c{number}")
            self.clients[number] = Client(agent, socket, shown(history))
            self.clients[number].say(type="cf_agent_stream_resume_request", probeId="p")

        self.run(come())
        self._settle()

    @rule(number=clients, is_lost=st.booleans())
    def close(self, number: int, is_lost: bool) -> None:
        client = self.clients.pop(number, None)
        if client is not None:
            self._do(client.socket.lose if is_lost else client.socket.close)
            self._settle()

    # State

    @rule(number=clients, n=st.integers(0, 9))
    def set_state(self, number: int, n: int) -> None:
        if client := self._client(number):
            self._settle()
            self._do(client.say, type="cf_agent_state", state={"n": n})
            client.state = {"n": n}
            self.states[client.agent] = n
            self._settle()

    @rule(number=clients, by=st.integers(1, 9))
    def call(self, number: int, by: int) -> None:
        if client := self._client(number):
            self._do(client.say, type="rpc", id="1", method="add", args=[by])
            self.states[client.agent] += by

    # Conversation

    @rule(number=clients)
    def ask(self, number: int) -> None:
        client = self._client(number)
        if client is None or self.turns[client.agent] is not None:
            return
        self._settle()
        self.count += 1
        id, text = f"q{self.count}", f"question {self.count}"
        message = {"id": f"u{self.count}", "role": "user", "parts": [{"type": "text", "text": text}]}
        history = self.run(self._history(client.agent))
        body = json.dumps({"messages": [*history, message], "trigger": "submit-message"})
        self._do(client.say, type="cf_agent_use_chat_request", id=id, init={"method": "POST", "body": body})
        client.following.add(id)
        client.shown = [*shown(history), ("user", text)]
        self.talks[client.agent].append(("user", text))
        self.turns[client.agent] = id
        self.talks[client.agent].append(("assistant", ""))

    @rule(agent=agents, word=st.sampled_from(["a ", "b ", "c "]))
    def say_a_word(self, agent: str, word: str) -> None:
        if self.turns[agent] is not None:
            Bot.said[agent].put_nowait(word)
            role, text = self.talks[agent][-1]
            self.talks[agent][-1] = (role, text + word)

    @rule(agent=agents)
    def end_the_answer(self, agent: str) -> None:
        if self.turns[agent] is not None:
            Bot.said[agent].put_nowait("")
            self._settle()
            self._turn_is_over(agent)

    @rule(number=clients)
    def stop(self, number: int) -> None:
        client = self._client(number)
        if client is None or self.turns[client.agent] is None:
            return
        self._settle()
        self._do(client.say, type="cf_agent_chat_request_cancel", id=self.turns[client.agent])
        self._settle()
        self._turn_is_over(client.agent)

    @rule(number=clients)
    def clear(self, number: int) -> None:
        client = self._client(number)
        if client is None:
            return
        self._settle()
        self._do(client.say, type="cf_agent_chat_clear")
        client.shown, client.following = [], set()
        self._settle()
        self.talks[client.agent] = []
        self.turns[client.agent] = None

    def _turn_is_over(self, agent: str) -> None:
        self.turns[agent] = None
        if self.talks[agent][-1] == ("assistant", ""):
            self.talks[agent].pop()

    # Life

    @precondition(lambda self: not any(self.turns.values()))
    @rule()
    def rest(self) -> None:
        """All agents leave memory; their sockets stay open."""
        self._settle()
        self.run(self.runtime.clock.advance(3600))

    @precondition(lambda self: not any(self.turns.values()))
    @rule()
    def restart(self) -> None:
        """The server stops and starts; tabs come back by themselves."""
        self._settle()
        tabs = [(number, client.agent) for number, client in self.clients.items()]
        self.clients.clear()
        self.run(self.runtime.stop())
        self.run(self._start())
        for number, agent in tabs:
            self.open(number, agent)

    # What must hold

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "runtime"):
            return
        self._settle()
        for agent in AGENTS:
            if self.turns[agent] is None:
                assert shown(self.run(self._history(agent))) == self.talks[agent]
        for client in self.clients.values():
            assert client.state == {"n": self.states[client.agent]}
            turn = self.turns[client.agent]
            if turn is None:
                assert client.shown == self.talks[client.agent]
                assert client.coming == {}
            else:
                assert client.coming.get(turn, "") == self.talks[client.agent][-1][1]

    def _client(self, number: int) -> Client | None:
        there = sorted(self.clients)
        return self.clients[there[number % len(there)]] if there else None

    def _settle(self) -> None:
        self.run(self._all_read())

    async def _all_read(self) -> None:
        for _ in range(2):  # What a client answers to what it reads is answered too.
            await settle()
            for client in self.clients.values():
                client.read()

    async def _history(self, agent: str) -> list[dict[str, Any]]:
        response = await self.runtime.route(Request(f"/agents/bot/{agent}/get-messages"))
        assert response is not None
        return await response.json()


class _Kept:
    """The same memory for one runtime after another."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def close(self) -> None:
        """The storage outlives the runtime."""


Convergence.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestConvergence = Convergence.TestCase
