"""What becomes of a message that is sent while another turn runs or waits: ``message_concurrency``.

* ``"queue"``: its turn comes when those before it have ended.
* ``"latest"``: of the turns that wait only the newest runs.
* ``"merge"``: as ``"latest"``, and the messages of the others become part of its own.
* ``"drop"``: it is refused.
* ``Debounce``: as ``"latest"``, when nothing was sent for a while.

Only messages that a client submits are treated so. Nothing here waits or sends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from edgeagents.agents.chat.ui import Part, UIMessage
from edgeagents.errors import ConfigError

__all__ = ["Admission", "Debounce", "MessageConcurrency", "SubmitPolicy", "merge_user_messages", "read_concurrency"]


@dataclass(frozen=True, slots=True)
class Debounce:
    """Wait until nothing was sent for ``debounce_ms`` before the newest message is answered."""

    debounce_ms: float = 750


MessageConcurrency: TypeAlias = Literal["queue", "latest", "merge", "drop"] | Debounce


def read_concurrency(value: object) -> MessageConcurrency:
    """Return what the attribute ``message_concurrency`` says. Raises ``ConfigError`` when it says nothing known."""
    if isinstance(value, Debounce) or value in ("queue", "latest", "merge", "drop"):
        return value
    if value == "debounce":
        return Debounce()
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
        wait = given.get("debounce_ms", given.get("debounceMs", Debounce.debounce_ms))
        if given.get("strategy") == "debounce" and isinstance(wait, int | float) and wait >= 0:
            return Debounce(wait)
    raise ConfigError(
        f"message_concurrency is {value!r}. It is 'queue', 'latest', 'merge', 'drop' or Debounce(debounce_ms=...)."
    )


@dataclass(frozen=True, slots=True)
class Admission:
    """How a message was let in. ``number`` counts those that came while the agent was busy, where that matters.

    ``ready_at`` is the time, as the clock's ``monotonic`` has it, before which it must not be answered.
    """

    is_dropped: bool = False
    merges: bool = False
    number: int | None = None
    ready_at: float = 0.0


class SubmitPolicy:
    """Lets messages in. Remembers which is the newest."""

    def __init__(self) -> None:
        self._newest = 0

    def admit(self, concurrency: MessageConcurrency, *, is_busy: bool, now: float) -> Admission:
        """Return what becomes of a message that a client submits at ``now``."""
        if not is_busy or concurrency == "queue":
            return Admission()
        if concurrency == "drop":
            return Admission(is_dropped=True)
        self._newest += 1
        ready_at = now + concurrency.debounce_ms / 1000 if isinstance(concurrency, Debounce) else 0.0
        return Admission(merges=concurrency == "merge", number=self._newest, ready_at=ready_at)

    def is_superseded(self, admission: Admission) -> bool:
        """Whether a newer message came since, which is answered instead."""
        return admission.number is not None and admission.number < self._newest


def merge_user_messages(messages: Sequence[UIMessage]) -> UIMessage:
    """Return one message that says what ``messages`` say, with an empty line between them, under the last one's id."""
    parts: list[Part] = []
    for number, message in enumerate(messages):
        if number:
            _append_text(parts, "\n\n")
        for part in message["parts"]:
            if part["type"] == "text":
                # Of a client's part not even this is known.
                text: Any = part.get("text")
                _append_text(parts, text if isinstance(text, str) else "")
            else:
                parts.append(part)
    return {**messages[-1], "parts": parts}


def _append_text(parts: list[Part], text: str) -> None:
    if parts and parts[-1]["type"] == "text":
        parts[-1] = {**parts[-1], "text": parts[-1]["text"] + text}
    elif text:
        parts.append({"type": "text", "text": text})
