"""Random cuts: clients vanish, the server is killed, the model's server hangs up; no token is lost or comes twice.

Two clients follow each turn: the one that asked, and one that watches. The model says a word only when the test lets
it, so a cut can fall anywhere. A client that was cut comes back as the official ones do: it asks whether there is a
stream for it, and is given the chunks from the first one on. What it has seen in the end is what its last connection
gave it, or the transcript when it came too late for that.

``EDGEAGENTS_CUTS`` says how many cuts there are, ``EDGEAGENTS_SEED`` where they fall.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.agents.chat.cuts_model import CountingModels, word
from tests.figures import Figures
from tests.servers import Server

pytestmark = pytest.mark.server

CUTS = int(os.environ.get("EDGEAGENTS_CUTS", "1000"))
SEED = int(os.environ.get("EDGEAGENTS_SEED", "1"))
CHATS = 16
WORDS = 60
CUTS_A_ROUND = 100
CLIENT, PROVIDER, SERVER = "client", "provider", "server"
PATIENCE = 60.0


class Tab:
    """A client that follows one turn to its end, over as many connections as it takes."""

    def __init__(self, base: str, chat: str, id: str, request: str | None) -> None:
        self._base, self._chat, self._id, self._request = base, chat, id, request
        self._socket: ClientConnection | None = None
        self._is_new = True
        self._id_of_stream: str | None = None
        self.seqs: list[int] = []
        self.text = ""
        self.has_seen_something = asyncio.Event()
        self.faults: list[str] = []
        self.ended_by = ""

    def cut(self) -> bool:
        """Vanish without a word; return whether there was a connection."""
        socket, self._socket = self._socket, None
        if socket is None:
            return False
        socket.transport.abort()
        return True

    async def follow(self) -> str:
        """Return the whole text of the turn."""
        while True:
            try:
                async with connect(
                    f"{self._base.replace('http', 'ws')}/agents/bot/{self._chat}?_pk={self._id}", compression=None
                ) as socket:
                    self._socket = socket
                    if await self._listen(socket):
                        return self.text
            except (OSError, websockets.WebSocketException):
                # The server is down, or we were cut.
                await asyncio.sleep(0.02)
            finally:
                self._socket = None

    async def _listen(self, socket: ClientConnection) -> bool:
        if self._is_new:
            self._is_new = False
            if self._request is not None:
                await socket.send(self._request)
        else:
            self._forget()
            await socket.send(json.dumps({"type": "cf_agent_stream_resume_request", "probeId": "p"}))
        acknowledged: set[str] = set()
        async for message in socket:
            frame = json.loads(message)
            match frame["type"]:
                case "cf_agent_stream_resuming" if frame["id"] not in acknowledged:
                    acknowledged.add(frame["id"])
                    self._forget()
                    await socket.send(json.dumps({"type": "cf_agent_stream_resume_ack", "id": frame["id"]}))
                case "cf_agent_stream_resume_none" if frame.get("reason") == "idle":
                    return await self._read_transcript()
                case "cf_agent_use_chat_response":
                    if frame.get("error"):
                        self.faults.append(f"an error: {frame['body']}")
                    if "seq" in frame:
                        self._take(frame)
                    if frame["done"] and frame.get("outcome") != "recovering":
                        self.ended_by = "frames"
                        return bool(self.seqs) or await self._read_transcript()
                case _:
                    pass
        return False

    def _forget(self) -> None:
        self.seqs, self.text = [], ""

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["id"] != self._id_of_stream:
            self._id_of_stream = frame["id"]
            self._forget()
        self.seqs.append(frame["seq"])
        self.text += json.loads(frame["body"]).get("delta", "")
        self.has_seen_something.set()

    async def _read_transcript(self) -> bool:
        self.ended_by = "transcript"
        messages = await asyncio.to_thread(_get_json, f"{self._base}/agents/bot/{self._chat}/get-messages")
        self.text = _text_of(messages)
        self.seqs = []
        return True


def _get_json(url: str) -> Any:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def _text_of(messages: list[dict[str, Any]]) -> str:
    answers = [message for message in messages if message["role"] == "assistant"]
    return "".join(part["text"] for message in answers for part in message["parts"] if part["type"] == "text")


class Round:
    """Some turns at once, and the cuts that fall on them."""

    def __init__(self, server: Server, models: CountingModels, rng: random.Random, number: int) -> None:
        self.server, self.models, self.rng = server, models, rng
        self.chats = [f"r{number}c{chat}" for chat in range(CHATS)]
        self.tabs: dict[str, list[Tab]] = {}
        for chat in self.chats:
            models.expect(chat, WORDS)
            message = {"id": f"u-{chat}", "role": "user", "parts": [{"type": "text", "text": "count"}]}
            body = json.dumps({"messages": [message], "trigger": "submit-message"})
            ask = {"id": f"q-{chat}", "type": "cf_agent_use_chat_request", "init": {"method": "POST", "body": body}}
            self.tabs[chat] = [
                Tab(server.url, chat, "watches", None),
                Tab(server.url, chat, "asks", json.dumps(ask)),
            ]
        self.cuts = {CLIENT: 0, PROVIDER: 0, SERVER: 0}
        self.at_last_kill = dict.fromkeys(self.chats, 0)
        self.ends: Counter[str] = Counter()

    async def run(self, cuts: int) -> tuple[int, int]:
        """Make so many cuts, let all turns end, and return how many tokens were lost and how many came twice."""
        tabs = [tab for pair in self.tabs.values() for tab in pair]
        following = [asyncio.create_task(tab.follow()) for tab in tabs]
        for chat in self.chats:
            self.models.allow(chat, 1)
        asking = [self.tabs[chat][1].has_seen_something.wait() for chat in self.chats]
        await asyncio.wait_for(asyncio.gather(*asking), PATIENCE)
        while sum(self.cuts.values()) < cuts:
            await self._cut()
        for chat in self.chats:
            self.models.finish(chat)
        texts = await asyncio.wait_for(asyncio.gather(*following), PATIENCE)
        lost = repeated = 0
        for tab, text in zip(tabs, texts, strict=True):
            words = text.split()
            expected = [word(number).strip() for number in range(WORDS)]
            lost += len(set(expected) - set(words))
            repeated += len(words) - len(set(words))
            assert tab.faults == []
            assert words == expected or lost or repeated, f"the words are out of order: {words}"
            self.ends[tab.ended_by] += 1
            assert tab.seqs == list(range(len(tab.seqs))), f"the chunks are not numbered in a row: {tab.seqs}"
        return lost, repeated

    async def _cut(self) -> None:
        for chat in self.rng.sample(self.chats, 4):
            self.models.allow(chat, self.rng.randrange(3))
        kind = self.rng.choices([CLIENT, PROVIDER, SERVER], [60, 38, 2])[0]
        if kind == SERVER:
            await self._kill()
        elif kind == CLIENT:
            await self._cut_a_client()
        else:
            await self._hang_up()
        # Words and frames that are under way come in between, more or fewer.
        for _ in range(self.rng.randrange(20)):
            await asyncio.sleep(0)

    async def _kill(self) -> None:
        await self._get_on()
        await asyncio.to_thread(self.server.kill)
        self.cuts[SERVER] += CHATS
        await asyncio.to_thread(self.server.start)

    async def _get_on(self) -> None:
        """Return when each turn has said a word since the last kill: one that gets nowhere in between is given up."""
        for chat in self.chats:
            self.models.allow(chat, 1)
        async with asyncio.timeout(PATIENCE):
            while not all(self._seen(chat) > self.at_last_kill[chat] for chat in self.chats):
                await asyncio.sleep(0.01)
        self.at_last_kill = {chat: self._seen(chat) for chat in self.chats}

    def _seen(self, chat: str) -> int:
        return max(tab.text.count(" ") for tab in self.tabs[chat])

    async def _cut_a_client(self) -> None:
        tabs = [tab for pair in self.tabs.values() for tab in pair]
        self.rng.shuffle(tabs)
        if any(tab.cut() for tab in tabs):
            self.cuts[CLIENT] += 1
        else:
            await asyncio.sleep(0.01)

    async def _hang_up(self) -> None:
        changed = self.models.changed
        talking = [chat for chat in self.chats if self.models.is_talking(chat)]
        if talking:
            self.models.hang_up(self.rng.choice(talking))
            self.cuts[PROVIDER] += 1
        else:
            # All are between two calls: the server asks again after two seconds.
            await asyncio.wait_for(changed.wait(), PATIENCE)


@pytest.mark.cloudflare(
    "Chat",
    "a turn outlives its clients, the server and the connection to the model",
    "different: it goes on under the same id with every token once; the SDK ends it and begins another",
)
async def test_no_cut_loses_a_token_or_repeats_one(tmp_path: Path, figures: Figures) -> None:
    rng = random.Random(SEED)
    models = CountingModels()
    url = await models.start()
    env = {"AGENTS_STORAGE": str(tmp_path), "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
    server = Server("tests.agents.chat.cuts_app:app", env=env)
    await asyncio.to_thread(server.start)
    lost = repeated = 0
    total, ends = {CLIENT: 0, PROVIDER: 0, SERVER: 0}, Counter[str]()
    try:
        number = 0
        while (left := CUTS - sum(total.values())) > 0:
            one = Round(server, models, rng, number)
            more_lost, more_repeated = await one.run(min(left, CUTS_A_ROUND))
            lost, repeated, number = lost + more_lost, repeated + more_repeated, number + 1
            for kind, count in one.cuts.items():
                total[kind] += count
            ends += one.ends
    except BaseException:
        print(server.log[-5000:])
        raise
    finally:
        await asyncio.to_thread(server.close)
        await models.stop()
    kinds = ", ".join(f"{kind} {count}" for kind, count in total.items())
    figures(f"cuts {sum(total.values())} ({kinds}), lost {lost}, repeated {repeated}")
    assert (lost, repeated) == (0, 0)
    assert ends["frames"] > ends["transcript"], "most clients are to see the end as it comes"
