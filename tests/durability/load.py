"""Clients of the ledger: each asks for one effect after another, and asks again until it is answered.

What they were told is what must be there in the end: the numbers of effects that were acknowledged, the chunks that
readers of the log have seen, the states that sockets were sent.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

import websockets
from websockets.asyncio.client import connect

from tests.durability.ledger import HTTP_KINDS

__all__ = ["Load", "exchange", "faults_of"]

PATIENCE = 60.0


class Load:
    """Clients for ``agents`` agents, on the servers at ``ports``."""

    def __init__(self, ports: list[int], agents: int, rng: random.Random) -> None:
        self.ports, self.rng = ports, rng
        self.agents = [f"a{number}" for number in range(agents)]
        self.acknowledged: dict[str, dict[str, int | None]] = {agent: {} for agent in self.agents}
        self.seen: dict[str, dict[int, Any]] = {agent: {} for agent in self.agents}
        self.states: dict[str, dict[int, str]] = {agent: {} for agent in self.agents}
        self.asked: Counter[str] = Counter()
        self.again = 0
        self.answers = 0
        self.statuses: Counter[int] = Counter()
        self._is_over = False
        self._clients: list[asyncio.Task[None]] = []
        self._followers: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        for agent in self.agents:
            for number in range(2):
                self._clients.append(asyncio.create_task(self._ask_by_http(agent, f"h{number}")))
            self._clients.append(asyncio.create_task(self._ask_by_socket(agent)))
            self._followers.append(asyncio.create_task(self._follow(agent)))

    def check(self) -> None:
        """Raise what a client has raised."""
        for client in (*self._clients, *self._followers):
            if client.done() and not client.cancelled():
                client.result()

    async def finish(self) -> dict[str, Any]:
        """Let every client be answered, wait until nothing is left to do, and return the agents' reports."""
        self._is_over = True
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._clients)
            reports = {agent: await self._settled(agent) for agent in self.agents}
        for follower in self._followers:
            follower.cancel()
        await asyncio.gather(*self._followers, return_exceptions=True)
        return reports

    async def _settled(self, agent: str) -> Any:
        while True:
            report = await self._until_answered(agent, "GET", "report", None)
            if not report["waiting"]:
                return report
            await asyncio.sleep(0.05)

    # Clients

    async def _ask_by_http(self, agent: str, name: str) -> None:
        count = 0
        while not self._is_over:
            kind = self.rng.choice(HTTP_KINDS)
            count += 1
            id = f"{name}-{kind}-{count}"
            self.asked[kind] += 1
            answer = await self._until_answered(agent, "POST", "", {"kind": kind, "id": id})
            self.acknowledged[agent][id] = answer["n"]
            self.answers += 1

    async def _until_answered(self, agent: str, method: str, path: str, body: Any) -> Any:
        """Ask, again and again, until there is an answer."""
        is_first = True
        while True:
            if not is_first:
                self.again += 1
                await asyncio.sleep(0.02)
            is_first = False
            try:
                async with asyncio.timeout(PATIENCE):
                    status, answer = await exchange(self._port(), method, f"/agents/ledger/{agent}/{path}", body)
            except (OSError, EOFError):
                continue
            self.statuses[status] += 1
            if status == 200:
                return json.loads(answer)
            if status < 500:
                raise AssertionError(f"{method} {body} was answered with {status}: {answer[:500]!r}")

    async def _ask_by_socket(self, agent: str) -> None:
        count, waiting = 0, None
        while not (self._is_over and waiting is None):
            try:
                async with connect(
                    f"ws://127.0.0.1:{self._port()}/agents/ledger/{agent}?_pk=s", compression=None, close_timeout=0.1
                ) as socket:
                    while not (self._is_over and waiting is None):
                        if waiting is None:
                            count += 1
                            waiting = f"s-rpc-{count}"
                            self.asked["rpc"] += 1
                        await socket.send(
                            json.dumps({"type": "rpc", "id": waiting, "method": "rpc", "args": [waiting]})
                        )
                        async with asyncio.timeout(PATIENCE):
                            await self._hear(agent, socket, waiting)
                        waiting = None
            except (OSError, EOFError, websockets.WebSocketException):
                self.again += 1
                await asyncio.sleep(0.02)

    async def _hear(self, agent: str, socket: Any, waiting: str) -> None:
        async for message in socket:
            frame = json.loads(message)
            if frame.get("type") == "cf_agent_state":
                self.states[agent][frame["state"]["n"]] = frame["state"]["id"]
            elif frame.get("type") == "rpc" and frame["id"] == waiting:
                assert frame["success"], frame
                self.acknowledged[agent][waiting] = frame["result"]
                self.answers += 1
                return
        raise EOFError

    async def _follow(self, agent: str) -> None:
        seen = self.seen[agent]
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port())
                try:
                    last = f"last-event-id: {max(seen)}\r\n" if seen else ""
                    writer.write(
                        f"GET /agents/ledger/{agent}/?follow HTTP/1.1\r\nhost: 127.0.0.1\r\n{last}\r\n".encode()
                    )
                    number = None
                    while line := await reader.readline():
                        text = line.decode().strip()
                        if text.startswith("id: "):
                            number = int(text[4:])
                        elif text.startswith("data: ") and number is not None:
                            if number not in seen:
                                assert number == len(seen), f"{agent}: chunk {number} came after {len(seen) - 1}"
                            chunk = json.loads(text[6:])
                            assert seen.setdefault(number, chunk) == chunk
                            number = None
                finally:
                    writer.close()
            except (OSError, EOFError):
                pass
            await asyncio.sleep(0.01)

    def _port(self) -> int:
        return self.rng.choice(self.ports)


