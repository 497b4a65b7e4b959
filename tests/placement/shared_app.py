"""The app that several processes serve from one state folder."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from edgeagents import Agent, AgentsMiddleware, Request, Response
from edgeagents.hookspecs import hookimpl
from edgeagents.placement.shared_folder import SharedFolder

FOLDER = Path(os.environ["AGENTS_STORAGE"])


class Shared(Agent):
    initial_state = {"n": 0}

    async def on_request(self, request: Request) -> Any:
        do = request.path.rpartition("/")[2]
        if do == "add":
            self._add()
        elif do == "hold":
            # Whoever waits for this frame may stop the process while the handler sleeps.
            self.broadcast("holding")
            await asyncio.sleep(0.05)
            self._add()
        elif do == "tell":
            self.broadcast("told")
        elif do == "wake":
            await self.schedule(int(request.query["in"]), "woken")
        return Response.from_json({"n": self.state["n"], "pid": os.getpid()})

    def _add(self) -> None:
        self.sql("CREATE TABLE IF NOT EXISTS added (n INTEGER)")
        self.sql(f"INSERT INTO added VALUES ({self.state['n'] + 1})")
        self.set_state({"n": self.state["n"] + 1})

    async def woken(self) -> None:
        self._add()


class Placing:
    """Leases that end soon, so that a test need not wait long for a frozen process."""

    @hookimpl
    def placement(self) -> SharedFolder:
        return SharedFolder(FOLDER, lease_seconds=float(os.environ.get("LEASE_SECONDS", "2")))


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


app = AgentsMiddleware(
    plain, agents=[Shared], storage=FOLDER, durability="normal", plugins=[Placing()], discover_plugins=False
)
