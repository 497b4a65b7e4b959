"""The app whose server is killed: agents that pass on what a model says."""

from __future__ import annotations

import os

from edgeagents_openai import plugin

from edgeagents import AgentsMiddleware, AIChatAgent


class Bot(AIChatAgent):
    async def on_chat_message(self):
        return self.stream_text(model=f"openai.chat:{self.name}", prompt="Count.")


async def nothing(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body"})


app = AgentsMiddleware(
    nothing,
    agents=[Bot],
    storage=os.environ["AGENTS_STORAGE"],
    env=dict(os.environ),
    plugins=[plugin],
    discover_plugins=False,
    # What survives a SIGKILL; only a loss of power asks for more.
    durability="normal",
)
