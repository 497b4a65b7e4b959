"""What an agent's chat handlers are told: of the turn that they answer, and of one that has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from edgeagents.agents.chat.ui import Part, UIMessage
from edgeagents.http import AbortController, AbortSignal
from edgeagents.objects.records import record

__all__ = ["ChatOptions", "ChatRecovery", "ChatResponse", "SaveResult"]


def _never_aborted() -> AbortSignal:
    return AbortController().signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """The turn that ``on_chat_message`` answers.

    ``abort_signal`` fires when a client stops the turn: give it to whatever works for the reply. ``body`` has the
    fields that the client sent besides messages, ``client_tools`` the schemas of the tools that it answers itself.
    With ``continuation`` the reply goes on with the last message of the assistant.
    """

    request_id: str
    abort_signal: AbortSignal = field(default_factory=_never_aborted)
    body: dict[str, Any] | None = None
    client_tools: list[dict[str, Any]] | None = None
    continuation: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResponse:
    """How a turn ended, for ``on_chat_response``. ``message`` is what the assistant said."""

    message: UIMessage
    request_id: str
    continuation: bool
    status: Literal["completed", "error", "aborted"]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRecovery:
    """A turn that was interrupted, for ``on_chat_recovery``.

    It will be asked for again from the start (``"retry"``) or from where it stopped (``"continue"``). ``attempt``
    counts from 1.
    """

    request_id: str
    kind: Literal["retry", "continue"]
    attempt: int
    max_attempts: int
    partial_text: str
    partial_parts: list[Part]
    messages: list[UIMessage]
    body: dict[str, Any] | None
    client_tools: list[dict[str, Any]] | None


@record("save result")
@dataclass(frozen=True, slots=True)
class SaveResult:
    """How a turn ended that the agent itself asked for."""

    request_id: str
    status: Literal["completed", "error", "skipped", "aborted"]
    error: str | None = None

    def __json__(self) -> dict[str, str]:
        shown: dict[str, str] = {"requestId": self.request_id, "status": self.status}
        return shown if self.error is None else {**shown, "error": self.error}
