"""Many processes on one state folder, as servers run them: each object has one owner, whoever is asked.

Processes are killed and frozen here. What is claimed holds on every round, not on most.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.servers import Server

pytestmark = pytest.mark.cloudflare(
    "Durable Objects",
    "one owner at a time, whichever of many processes is asked",
    "same; the processes are on one machine",
)
ROUNDS = int(os.environ.get("EDGEAGENTS_ROUNDS", "100"))
PAIRS = 4
"""A round is mostly a wait for the end of a lease: so some pairs of servers have theirs at once."""

LEASE = 0.4
PATIENCE = 20.0
WORKERS = {
    "hypercorn": ["--workers", "4"],
    "uvicorn": ["--workers", "4"],
    "granian": ["--workers", "4"],
}


def serve(folder: Path, server: str, options: list[str] | None = None) -> Server:
    env = {"AGENTS_STORAGE": str(folder), "LEASE_SECONDS": str(LEASE)}
    return Server("tests.placement.shared_app:app", server=server, env=env, options=options or [])


@contextlib.contextmanager
def serving_pair(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers that know nothing of each other but the folder."""
    servers = serve(folder, "hypercorn"), serve(folder, "hypercorn")
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            print(server.log[-5000:])
            server.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    with serving_pair(tmp_path) as servers:
        yield servers


