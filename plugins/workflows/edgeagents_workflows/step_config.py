"""How a step is tried: its retries, the pauses between them, and how long one attempt may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NotRequired, TypeAlias, TypedDict

from edgeagents_workflows.durations import Duration, milliseconds
from edgeagents_workflows.errors import WorkflowFatalError

__all__ = ["Backoff", "Retries", "StepConfig", "StepPlan", "check_step_name"]

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]

_NAME_CHARACTERS: Final = 256
_BACKOFFS: Final = ("constant", "linear", "exponential")


class Retries(TypedDict):
    """``limit`` is how often a step is tried again, ``delay`` the first pause, ``backoff`` how the pauses grow."""

    limit: int
    delay: Duration
    backoff: NotRequired[Backoff]


class StepConfig(TypedDict, total=False):
    """How a step is tried. ``timeout`` is for one attempt."""

    retries: Retries
    timeout: Duration


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step's configuration, complete and in numbers. It is kept with the step: a replay uses what the start used."""

    limit: int = 5
    delay_ms: int = 10_000
    backoff: Backoff = "exponential"
    timeout_ms: int = 600_000

    @classmethod
    def of(cls, name: str, config: StepConfig | Mapping[str, Any] | None) -> StepPlan:
        """Return the plan that ``config`` asks for. Raises ``WorkflowFatalError`` when it cannot be read."""
        try:
            return _plan(config or {})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # The beginning is Cloudflare's text.
            raise WorkflowFatalError(
                f'Step config for "{name}" is in a invalid format. {error} It is like '
                '{"retries": {"limit": 5, "delay": "10 seconds", "backoff": "exponential"}, "timeout": "10 minutes"}.'
            ) from error

    def delay_after(self, attempt: int) -> int:
        """Return the milliseconds between a failed attempt (the first one is 1) and the next."""
        match self.backoff:
            case "constant":
                return self.delay_ms
            case "linear":
                return self.delay_ms * attempt
            case "exponential":
                return self.delay_ms * 2 ** (attempt - 1)

    def as_config(self) -> dict[str, Any]:
        """Return the plan as a configuration, lengths of time in milliseconds."""
        retries = {"limit": self.limit, "delay": self.delay_ms, "backoff": self.backoff}
        return {"retries": retries, "timeout": self.timeout_ms}


def _plan(config: Mapping[str, Any]) -> StepPlan:
    default = StepPlan()
    _know(config, {"retries", "timeout"}, "A step's config")
    retries: Mapping[str, Any] = config.get("retries") or {}
    _know(retries, {"limit", "delay", "backoff"}, "retries")
    limit = retries.get("limit", default.limit)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
        raise ValueError(f"retries.limit is {limit!r}, not a number of attempts.")
    backoff = retries.get("backoff", default.backoff)
    if backoff not in _BACKOFFS:
        raise ValueError(f"retries.backoff is {backoff!r}, not one of {', '.join(_BACKOFFS)}.")
    timeout_ms = milliseconds(config.get("timeout", default.timeout_ms))
    if timeout_ms == 0:
        raise ValueError("timeout is 0.")
    return StepPlan(
        int(limit),
        milliseconds(retries.get("delay", default.delay_ms)),
        backoff,
        timeout_ms,
    )


def _know(config: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := config.keys() - known:
        raise ValueError(f"{what} has {', '.join(map(repr, sorted(unknown)))}, which there is not.")


def check_step_name(name: str) -> None:
    """Raise ``WorkflowFatalError`` for what cannot be the name of a step."""
    if not isinstance(name, str) or len(name) > _NAME_CHARACTERS or any(ord(character) < 0x20 for character in name):
        raise WorkflowFatalError(
            f'Step name "{name}" exceeds max length ({_NAME_CHARACTERS} chars) or invalid characters found'
        )
