"""Providers: who answers for a model, and what it is asked.

A provider is one object with a name and a ``stream`` method. It comes to a runtime through the hook
``register_model_providers`` and is found by the part of a model's name before the colon: ``"openai:gpt-4o"`` is the
model ``gpt-4o`` of the provider ``openai``.

A provider does not run tools, does not count steps and does not know agents: ``stream_text`` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from edgeagents.http import AbortSignal
from edgeagents.models.messages import Message
from edgeagents.models.parts import Json, Part

__all__ = [
    "Continues",
    "ModelHandle",
    "ModelProvider",
    "ModelRequest",
    "NeedsSetup",
    "ToolChoice",
    "ToolDefinition",
]

ToolChoice: TypeAlias = Literal["auto", "none", "required"] | Mapping[str, str]
"""``"auto"``, ``"none"``, ``"required"``, or ``{"type": "tool", "tool_name": ...}`` for one tool."""


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as a model is told of it."""

    name: str
    description: str
    input_schema: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call of a model.

    ``prefix`` is what the model said already in this answer, before the call was interrupted: a provider that
    is ``Continues`` goes on after it and does not repeat it. It is empty in every other call.
    ``stands_in_for`` is the full name of the model that was asked for, when another answers in its place.
    ``provider_options`` are those under the provider's own name.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice = "auto"
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    provider_options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    prefix: str = ""
    stands_in_for: str | None = None


class ModelProvider(Protocol):
    """Answers for the models of one vendor, server or idea."""

    @property
    def name(self) -> str:
        """The part of a model's name before the colon."""
        ...

    def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        """Call the model and yield what it says: text, reasoning, tool calls, sources, files, then ``FinishStep``.

        Must end with ``FinishStep`` or raise ``ModelError``. Raise it too when the answer breaks off, so that half
        an answer is not taken for a whole one. When the iterator is closed or cancelled, or ``signal`` fires, the
        call must be closed. ``env`` is the worker's: read keys from it before ``os.environ``.
        A tool call's input is read with ``edgeagents.models.tool_call``.
        """
        ...


@runtime_checkable
class NeedsSetup(Protocol):
    """A provider that cannot answer before something is configured."""

    def missing(self, env: Mapping[str, Any]) -> str | None:
        """Return a sentence that says what to set, or None when the provider can answer."""
        ...


@runtime_checkable
class Continues(Protocol):
    """A provider that can go on after ``ModelRequest.prefix``: an answer then survives a lost connection to the model,
    and a restart of the server."""

    @property
    def continues(self) -> bool:
        """Whether ``stream`` goes on after ``ModelRequest.prefix``."""
        ...


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A model together with the provider that answers for it, as ``create_openai(...)("gpt-4o")`` returns.

    ``is_reopenable`` says that its name alone, with the worker's ``env``, finds the same model again. A turn of an
    agent with a model that is not cannot go on after a restart.
    """

    provider: ModelProvider
    model: str
    is_reopenable: bool = True

    @property
    def name(self) -> str:
        """The model's full name, such as ``openai:gpt-4o``."""
        return f"{self.provider.name}:{self.model}"
