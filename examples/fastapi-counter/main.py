"""Counters in a FastAPI app: one small server for each name, which remembers and tells everybody who watches."""

from __future__ import annotations

import os
from typing import TypedDict

from fastapi import FastAPI

from edgeagents import Agent, AgentsMiddleware, callable, get_agent_by_name


class State(TypedDict):
    n: int


class Counter(Agent[None, State]):
    initial_state: State = {"n": 0}

    @callable()
    async def add(self, by: int = 1) -> int:
        """Count on. Every connected client sees the new state."""
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]


app = FastAPI()
app.add_middleware(AgentsMiddleware, agents=[Counter], storage=os.environ.get("STATE", "state"))


@app.post("/bump/{name}")
async def bump(name: str, by: int = 1) -> dict[str, int]:
    """Count on from a route of the app: a call to the agent looks like any other call."""
    counter = await get_agent_by_name(Counter, name)
    return {"n": await counter.add(by)}


@app.get("/")
async def index() -> dict[str, str]:
    return {"hello": "from FastAPI"}
