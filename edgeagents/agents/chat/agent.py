"""AIChatAgent: an agent that holds a conversation. Users write what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from typing_extensions import TypeVar

from edgeagents.agents.agent import Agent
from edgeagents.agents.chat.chat import Chat, Messages
from edgeagents.agents.chat.concurrency import MessageConcurrency
from edgeagents.agents.chat.defaults import default
from edgeagents.agents.chat.recovery import RecoveryLimits
from edgeagents.agents.chat.repair import interrupted_part
from edgeagents.agents.chat.transcript import HYDRATION_BYTES
from edgeagents.agents.chat.turn_options import ChatOptions, ChatRecovery, ChatResponse, SaveResult
from edgeagents.agents.chat.ui import Part, UIMessage
from edgeagents.agents.hooks import handler
from edgeagents.errors import AgentError
from edgeagents.http import AbortSignal

__all__ = ["AIChatAgent"]

EnvT = TypeVar("EnvT", default=Any)
StateT = TypeVar("StateT", default=Any)


class AIChatAgent(Agent[EnvT, StateT]):
    """An agent that keeps a conversation and answers it, for browsers with ``useAgentChat``.

    Override ``on_chat_message``. The conversation is ``messages``; it is kept, sent to all clients, and there again
    after a restart. A turn belongs to the agent: it goes on when the client that asked for it has gone, and clients
    that come back get what they missed.
    """

    capability_types = (Chat,)

    message_concurrency: ClassVar[MessageConcurrency | Mapping[str, Any]] = "queue"
    """What becomes of a message that is sent while a turn runs: ``"queue"``, ``"latest"``, ``"merge"``, ``"drop"`` or
    ``Debounce(...)``."""

    max_persisted_messages: int | None = None
    """How many messages are kept. The oldest go first. None: all."""

    hydration_byte_budget: int = HYDRATION_BYTES
    """How many bytes of messages are held in memory after waking. Older ones stay in the database."""

    chat_recovery: ClassVar[bool | RecoveryLimits] = True
    """Whether turns that the end of the server has cut are taken up again, and how often."""

    chat_stream_stall_timeout_ms: float = 0
    """How long a reply may be silent before its turn is taken up anew. 0: for ever."""

    wait_for_mcp_connections: bool | Mapping[str, Any] = True
    """Whether a turn waits for MCP servers that are being connected to: ``{"timeout": milliseconds}``, or 10 s."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if Chat not in cls.capability_types:
            cls.capability_types = (Chat, *cls.capability_types)
        super().__init_subclass__(**kwargs)

    # What users override

    @handler
    def on_chat_message(self, on_finish: Any = None, options: ChatOptions | None = None) -> Any:
        """Return the reply to the conversation in ``self.messages``, whose last message is the user's.

        A ``Response``, what ``stream_text`` returned, text, or a generator of text, UI message chunks or a model's
        parts; None when there is nothing to say. Trailing parameters may be left out.
        """
        raise AgentError(
            "received a chat message, override on_chat_message and return a Response to send to the client"
        )

    @handler
    @default
    def on_chat_response(self, response: ChatResponse) -> Any:
        """Called after each turn, when its message is kept. It may ask for another turn with ``save_messages``."""

    @handler
    @default
    def on_chat_recovery(self, recovery: ChatRecovery) -> Any:
        """Called before an interrupted turn is taken up.

        Return ``{"persist": False}`` to forget what it said so far, ``{"continue": False}`` to leave it at that.
        """

    @default
    def sanitize_message_for_persistence(self, message: UIMessage) -> UIMessage:
        """Return the form in which a message is kept. Called often, and always at once: never ``async``."""
        return message

    def repair_interrupted_tool_part(self, part: Part) -> Part:
        """Return what stands in the conversation for a call that will never be answered: by default, that it failed."""
        return interrupted_part(part)

    # What users call

    @property
    def messages(self) -> list[UIMessage]:
        """The conversation, the oldest message first. Change it with ``save_messages`` or ``persist_messages``."""
        return self.__chat.messages

    async def save_messages(self, messages: Messages, *, signal: AbortSignal | None = None) -> SaveResult:
        """Keep messages and answer them in a turn that no client asked for. Returns when the turn has ended.

        ``messages`` is a list, or a function that is given the conversation when the turn's time has come and returns
        one. Do not await it within a turn: it would wait for itself.
        """
        return await self.__chat.save_messages(messages, signal=signal)

    async def persist_messages(
        self, messages: Sequence[UIMessage], exclude_ids: Sequence[str] = (), *, delete_stale: bool = False
    ) -> None:
        """Keep messages and tell all clients except those with an id in ``exclude_ids``. No turn follows.

        Messages that are not named stay; with ``delete_stale`` they go, if all that are named were kept before.
        """
        await self.__chat.persist_messages(messages, exclude_ids, delete_stale=delete_stale)

    async def continue_last_turn(
        self, body: dict[str, Any] | None = None, *, signal: AbortSignal | None = None
    ) -> SaveResult:
        """Let the assistant go on with its last message. ``body`` is by default that of the last request."""
        return await self.__chat.continue_last_turn(body, signal=signal)

    async def wait_until_stable(self, timeout: float | None = None) -> bool:
        """Return True when no turn runs or waits and no call waits for a client; False after ``timeout`` seconds."""
        return await self.__chat.wait_until_stable(timeout)

    def has_pending_interaction(self) -> bool:
        """Whether a call of a tool waits for a client's answer or decision."""
        return self.__chat.has_pending_interaction()

    def reset_turn_state(self) -> None:
        """Stop the turn that runs, and give up those that wait."""
        self.__chat.reset_turn_state()

    def abort_request(self, request_id: str, reason: str | None = None) -> None:
        """Stop the turn of a request. What was said so far is kept."""
        self.__chat.abort_request(request_id, reason)

    def abort_all_requests(self, reason: str | None = None) -> None:
        """Stop all turns that run or wait."""
        self.__chat.abort_all_requests(reason)

    @property
    def __chat(self) -> Chat:
        return self.capability(Chat)
