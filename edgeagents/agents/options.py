"""Choices that hold for all agents of a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from edgeagents.agents.retries import DEFAULT_RETRY, RetryOptions
from edgeagents.errors import AgentError, ConfigError
from edgeagents.objects.budget import Budget

__all__ = ["AgentOptions"]


@dataclass(frozen=True)
class AgentOptions:
    """Choices that hold for all agents of a class: its attribute ``options``, an ``AgentOptions`` or a dict.

    The defaults are those of the TypeScript SDK's ``static options``.
    """

    send_identity_on_connect: bool = True
    """Tell clients the agent's name and class. Without it ``ready`` never resolves in the official clients."""

    retry: RetryOptions | Mapping[str, Any] = DEFAULT_RETRY
    """How often ``retry()``, schedules and queued tasks are tried that do not say so themselves."""

    hung_schedule_timeout_seconds: int = 30
    """How long a schedule may run before it is told that it holds up the agent's other jobs."""

    keep_alive_interval_ms: int = 30_000
    """How soon an agent that is kept alive wakes again when the process ends."""

    fiber_recovery_scan_deadline_ms: int = 10_000
    """How long handlers of interrupted fibers may take in all when the agent starts. The others are called later."""

    fiber_recovery_max_age_ms: int = 24 * 60 * 60 * 1000
    """How old a fiber may be whose recovery fails again and again before it is given up. 0: never."""

    fiber_recovery_hook_timeout_ms: int = 10_000
    """How long the TypeScript SDK's own recovery of a chat may take. Here a chat is no fiber: this changes nothing."""

    max_alarm_memory_limit_strikes: int = 3
    """How often jobs of a recovery loop may end the process before they are given up."""

    budget: Budget | None = None
    """How much each agent may spend on models. None: what the runtime's ``Limits`` say."""

    @classmethod
    def of(cls, options: AgentOptions | Mapping[str, Any], class_name: str) -> AgentOptions:
        """Return ``options`` as ``AgentOptions``. Raises ``ConfigError`` for one that there is not."""
        if isinstance(options, AgentOptions):
            return options._checked(class_name)
        known = {field.name for field in fields(cls)}
        if unknown := options.keys() - known:
            raise ConfigError(
                f"{class_name}.options has {', '.join(map(repr, sorted(unknown)))}, which agents do not know. "
                f"They know: {', '.join(sorted(known))}."
            )
        return cls(**options)._checked(class_name)

    def _checked(self, class_name: str) -> AgentOptions:
        try:
            retry = RetryOptions.of(self.retry).over(DEFAULT_RETRY)
            retry.check()
        except AgentError as error:
            raise ConfigError(f"{class_name}.options: {error}") from error
        return replace(self, retry=retry)

    @cached_property
    def retry_defaults(self) -> RetryOptions:
        """``retry`` with nothing left open."""
        return RetryOptions.of(self.retry).over(DEFAULT_RETRY)
