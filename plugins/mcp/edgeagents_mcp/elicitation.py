"""Elicitation: servers that ask an agent's user something, and the agent's handlers that answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from edgeagents_mcp.errors import McpServerError
from edgeagents_mcp.waiting import within

if TYPE_CHECKING:
    from edgeagents.agents import CapabilityHost
    from edgeagents_mcp.server_table import ServerTable

__all__ = ["ANSWER_SECONDS", "Elicitation", "ElicitationHandler"]

ElicitationHandler = Callable[..., Any]
"""Gets the request's parameters and the server's id; sync or async. Returns the official ``ElicitResult`` or a dict."""

ANSWER_SECONDS: Final = 60.0


class Elicitation:
    """The handlers of one agent, by mode: ``form`` and ``url``. They are in memory only."""

    def __init__(self, host: CapabilityHost, table: ServerTable) -> None:
        self._host, self._table = host, table
        self._handlers: dict[str, ElicitationHandler] = {}
        self._timeout: float | None = ANSWER_SECONDS

    @property
    def capabilities(self) -> dict[str, Any] | None:
        """What servers are told that they may ask; kept with each, for when it is connected to before a handler is."""
        return {"elicitation": {mode: {} for mode in self._handlers}} if self._handlers else None

    def configure(self, form: ElicitationHandler | None, url: ElicitationHandler | None, timeout: float | None) -> None:
        """Replace the handlers, and how many seconds they have."""
        self._timeout = timeout
        self._handlers = {mode: handler for mode, handler in (("form", form), ("url", url)) if handler is not None}
        for row in self._table.rows.values():
            if row.options.get("capabilities") != self.capabilities:
                row.options["capabilities"] = self.capabilities
                self._table.save(row)

    async def ask(self, server_id: str, params: Any) -> Any:
        """Answer a server. Raises ``McpServerError`` without a handler."""
        from mcp_types import ElicitResult

        mode = "url" if getattr(params, "mode", "form") == "url" else "form"
        handler = self._handlers.get(mode)
        if handler is None:
            raise McpServerError(f"No MCP {mode}-mode elicitation handler configured for this connection.", server_id)
        ctx = self._host.ctx

        async def answer() -> Any:
            with self._host.acting():
                return await ctx.invoke(handler, params, server_id)

        try:
            found = await (answer() if self._timeout is None else within(ctx.clock, self._timeout, answer()))
        except TimeoutError:
            return ElicitResult(action="cancel")
        return found if isinstance(found, ElicitResult) else ElicitResult.model_validate(found)
