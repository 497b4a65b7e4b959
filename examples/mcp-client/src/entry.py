"""An agent that uses MCP servers which its user names, and hands on to the user's browser what they ask.

A port of ``examples/mcp-client`` of the Agents SDK. The connections, the servers' tools and the OAuth flow are the
plugin's; here is what a page needs: methods to call, a question to answer, and a popup that closes itself.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

from edgeagents_mcp import McpClient, OAuthResult

from edgeagents import Agent, Env, Request, Response, WorkerEntrypoint, callable, route_agent_request

ANSWER_SECONDS = 5 * 60
CALL_SECONDS = ANSWER_SECONDS + 60
"""Servers of an older protocol ask within a call, so a call lasts longer than a user may take."""


class MyAgent(Agent[Env]):
    mcp: McpClient
    """What the plugin gives every agent."""

    async def on_start(self) -> None:
        # A question lives as long as the tool call that it belongs to, which ends when the agent leaves memory.
        self.questions: dict[str, asyncio.Future[Any]] = {}
        self.mcp.configure_elicitation_handlers(form=self.ask_browser, url=self.ask_browser, timeout=ANSWER_SECONDS)
        self.mcp.configure_oauth_callback(custom_handler=self.answer_popup)

    async def ask_browser(self, params: Any, server_id: str) -> Any:
        """Ask whoever looks, and return what one of them answers. The plugin stops waiting after five minutes."""
        id = str(uuid4())
        answer = self.questions[id] = asyncio.get_running_loop().create_future()
        asked = params.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            self.broadcast(json.dumps({"type": "mcp-elicitation", "id": id, "serverId": server_id, "params": asked}))
            return await answer
        finally:
            del self.questions[id]

    def answer_popup(self, result: OAuthResult) -> Response:
        """Answer the window in which the user authorized the agent."""
        if result.ok:
            return Response("<script>window.close();</script>", headers={"content-type": "text/html"})
        # Plain text: the words may be a stranger's.
        text = f"Authentication Failed: {result.error}"
        return Response(text, status=400, headers={"content-type": "text/plain"})

    @callable()
    async def respond_to_elicitation(self, id: str, result: dict[str, Any]) -> None:
        """Answer a question: ``{"action": "accept", "content": {...}}``, ``decline``, ``cancel``. The first counts."""
        question = self.questions.get(id)
        if question is not None and not question.done():
            question.set_result(result)

    @callable()
    async def add_server(self, name: str, url: str) -> None:
        await self.mcp.add_mcp_server(name, url, client={"read_timeout_seconds": CALL_SECONDS})

    @callable()
    async def disconnect_server(self, server_id: str) -> None:
        await self.mcp.remove_mcp_server(server_id)

    @callable()
    async def call_tool(self, server_id: str, name: str, args: dict[str, Any]) -> Any:
        result = await self.mcp.call_tool(server_id, name, args)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)


class Default(WorkerEntrypoint[Any]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/my-agent/<name>``, from pages of any origin."""
        return await route_agent_request(request, self.env, cors=True) or Response("Not found", status=404)
