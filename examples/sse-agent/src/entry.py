"""An agent that answers with a stream, which a client may leave and come back to.

A port of the documentation page "HTTP and Server-Sent Events" of the Agents SDK. ``MyAgent`` writes what the model
says down before it sends it, so a client that lost its connection asks the same agent for the rest: there is no
session store.
"""

from __future__ import annotations

from typing import Any, Protocol, TypedDict

from edgeagents import (
    Agent,
    AgentNamespace,
    Connection,
    Request,
    Response,
    WorkerEntrypoint,
    get_agent_by_name,
    route_agent_request,
)

SUBPROTOCOLS = ("shout.v1", "plain.v1")


class Env(Protocol):
    """What ``wrangler.jsonc`` and the secrets put into ``env``."""

    MyAgent: AgentNamespace[MyAgent]
    OPENAI_API_KEY: str


class State(TypedDict):
    """What every client of an agent sees."""

    prompts: int


class MyAgent(Agent[Env, State]):
    initial_state: State = {"prompts": 0}

    async def on_request(self, request: Request) -> Response:
        """Answer a prompt with a stream of text; a GET with the rest of the latest one."""
        # Test it via:
        # curl -N -d '{"prompt": "Write me a Cloudflare Worker"}' <url>
        if request.method == "GET":
            return self.resume_stream(request)
        data = await request.json()
        if not isinstance(data, dict) or not isinstance(data.get("prompt"), str):
            return Response('Send a prompt: {"prompt": "..."}', status=400)
        self.set_state({"prompts": self.state["prompts"] + 1})
        request.signal.add_listener(lambda: self.ctx.logger.info("The client left; %r goes on.", self.name))
        stream = await self.call_ai_model(data["prompt"])
        return stream.to_text_stream_response(
            headers={
                "content-type": "text/x-unknown",
                "content-encoding": "identity",
                # The server decides how it transfers a body; this one is dropped, with a line in the debug log.
                "transfer-encoding": "chunked",
            }
        )

    async def call_ai_model(self, prompt: str) -> Any:
        """Ask the model. Its key is ``self.env.OPENAI_API_KEY``; without one the offline model answers."""
        return self.stream_text(model="openai:gpt-4o", prompt=prompt)

    # The same agent over a WebSocket.

    def select_subprotocol(self, offered: list[str], request: Request) -> str | None:
        """Speak the first of our protocols that the client offers."""
        return next((name for name in SUBPROTOCOLS if name in offered), None)

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        """Answer a ping, a prompt, and send bytes back as they came."""
        if isinstance(message, bytes):
            connection.send(message)
        elif message == "ping":
            connection.send("pong")
        else:
            stream = await self.call_ai_model(message)
            async for text in stream.text_stream:
                connection.send(text.upper() if connection.protocol == "shout.v1" else text)
            connection.send("")


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/my-agent/<id>`` and ``/?agent-id=<id>``: both reach the agent of that id."""
        routed = await route_agent_request(request, self.env)
        if routed is not None:
            return routed
        agent = await get_agent_by_name(self.env.MyAgent, request.query.get("agent-id", ""))
        return await agent.fetch(request)
