"""The agent that the tests of durability load: whatever it does leaves the same mark in five kinds of storage.

An effect has an id. It takes the next number, and writes id and number as SQL rows, the number as state and as a
key's value, and both as a chunk of a stream, without an ``await`` in between: so all five agree, whatever happens. An
effect whose id is there already is not done again, which is what an id is for: whoever was not answered asks again.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import Any

from edgeagents import Agent, AgentsMiddleware, callable
from edgeagents.http import Request
from edgeagents.objects import DurableObject, Limits

__all__ = ["HTTP_KINDS", "Ledger", "Timer", "make_app"]

HTTP_KINDS = ("now", "section", "pair", "queue", "later", "alarm")


class Ledger(Agent):
    """Keeps effects. ``kind`` says on which way one comes to be: at once, or by what wakes the agent later."""

    initial_state = {"n": 0, "id": ""}

    is_ready = False

    async def on_start(self, props: Any = None) -> None:
        self.sql("create table if not exists effects (id text primary key, n integer unique, kind text)")
        self.sql("create table if not exists wanted (id text primary key)")
        await asyncio.sleep(0.001)
        self.is_ready = True

    async def on_request(self, request: Request) -> Any:
        if request.method == "POST":
            asked = await request.json()
            return {"n": await self.ask(asked["kind"], asked["id"])}
        if "follow" in request.url:
            return self.streams.sse_response(request, "log")
        return await self.report()

    async def ask(self, kind: str, id: str) -> int | None:
        return await getattr(self, f"do_{kind}")(id)

    # Ways for an effect to come to be. What each returns, if anything, is the number that it promises.

    async def do_now(self, id: str) -> int:
        return self.take(id, "now")

    async def do_section(self, id: str) -> int:
        async def alone() -> int:
            n = self.state["n"]
            await asyncio.sleep(0.001)
            assert self.state["n"] == n, "another event ran within a critical section"
            return self.take(id, "section")

        return await self.ctx.block_concurrency_while(alone)

    async def do_pair(self, id: str) -> int:
        async def both(transaction: Any) -> None:
            await transaction.put(f"left:{id}", 1)
            await asyncio.sleep(0.001)
            await transaction.put(f"right:{id}", 1)

        await self.ctx.storage.transaction(both)
        return self.take(id, "pair")

    async def do_queue(self, id: str) -> None:
        await self.queue("work", {"id": id, "kind": "queue"}, id=id)

    async def do_later(self, id: str) -> None:
        await self.schedule(0.02, "work", {"id": id, "kind": "later"}, idempotent=True)

    async def do_alarm(self, id: str) -> None:
        self.sql("insert or ignore into wanted values (?)", id)
        await self.ctx.storage.set_alarm(timedelta(milliseconds=20))

    @callable()
    def rpc(self, id: str) -> int:
        return self.take(id, "rpc")

    def work(self, payload: dict[str, str]) -> None:
        self.take(payload["id"], payload["kind"])

    async def on_alarm(self) -> None:
        for row in self.sql("select id from wanted"):
            self.take(row["id"], "alarm")
            self.sql("delete from wanted where id = ?", row["id"])

    def take(self, id: str, kind: str) -> int:
        assert self.is_ready, "an event was let in before the start had ended"
        known = self.sql("select n from effects where id = ?", id)
        if known:
            return known[0]["n"]
        n = self.state["n"] + 1
        self.sql("insert into effects values (?, ?, ?)", id, n, kind)
        self.set_state({"n": n, "id": id})
        self.ctx.storage.kv.put("n", n)
        self.streams.open("log").append({"id": id, "n": n})
        return n

    async def report(self) -> dict[str, Any]:
        waiting = self.sql("select count(*) as n from wanted")[0]["n"]
        jobs = self.sql("select count(*) as n from sqlite_master where name = 'cf_agents_jobs'")[0]["n"]
        if jobs:
            waiting += self.sql("select count(*) as n from cf_agents_jobs where capability != 'agent'")[0]["n"]
        keys = self.ctx.storage.kv
        return {
            "waiting": waiting,
            "state": self.state["n"],
            "kv": keys.get("n") or 0,
            "effects": [[row["id"], row["n"]] for row in self.sql("select id, n from effects order by n")],
            "log": [[chunk["id"], chunk["n"]] for chunk in self.streams.kept("log")],
            "left": [key.partition(":")[2] for key, _ in keys.list(prefix="left:")],
            "right": [key.partition(":")[2] for key, _ in keys.list(prefix="right:")],
        }


class Timer(DurableObject):
    """Does what it was asked for when its alarm goes off. An object that is no agent, and has no jobs."""

    async def ask(self, id: str) -> None:
        if not self.ctx.storage.kv.get(f"done:{id}"):
            self.ctx.storage.kv.put(f"wanted:{id}", 1)
            await self.ctx.storage.set_alarm(timedelta(milliseconds=20))

    async def alarm(self) -> None:
        await asyncio.sleep(0.002)
        for key, _ in list(self.ctx.storage.kv.list(prefix="wanted:")):
            self.ctx.storage.kv.delete(key)
            self.ctx.storage.kv.put(key.replace("wanted", "done"), 1)

    async def report(self) -> dict[str, Any]:
        keys = [key.partition(":") for key, _ in self.ctx.storage.kv.list()]
        return {kind: [id for which, _, id in keys if which == kind] for kind in ("done", "wanted")}


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """The app around the agents: it has nothing."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})


def make_app(storage: str, **options: Any) -> AgentsMiddleware:
    """Return an app with the agent. Agents rest soon, so that they are woken and put to rest all the time."""
    durability: Any = os.environ.get("EDGEAGENTS_DURABILITY", "full")
    return AgentsMiddleware(
        nothing,
        agents=[Ledger],
        storage=storage,
        durability=durability,
        limits=Limits(idle_seconds=0.1),
        discover_plugins=False,
        **options,
    )
