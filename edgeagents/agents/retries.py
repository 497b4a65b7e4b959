"""Trying again: how often, and how long to wait before.

The wait is full jitter: anything from nothing to a bound that doubles with each attempt. Nothing here knows what is
tried, and time and chance are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from edgeagents.agents.hooks import room_of
from edgeagents.errors import AgentError
from edgeagents.objects.clock import Clock
from edgeagents.objects.records import record

if TYPE_CHECKING:
    from edgeagents.agents.capability import CapabilityHost

__all__ = ["DEFAULT_RETRY", "Retries", "RetryOptions", "ShouldRetry", "backoff_ms", "try_up_to"]

T = TypeVar("T")

ShouldRetry = Callable[[Exception, int], object]
"""Is told an error and the number of the attempt that would be next; nothing is tried again when it returns False."""


@record("retry options")
@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often something is tried, and how long to wait in between. What is None is as the agent's ``options`` say."""

    max_attempts: int | None = None
    """How often it is tried in all, the first time included."""
    base_delay_ms: float | None = None
    max_delay_ms: float | None = None

    @classmethod
    def of(cls, options: RetryOptions | Mapping[str, Any] | None) -> RetryOptions:
        """Return ``options`` as ``RetryOptions``. Raises ``AgentError`` for one that there is not."""
        if isinstance(options, RetryOptions):
            return options
        options = options or {}
        known = [field.name for field in fields(cls)]
        if unknown := options.keys() - set(known):
            raise AgentError(
                f"retry has {', '.join(map(repr, sorted(unknown)))}, which it does not know. It knows: "
                f"{', '.join(known)}."
            )
        return cls(**options)

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> RetryOptions | None:
        """Return what ``to_json`` was called on, or None for None."""
        if values is None:
            return None
        return cls(values.get("maxAttempts"), values.get("baseDelayMs"), values.get("maxDelayMs"))

    def to_json(self) -> dict[str, Any]:
        """Return the options as the TypeScript SDK keeps them."""
        named = {"maxAttempts": self.max_attempts, "baseDelayMs": self.base_delay_ms, "maxDelayMs": self.max_delay_ms}
        return {name: value for name, value in named.items() if value is not None}

    __json__ = to_json

    def over(self, defaults: RetryOptions) -> RetryOptions:
        """Return these options with ``defaults`` for what they leave open."""
        return RetryOptions(
            defaults.max_attempts if self.max_attempts is None else self.max_attempts,
            defaults.base_delay_ms if self.base_delay_ms is None else self.base_delay_ms,
            defaults.max_delay_ms if self.max_delay_ms is None else self.max_delay_ms,
        )

    def check(self, defaults: RetryOptions | None = None) -> None:
        """Raise ``AgentError`` for values that make no sense, on their own or with ``defaults``."""
        attempts = self.max_attempts
        if attempts is not None:
            if not math.isfinite(attempts) or attempts < 1:
                raise _refused("retry.maxAttempts must be >= 1")
            if attempts != int(attempts):
                raise _refused("retry.maxAttempts must be an integer")
        for name, value in (("baseDelayMs", self.base_delay_ms), ("maxDelayMs", self.max_delay_ms)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise _refused(f"retry.{name} must be > 0")
        whole = self if defaults is None else self.over(defaults)
        if (
            whole.base_delay_ms is not None
            and whole.max_delay_ms is not None
            and whole.base_delay_ms > whole.max_delay_ms
        ):
            raise _refused("retry.baseDelayMs must be <= retry.maxDelayMs")


def _refused(text: str) -> AgentError:
    # Clients read the text as the TypeScript SDK has it.
    error = AgentError(text)
    error.add_note("In Python the options are max_attempts, base_delay_ms and max_delay_ms.")
    return error


DEFAULT_RETRY = RetryOptions(3, 100, 3000)


def backoff_ms(attempt: int, options: RetryOptions, rng: Random) -> int:
    """Return how many milliseconds to wait after the failure of the given attempt, the first of which is 1."""
    whole = options.over(DEFAULT_RETRY)
    assert whole.base_delay_ms is not None
    assert whole.max_delay_ms is not None
    bound = min(2.0 ** min(attempt, 64) * whole.base_delay_ms, whole.max_delay_ms)
    return math.floor(rng.random() * bound)


async def try_up_to(
    call: Callable[[int], Awaitable[T]],
    options: RetryOptions,
    *,
    clock: Clock,
    rng: Random,
    should_retry: ShouldRetry | None = None,
) -> T:
    """Return what ``call`` returns, called with 1, 2, ... until it raises nothing.

    Raises what it raised last when all attempts failed, or when ``should_retry`` says no.
    """
    whole = options.over(DEFAULT_RETRY)
    whole.check()
    assert whole.max_attempts is not None
    attempt = 1
    while True:
        try:
            return await call(attempt)
        except Exception as error:
            following = attempt + 1
            if following > whole.max_attempts or (should_retry is not None and not should_retry(error, following)):
                raise
        await clock.sleep(backoff_ms(attempt, whole, rng) / 1000)
        attempt = following


class Retries:
    """What an agent tries again."""

    def __init__(self, host: CapabilityHost) -> None:
        self._ctx, self._defaults = host.ctx, host.options.retry_defaults

    async def retry(
        self,
        fn: Callable[[int], Awaitable[T] | T] | Callable[[], Awaitable[T] | T],
        options: RetryOptions | Mapping[str, Any] | None = None,
        *,
        should_retry: ShouldRetry | None = None,
    ) -> T:
        """Return what ``fn`` returns, called again when it raises: three times in all unless options say otherwise.

        It gets the number of the attempt, from 1, if it takes an argument. ``options`` are ``RetryOptions``, or a dict
        such as ``{"max_attempts": 5, "base_delay_ms": 100, "max_delay_ms": 3000}``. The waits between are random and
        grow.
        Raises what it raised last, at once when ``should_retry(error, next_attempt)`` returns False.
        """
        given = RetryOptions.of(options)
        given.check(self._defaults)
        room = room_of(fn)

        async def attempt(number: int) -> T:
            return await self._ctx.invoke(fn, *(number,)[:room])

        whole = given.over(self._defaults)
        return await try_up_to(attempt, whole, clock=self._ctx.clock, rng=self._ctx.rng, should_retry=should_retry)
