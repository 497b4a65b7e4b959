"""Steps: run once, tried again, kept, and what may be kept."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from edgeagents_workflows import (
    NonRetryableError,
    WorkflowEntrypoint,
    WorkflowFatalError,
    WorkflowTimeoutError,
)
from edgeagents_workflows.step_config import StepPlan
from edgeagents_workflows.testing import reached, workflow_runtime

from edgeagents.errors import RemoteError
from edgeagents.testing import ManualClock, settle

NOW = {"retries": {"limit": 2, "delay": 0}}

pytestmark = [
    pytest.mark.cloudflare(
        "Workflows",
        "`step.do`: results, names and counters, retries, backoff, timeout, limits",
        "same; the first pause between attempts is 10 s, as deployed, where the local engine of wrangler has 1 s",
    ),
    pytest.mark.cloudflare(
        "Workflows",
        "`@step.do` of the Python SDK, with `depends`, `concurrent` and parameters named after steps",
        "same",
    ),
    pytest.mark.cloudflare(
        "Workflows",
        "errors that a step ends with",
        "different: an error of the program's own reaches `run` as a `RemoteError` with its "
        "name, in the first run and in every replay; one that is not to be retried is kept too, and keeps its message",
    ),
]


def workflow(run, **attributes):
    """Make a workflow of one function."""
    return type("Flow", (WorkflowEntrypoint,), {"run": run, **attributes})


async def outcome(run, params=None, **attributes):
    """Run a workflow to its end and return its status."""
    async with workflow_runtime(workflow(run, **attributes)) as runtime:
        instance = await runtime.env.Flow.create(params=params)
        return await reached(instance, "complete", "errored")


async def output(run, params=None, **attributes):
    status = await outcome(run, params, **attributes)
    assert status["error"] is None, status
    return status["output"]


async def error(run, params=None, **attributes):
    status = await outcome(run, params, **attributes)
    assert status["status"] == "errored"
    return status["error"]


async def test_a_step_gives_what_its_function_returns():
    async def run(self, event, step):
        async def double():
            return event.payload["n"] * 2

        return await step.do("double", double)

    assert await output(run, {"n": 21}) == 42


async def test_a_function_that_is_not_async_runs_in_a_thread():
    import threading

    async def run(self, event, step):
        return await step.do("where", lambda: threading.current_thread() is threading.main_thread())

    assert await output(run) is False


async def test_a_function_that_only_returns_a_coroutine_is_awaited():
    async def fetch():
        return "fetched"

    async def run(self, event, step):
        return await step.do("fetch", lambda: fetch())

    assert await output(run) == "fetched"


async def test_a_function_that_takes_an_argument_is_told_which_step_and_attempt_it_is():
    async def run(self, event, step):
        async def fail_once(ctx):
            if ctx.attempt == 1:
                raise ValueError("once")
            return [
                ctx.name,
                ctx.count,
                ctx.attempt,
                ctx.config["retries"]["limit"],
                ctx.config["timeout"],
            ]

        await step.do("x", NOW, fail_once)
        return await step.do("x", {**NOW, "timeout": "1 minute"}, fail_once)

    assert await output(run) == ["x", 2, 2, 2, 60_000]


async def test_an_argument_with_a_default_is_the_function_s_own():
    async def run(self, event, step):
        return [await step.do(f"item {item}", lambda item=item: item) for item in range(3)]

    assert await output(run) == [0, 1, 2]


async def test_what_a_step_returned_is_a_copy_from_the_journal():
    kept = {"list": [1]}

    async def run(self, event, step):
        async def give():
            return kept

        got = await step.do("give", give)
        return [got == kept, got is kept]

    assert await output(run) == [True, False]


async def test_a_step_may_return_everything_that_is_data():
    from datetime import UTC, datetime
    from decimal import Decimal

    value = [
        None,
        b"bytes",
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal("1.10"),
        {"a": (1, 2)},
        {3},
    ]

    async def run(self, event, step):
        return await step.do("give", lambda: value)

    assert await output(run) == value


async def test_steps_may_run_at_the_same_time():
    meeting = asyncio.Barrier(2)

    async def run(self, event, step):
        return await asyncio.gather(step.do("a", meeting.wait), step.do("b", meeting.wait))

    assert sorted(await output(run)) == [0, 1]


# Trying again


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("constant", [100, 100, 100]),
        ("linear", [100, 200, 300]),
        ("exponential", [100, 200, 400]),
    ],
)
async def test_a_step_that_fails_is_tried_again_after_growing_pauses(backoff, delays):
    clock, times = ManualClock(), []

    async def run(self, event, step):
        async def fail():
            times.append(round(clock.monotonic()))
            raise ValueError("always")

        await step.do(
            "x",
            {"retries": {"limit": 3, "delay": "100 seconds", "backoff": backoff}},
            fail,
        )

    async with workflow_runtime(workflow(run), clock=clock) as runtime:
        instance = await runtime.env.Flow.create()
        await clock.advance(2000)
        assert (await instance.status())["status"] == "errored"
    assert [after - before for before, after in itertools.pairwise(times)] == delays


def test_a_step_has_cloudflare_s_retries_unless_it_says_otherwise():
    plan = StepPlan.of("x", None)
    assert plan.as_config() == {
        "retries": {"limit": 5, "delay": 10_000, "backoff": "exponential"},
        "timeout": 600_000,
    }
    assert StepPlan.of("x", {"retries": {"limit": 1}}).delay_ms == 10_000


@pytest.mark.parametrize(
    "config",
    [
        {"retries": {"limit": -1, "delay": 1}},
        {"retries": {"limit": "5"}},
        {"retries": {"limit": 1, "delay": "soon"}},
        {"retries": {"limit": 1, "backoff": "quadratic"}},
        {"retries": {"limits": 1}},
        {"retries": 3},
        {"timeout": 0},
        {"timeouts": 5},
        "fast",
    ],
)
def test_a_config_that_cannot_be_read_is_refused_with_an_example(config):
    with pytest.raises(WorkflowFatalError, match=r'^Step config for "x" is in a invalid format'):
        StepPlan.of("x", config)


async def test_the_error_of_the_last_attempt_reaches_the_workflow():
    attempts = []

    async def run(self, event, step):
        async def fail(ctx):
            attempts.append(ctx.attempt)
            raise ValueError(f"attempt {ctx.attempt}")

        try:
            await step.do("x", NOW, fail)
        except ValueError as error:
            return [str(error), isinstance(error, RemoteError), error.type_name]

    assert await output(run) == ["attempt 3", True, "ValueError"]
    assert attempts == [1, 2, 3]


async def test_an_error_of_the_program_s_own_is_known_by_its_name():
    class CardDeclined(Exception):
        pass

    async def run(self, event, step):
        async def fail():
            raise CardDeclined("no money")

        try:
            await step.do("x", {"retries": {"limit": 0}}, fail)
        except RemoteError as error:
            return [error.type_name, str(error)]

    assert await output(run) == ["CardDeclined", "no money"]


async def test_an_error_that_the_workflow_does_not_catch_ends_it():
    async def run(self, event, step):
        async def fail():
            raise KeyError("gone")

        await step.do("x", {"retries": {"limit": 0}}, fail)

    assert await error(run) == {"name": "KeyError", "message": "gone"}


@pytest.mark.parametrize(
    "kind",
    [NonRetryableError, type("NonRetryableError", (Exception,), {})],
    ids=["ours", "theirs"],
)
async def test_a_step_that_raises_a_non_retryable_error_is_not_tried_again(kind):
    attempts = []

    async def run(self, event, step):
        async def fail(ctx):
            attempts.append(ctx.attempt)
            raise kind("never")

        try:
            await step.do("x", NOW, fail)
        except NonRetryableError as error:
            return str(error)

    assert await output(run) == "never"
    assert attempts == [1]


async def test_an_attempt_that_takes_too_long_has_failed():
    clock, cancelled = ManualClock(), []

    async def run(self, event, step):
        async def hang():
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(True)

        try:
            await step.do("x", {"retries": {"limit": 1, "delay": 0}, "timeout": "5 seconds"}, hang)
        except WorkflowTimeoutError as error:
            return [str(error), isinstance(error, TimeoutError)]

    async with workflow_runtime(workflow(run), clock=clock) as runtime:
        instance = await runtime.env.Flow.create()
        await clock.advance(6)
        assert (await instance.status())["status"] == "running"
        await clock.advance(6)
        assert (await instance.status())["output"] == [
            "Execution timed out after 5000ms",
            True,
        ]
    assert cancelled == [True, True]


async def test_a_step_that_cancels_itself_has_failed():
    async def run(self, event, step):
        async def cancelled():
            raise asyncio.CancelledError

        await step.do("x", {"retries": {"limit": 0}}, cancelled)

    assert await error(run) == {
        "name": "WorkflowError",
        "message": "The function of the step was cancelled.",
    }


# Limits


async def test_a_result_that_is_not_data_ends_the_workflow_whatever_it_catches():
    async def run(self, event, step):
        async def give():
            return object()

        try:
            await step.do("x", give)
        except Exception:
            return "caught"

    ended = await error(run)
    assert ended["name"] == "WorkflowFatalError"
    assert 'the step "x" returned a value which is not serialisable' in ended["message"]


async def test_a_result_of_more_than_a_mebibyte_fails_the_step():
    async def run(self, event, step):
        await step.do("x", {"retries": {"limit": 0}}, lambda: "x" * (1024 * 1024 + 1))

    assert await error(run) == {
        "name": "WorkflowInternalError",
        "message": "Step x-1 output is too large. Maximum allowed size is 1MiB.",
    }


async def test_an_output_that_is_not_data_is_an_error():
    async def run(self, event, step):
        return object()

    ended = await error(run)
    assert ended["name"] == "WorkflowFatalError"
    assert "The output of the instance cannot be kept" in ended["message"]


async def test_there_are_at_most_1024_steps():
    async def run(self, event, step):
        async def nothing():
            return None

        for _ in range(1024):
            await step.do("x", nothing)
        await step.sleep("sleeps do not count", 0)
        await step.do("x", nothing)

    assert await error(run) == {
        "name": "WorkflowFatalError",
        "message": "The limit of 1024 steps has been reached. This limit can be changed in your worker configuration.",
    }


async def test_a_workflow_may_have_another_limit_of_steps():
    async def run(self, event, step):
        await step.do("x", lambda: 1)
        await step.do("x", lambda: 1)

    assert "The limit of 1 steps" in (await error(run, options={"limits": {"steps": 1}}))["message"]


@pytest.mark.parametrize("name", ["x" * 257, "line\nbreak", 5], ids=["long", "control", "number"])
async def test_a_name_that_no_step_can_have_is_an_error(name):
    async def run(self, event, step):
        await step.do(name, lambda: 1)

    ended = await error(run)
    assert ended["name"] == "WorkflowFatalError"
    assert "exceeds max length (256 chars) or invalid characters found" in ended["message"]


# As a decorator


async def test_a_decorated_function_is_a_step():
    async def run(self, event, step):
        @step.do("add", config={"retries": {"limit": 0}})
        async def add():
            return 2

        return [await add(), await add()]

    assert await output(run) == [2, 2]


async def test_parameters_are_the_results_of_the_steps_that_they_are_named_after():
    ran = []

    async def run(self, event, step):
        @step.do()
        async def first():
            ran.append("first")
            return 1

        @step.do("second")
        def anything(first):
            ran.append("second")
            return first + 1

        @step.do()
        async def third(first, second, ctx):
            return [first, second, ctx.name, ctx.attempt]

        return await third()

    assert await output(run) == [1, 2, "third", 1]
    assert ran == ["first", "second"]


@pytest.mark.parametrize("concurrent", [False, True])
async def test_dependencies_can_be_given_by_hand(concurrent):
    together = asyncio.Barrier(2 if concurrent else 1)

    async def run(self, event, step):
        @step.do("a")
        async def a():
            await together.wait()
            return "a"

        @step.do("b")
        async def b():
            await together.wait()
            return "b"

        @step.do("both", depends=[a, b], concurrent=concurrent)
        async def both(x, y):
            return x + y

        return await both()

    assert await output(run) == "ab"


@pytest.mark.parametrize(
    ("depends", "words"),
    [
        (None, "Received unexpected parameter unknown"),
        (
            [],
            "Step declares 1 non-ctx parameter\\(s\\) but 'depends' has 0 item\\(s\\)",
        ),
        (
            ["a"],
            "'depends' entry for parameter 'unknown' is not a function decorated with step.do",
        ),
    ],
)
async def test_a_parameter_that_nothing_gives_is_an_error(depends, words):
    async def run(self, event, step):
        with pytest.raises(TypeError, match=words):

            @step.do("x", depends=depends)
            async def x(unknown):
                return unknown

        return "refused"

    assert await output(run) == "refused"


async def test_a_step_without_name_and_function_is_refused():
    async def run(self, event, step):
        with pytest.raises(TypeError, match="needs a name"):
            await step.do(None, {}, lambda: 1)
        await settle(1)
        return "refused"

    assert await output(run) == "refused"