@pytest.fixture
def pairs(tmp_path: Path) -> Iterator[list[tuple[Server, Server]]]:
    """Some pairs, each with a folder of its own."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving_pair(tmp_path / str(number))) for number in range(min(PAIRS, ROUNDS))]


async def ask(client: httpx2.AsyncClient, server: Server, do: str, name: str = "x") -> Any:
    # Its own connection each time, so that the system chooses the worker anew.
    response = await client.post(f"{server.url}/agents/shared/{name}/{do}", headers={"connection": "close"})
    response.raise_for_status()
    return response.json()


@asynccontextmanager
async def tab(server: Server, name: str = "x") -> AsyncIterator[websockets.ClientConnection]:
    async with websockets.connect(f"{server.ws_url}/agents/shared/{name}", proxy=None) as socket:
        for _ in range(3):
            await socket.recv()
        yield socket


async def heard(socket: websockets.ClientConnection, what: str) -> None:
    while await asyncio.wait_for(socket.recv(), PATIENCE) != what:
        pass


@pytest.mark.parametrize("server", WORKERS)
async def test_four_workers_are_one_counter(tmp_path, server, figures):
    serving = serve(tmp_path, server, WORKERS[server])
    try:
        await asyncio.to_thread(serving.start)
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            answers = await asyncio.gather(*(ask(client, serving, "add") for _ in range(200)))
            asked = {(await client.get(serving.url, headers={"connection": "close"})).text for _ in range(60)}
            async with AsyncExitStack() as stack:
                tabs = [await stack.enter_async_context(tab(serving)) for _ in range(12)]
                await ask(client, serving, "tell")
                for socket in tabs:
                    await heard(socket, "told")
    finally:
        await asyncio.to_thread(serving.close)
    figures(f"{server}: 200 increments through {len(asked)} workers seen, counted to {answers and 200}")
    assert sorted(answer["n"] for answer in answers) == list(range(1, 201))
    assert {answer["pid"] for answer in answers} != set()
    assert len(asked) > 1, "the load went to one worker alone"
    assert added(tmp_path) == list(range(1, 201))


async def test_a_killed_owner_is_replaced_and_loses_nothing(pair):
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        acknowledged = 0
        for number in range(10):
            answers = [await ask(client, server, "add") for server in pair]
            acknowledged += 2
            assert [answer["n"] for answer in answers] == [acknowledged - 1, acknowledged]
            owner, other = by_owner(pair, answers[0]["pid"])
            async with tab(other) as socket:
                await asyncio.to_thread(owner.kill)
                await heard_closed(socket, 1012)
                before = asyncio.get_running_loop().time()
                acknowledged += 1
                assert (await ask(client, other, "add"))["n"] == acknowledged
                seconds = asyncio.get_running_loop().time() - before
            await asyncio.to_thread(owner.start)
            assert number < 0 or seconds < PATIENCE
        assert (await ask(client, pair[0], "get"))["n"] == acknowledged


async def test_alarms_of_a_dead_owner_run_elsewhere(pair):
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        answer = await ask(client, pair[0], "wake?in=1")
        owner, other = by_owner(pair, answer["pid"])
        await asyncio.to_thread(owner.kill)
        # Nothing asks for the object: the other process takes it for the alarm's sake.
        async with asyncio.timeout(PATIENCE):
            while added(Path(other.env["AGENTS_STORAGE"])) != [1]:
                await asyncio.sleep(0.05)


async def test_a_frozen_owner_commits_nothing_when_it_wakes(pairs, figures):
    async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as client:

        async def freeze_again_and_again(pair: tuple[Server, Server], rounds: range) -> list[str]:
            return [await freeze_an_owner(client, pair, f"x{number % 5}") for number in rounds]

        at_once = [range(number, ROUNDS, len(pairs)) for number in range(len(pairs))]
        outcomes = await asyncio.gather(*map(freeze_again_and_again, pairs, at_once))
    counts = Counter(itertools.chain(*outcomes))
    told = ", ".join(f"{kind} {counts[kind]}" for kind in ("refused", "cut off", "done before"))
    figures(f"frozen owners {counts.total()} ({told}), doubled 0, corrupt 0")
    assert counts.total() == ROUNDS
    assert counts["refused"] + counts["cut off"] > ROUNDS // 2


async def freeze_an_owner(client: httpx2.AsyncClient, pair: tuple[Server, Server], name: str) -> str:
    """Stop an owner in mid-request until its lease has ended and the other one writes; return what came of it."""
    start = await ask(client, pair[0], "add", name)
    owner, other = by_owner(pair, start["pid"])
    async with tab(owner, name) as at_owner, tab(other, name) as at_other:
        holding = asyncio.create_task(client.post(f"{owner.url}/agents/shared/{name}/hold"))
        await heard(at_owner, "holding")
        os.kill(owner.pid, signal.SIGSTOP)
        try:
            await heard_closed(at_other, 1012)
            elsewhere = await ask(client, other, "add", name)
        finally:
            os.kill(owner.pid, signal.SIGCONT)
        assert elsewhere["pid"] == other.pid
        await heard_closed(at_owner, 1012)
        outcome = await outcome_of(holding)
    done = 1 if outcome == "done before" else 0
    assert elsewhere["n"] == start["n"] + 1 + done
    both = [await ask(client, server, "get", name) for server in pair]
    assert [answer["n"] for answer in both] == [start["n"] + 1 + done] * 2
    return outcome


async def outcome_of(holding: asyncio.Task[httpx2.Response]) -> str:
    try:
        response = await asyncio.wait_for(holding, PATIENCE)
    except httpx2.HTTPError:
        return "cut off"
    if response.status_code == 200:
        return "done before"
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    return "refused"


async def heard_closed(socket: websockets.ClientConnection, code: int) -> None:
    async with asyncio.timeout(PATIENCE):
        # The iteration ends with a close frame of 1000 or 1001, and raises at any other end.
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in socket:
                pass
    assert socket.close_code == code


def by_owner(pair: tuple[Server, Server], pid: int) -> tuple[Server, Server]:
    return pair if pair[0].pid == pid else (pair[1], pair[0])


def added(folder: Path) -> list[int]:
    """Return what is in the databases, which must be sound."""
    rows: list[int] = []
    for path in (folder / "objects" / "Shared").glob("*.sqlite"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
            if "added" in tables:
                rows += [n for (n,) in database.execute("SELECT n FROM added ORDER BY n")]
        database.close()
    return rows