async def exchange(port: int, method: str, path: str, body: Any) -> tuple[int, bytes]:
    content = b"" if body is None else json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
            f"content-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")),
            None,
        )
        return status, await (reader.read() if length is None else reader.readexactly(length))
    finally:
        writer.close()


def faults_of(load: Any, reports: dict[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong, by kind: effects that were acknowledged and are lost, that are there twice, and places
    where the storages differ."""
    lost: list[str] = []
    doubled: list[str] = []
    torn: list[str] = []
    for agent, report in reports.items():
        effects = report["effects"]
        numbers: dict[str, int] = dict(effects)
        for id, promised in load.acknowledged[agent].items():
            if id not in numbers:
                lost.append(f"{agent} {id}")
            elif promised is not None and numbers[id] != promised:
                lost.append(f"{agent} {id}: was promised {promised}, is {numbers[id]}")
        for number, chunk in load.seen[agent].items():
            if number >= len(report["log"]) or report["log"][number] != [chunk["id"], chunk["n"]]:
                lost.append(f"{agent}: chunk {number} was read as {chunk}")
        ids_by_number = {0: "", **{n: id for id, n in effects}}
        for n, id in load.states[agent].items():
            if ids_by_number.get(n) != id:
                lost.append(f"{agent}: the state {n} was sent as that of {id}")
        ids = [id for id, _ in report["log"]]
        doubled += [f"{agent} {id}: {count} times" for id, count in Counter(ids).items() if count > 1]
        if not report["state"] == report["kv"] == len(effects) == len(report["log"]):
            torn.append(f"{agent}: {report['state']}, {report['kv']}, {len(effects)}, {len(report['log'])}")
        if [n for _, n in effects] != list(range(1, len(effects) + 1)) or effects != report["log"]:
            torn.append(f"{agent}: the numbers of SQL and stream differ")
        if report["left"] != report["right"]:
            torn.append(f"{agent}: half of a transaction: {set(report['left']) ^ set(report['right'])}")
    return {"lost": lost, "doubled": doubled, "torn": torn}
