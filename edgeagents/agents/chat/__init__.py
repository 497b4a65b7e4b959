"""Chat: a conversation that an agent keeps, and the frames in which a browser takes part in it.

| what | where |
|---|---|
| the class that users write | `agent` |
| what happens in which order | `chat` |
| a turn: when it may run, how it is answered | `turns`, `concurrency`, `answering`, `live_reply` |
| what a turn may answer with | `reply`, `model_reply`, `message_builder` |
| what is kept | `transcript`, `chunk_log`, `turn_records`, `request_context` |
| clients that come while a turn runs | `resume`, `audience` |
| what counts of what a client sends | `client_copy`, `reconcile`, `legacy` |
| tools that clients run, and decisions of people | `tool_answers`, `tool_state`, `continuation` |
| after the end of a server | `recovery`, `repair` |
| the wire | `protocol`; over plain HTTP `doors` |
"""

from __future__ import annotations

from edgeagents.agents.chat.agent import AIChatAgent
from edgeagents.agents.chat.client_tools import create_tools_from_client_schemas
from edgeagents.agents.chat.concurrency import Debounce
from edgeagents.agents.chat.recovery import RecoveryLimits
from edgeagents.agents.chat.turn_options import ChatOptions, ChatRecovery, ChatResponse, SaveResult

__all__ = [
    "AIChatAgent",
    "ChatOptions",
    "ChatRecovery",
    "ChatResponse",
    "Debounce",
    "RecoveryLimits",
    "SaveResult",
    "create_tools_from_client_schemas",
]
