"""Trying again: how often, how long the waits are, and what stops it."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagents.agents import Agent, RetryOptions, get_agent_by_name
from edgeagents.agents.retries import DEFAULT_RETRY, backoff_ms
from edgeagents.errors import AgentError
from edgeagents.testing import ManualClock, agent_runtime

pytestmark = pytest.mark.cloudflare("Background work", "`retry` and its figures", "same")


class Caller(Agent):
    attempts: list[Any] = []

    async def call(self, options: Any = None, unless: str | None = None) -> str:
        async def fn(attempt: int) -> str:
            self.attempts.append(attempt)
            raise ValueError(f"attempt {attempt}")

        def should_retry(error: Exception, following: int) -> bool:
            self.attempts.append(f"{error}, next {following}")
            return str(error) != unless

        return await self.retry(fn, options, should_retry=should_retry if unless else None)

    async def succeed(self) -> Any:
        async def fn(attempt: int) -> int:
            if attempt < 3:
                raise ValueError("not yet")
            return attempt

        return [await self.retry(fn), await self.retry(lambda: "sync"), await self.retry(self.without_argument)]

    async def without_argument(self) -> str:
        return "no argument"


@pytest.fixture
async def clock() -> ManualClock:
    Caller.attempts = []
    return ManualClock()


async def run(clock: ManualClock, method: str, *args: Any) -> Any:
    """Call a method while the clock goes on."""
    import asyncio

    async with agent_runtime(Caller, clock=clock) as runtime:
        caller: Any = await get_agent_by_name(runtime.namespaces["Caller"], "x")
        task = asyncio.ensure_future(getattr(caller, method)(*args))
        while not task.done():
            await clock.advance(1)
        return task.result()


async def test_what_fails_is_tried_three_times(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="attempt 3"):
        await run(clock, "call")
    assert Caller.attempts == [1, 2, 3]


async def test_what_succeeds_is_returned_sync_or_async_with_or_without_the_attempt(clock: ManualClock) -> None:
    assert await run(clock, "succeed") == [3, "sync", "no argument"]


async def test_should_retry_stops_it(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="attempt 2"):
        await run(clock, "call", {"max_attempts": 5}, "attempt 2")
    assert Caller.attempts == [1, "attempt 1, next 2", 2, "attempt 2, next 3"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_attempts": 0}, "retry.maxAttempts must be >= 1"),
        ({"max_attempts": float("inf")}, "retry.maxAttempts must be >= 1"),
        ({"max_attempts": 2.5}, "retry.maxAttempts must be an integer"),
        ({"base_delay_ms": 0}, "retry.baseDelayMs must be > 0"),
        ({"max_delay_ms": -1}, "retry.maxDelayMs must be > 0"),
        ({"base_delay_ms": 10, "max_delay_ms": 5}, "retry.baseDelayMs must be <= retry.maxDelayMs"),
        ({"base_delay_ms": 5000}, "retry.baseDelayMs must be <= retry.maxDelayMs"),
    ],
)
async def test_options_that_make_no_sense_are_told_before_anything_is_called(
    clock: ManualClock, options: dict[str, Any], error: str
) -> None:
    with pytest.raises(AgentError) as raised:
        RetryOptions(**options).check(DEFAULT_RETRY)
    assert str(raised.value) == error
    with pytest.raises(Exception, match="retry"):
        await run(clock, "call", options)
    assert Caller.attempts == []


@given(st.integers(1, 200), st.integers(1, 5000), st.integers(0, 60_000), st.randoms(use_true_random=False))
def test_the_wait_is_random_below_a_bound_that_doubles(attempt: int, base: int, more: int, rng: Random) -> None:
    options = RetryOptions(3, base, base + more)
    wait = backoff_ms(attempt, options, rng)
    assert 0 <= wait < min(2**attempt * base, base + more)


def test_the_wait_is_that_of_the_typescript_sdk() -> None:
    class Half(Random):
        def random(self) -> float:
            return 0.5

    assert [backoff_ms(attempt, DEFAULT_RETRY, Half()) for attempt in range(1, 7)] == [100, 200, 400, 800, 1500, 1500]
