"""One execution: a workflow's code as it runs in memory, from its start to its end or until it is put aside.

Whatever a step did before is in the journal and is only read; so the code is run again from its beginning after
hours, or after a crash, and comes to where it was. An execution is put aside (``close``) when the instance is paused,
terminated, restarted or leaves memory: no step begins or is noted from then on, whatever the code still does.

When an instance is woken, and by what, is ``instance``'s business.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from edgeagents.errors import DataCloneError
from edgeagents.objects import ObjectContext
from edgeagents.objects.alarm_index import from_ms, to_ms
from edgeagents.objects.values import decode, encode
from edgeagents_workflows.errors import (
    WorkflowError,
    WorkflowFatalError,
    WorkflowInternalError,
    WorkflowTimeoutError,
    describe,
    is_retryable,
    kept_error,
)
from edgeagents_workflows.journal import Journal, StepKey, StepRecord
from edgeagents_workflows.step_config import StepPlan

__all__ = ["LARGEST_VALUE", "Execution", "NotSerialisable", "StepContext", "StepEvent"]

LARGEST_VALUE: Final = 1024 * 1024
"""Bytes that params, the result of a step, the payload of an event or an output may have."""


class NotSerialisable(BaseException):
    """Ends the workflow whatever its code catches: a step returned what is not data."""


@dataclass(frozen=True, slots=True)
class StepContext:
    """What the function of a step is given if it takes an argument: which step this is, and which attempt (from 1)."""

    name: str
    count: int
    attempt: int
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StepEvent:
    """An event that a workflow waited for."""

    type: str
    payload: Any
    timestamp: datetime


@dataclass(eq=False)
class _Wait:
    key: StepKey
    due: int
    event_type: str | None
    woken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class Execution:
    """Runs the steps of one execution. ``changed`` is awaited when a step has ended or begins to wait."""

    def __init__(
        self,
        ctx: ObjectContext,
        journal: Journal,
        *,
        step_limit: int,
        changed: Callable[[Execution], Awaitable[None]],
    ) -> None:
        self._ctx, self._journal, self._step_limit = ctx, journal, step_limit
        self._changed = changed
        self._counts: Counter[tuple[str, str]] = Counter()
        self._steps = 0
        self._waits: dict[StepKey, _Wait] = {}
        self._attempts: set[asyncio.Future[Any]] = set()
        self._held: asyncio.Future[None] | None = None
        self._code = _Watched()
        self.active = 0
        """Attempts that run now."""
        self.is_closed = False

    # What the instance asks and tells

    async def run(self, code: Awaitable[Any]) -> Any:
        """Run the workflow's code and return what it returns."""
        return await self._code.run(code)

    @property
    def next_due(self) -> int | None:
        """When the first of the waits ends, in milliseconds; None when nothing waits."""
        return min((wait.due for wait in self._waits.values()), default=None)

    @property
    def is_waiting(self) -> bool:
        """Whether it sleeps or waits for events, and does nothing else."""
        return not self.active and bool(self._waits) and all(key.kind != "do" for key in self._waits)

    @property
    def is_idle(self) -> bool:
        """Whether the code itself stands at one wait, so that nothing is lost if it leaves memory."""
        futures = [wait.woken for wait in self._waits.values()]
        stands_at = self._code.waits_for
        return not self.active and stands_at in futures and not any(future.done() for future in futures)

    @property
    def is_held(self) -> bool:
        """Whether steps are held back."""
        return self._held is not None

    def tick(self, now: int) -> None:
        """End the waits that are due."""
        for wait in tuple(self._waits.values()):
            if wait.due <= now and not self.is_closed:
                wait.wake()

    def offer(self, event_type: str) -> None:
        """Tell the first step that waits for events of this type that there is one."""
        for wait in self._waits.values():
            if wait.event_type == event_type and not wait.woken.done():
                wait.wake()
                return

    def hold(self) -> None:
        """Let no step begin any more; those that run go on."""
        if self._held is None:
            self._held = asyncio.get_running_loop().create_future()

    def let_go(self) -> None:
        """Let steps begin again."""
        held, self._held = self._held, None
        if held is not None and not held.done():
            held.set_result(None)

    def close(self) -> None:
        """Put the execution aside: what runs is cancelled, and nothing is noted any more."""
        self.is_closed = True
        self.let_go()
        for wait in self._waits.values():
            wait.wake()
        for attempt in tuple(self._attempts):
            attempt.cancel()

    # Steps

    def do(self, name: str, plan: StepPlan, callback: Callable[..., Any]) -> Awaitable[Any]:
        """Run a step once: try it as ``plan`` says until it ends well. Return, or raise, what is kept of it."""
        self._check_open()
        self._steps += 1
        if self._steps > self._step_limit:
            raise WorkflowFatalError(
                f"The limit of {self._step_limit} steps has been reached. "
                "This limit can be changed in your worker configuration."
            )
        return self._do(self._key("do", name), plan, callback)

    def sleep(self, name: str, duration_ms: int) -> Awaitable[None]:
        """Wait for so long, however often the process ends meanwhile."""
        self._check_open()
        return self._sleep(self._key("sleep", name), duration_ms)

    def sleep_until(self, name: str, when: datetime) -> Awaitable[None]:
        """Wait until then. Raises ``WorkflowError`` when that has passed as the step begins."""
        self._check_open()
        key = self._key("sleep", name)
        duration_ms = to_ms(when) - self.now()
        if duration_ms < 0 and self._journal.step(key) is None:
            raise WorkflowError("You can't sleep until a time in the past, time-traveler")
        return self._sleep(key, duration_ms)

    def wait_for_event(self, name: str, event_type: str, timeout_ms: int) -> Awaitable[StepEvent]:
        """Return the next event of a type; one that came before is taken first. Raises ``WorkflowTimeoutError``."""
        self._check_open()
        return self._wait_for_event(self._key("event", name), event_type, timeout_ms)

    async def _do(self, key: StepKey, plan: StepPlan, callback: Callable[..., Any]) -> Any:
        record = self._journal.step(key)
        if record is None:
            self._journal.begin(key, self.now(), config=encode(_numbers(plan)))
        elif (ended := _outcome(record)) is not None:
            return ended.result()
        else:
            assert record.config is not None
            plan = StepPlan(*decode(record.config))
            if record.due is not None:
                await self._wait(key, record.due)
        attempt = 0 if record is None else record.attempt
        while True:
            attempt += 1
            error = await self._try(key, plan, callback, attempt)
            await self._ctx.flushed()  # What comes after this step may rely on it.
            await self._tell()
            record = self._journal.step(key)
            assert record is not None
            if error is None or not is_retryable(error) or attempt > plan.limit:
                ended = _outcome(record)
                assert ended is not None
                return ended.result()
            assert record.due is not None
            await self._wait(key, record.due)

    async def _try(self, key: StepKey, plan: StepPlan, callback: Callable[..., Any], attempt: int) -> Exception | None:
        """Make one attempt and note how it ended. Return what it raised."""
        while self._held is not None:
            await asyncio.shield(self._held)
        self._check_open()
        self._journal.attempt(key, attempt)
        self.active += 1
        try:
            context = StepContext(key.name, key.count, attempt, plan.as_config())
            result = await self._run(callback, context, plan.timeout_ms)
            self._check_open()
            self._journal.finish(key, self.now(), _encode_result(key, result))
        except Exception as error:
            self._check_open()
            self._note_failure(key, plan, attempt, error)
            return error
        finally:
            self.active -= 1
        return None

    def _note_failure(self, key: StepKey, plan: StepPlan, attempt: int, error: Exception) -> None:
        now = self.now()
        ends = not is_retryable(error) or attempt > plan.limit
        if ends:
            self._journal.fail(key, now, describe(error))
        else:
            self._journal.retry(key, now + plan.delay_after(attempt), describe(error))
        self._ctx.logger.warning(
            "The step %r of %s failed in attempt %d%s",
            *(
                str(key),
                self._ctx.id.name,
                attempt,
                "" if ends else " and will be tried again",
            ),
            exc_info=error,
        )

    async def _run(self, callback: Callable[..., Any], context: StepContext, timeout_ms: int) -> Any:
        """Call ``callback``, for so long at most. One that does not let itself be cancelled is left to itself."""
        attempt = asyncio.ensure_future(_call(callback, context))
        over = asyncio.get_running_loop().create_future()
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        attempt.add_done_callback(lambda _: over.done() or over.set_result(None))
        timer = self._ctx.clock.call_later(timeout_ms / 1000, lambda: over.done() or over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()
            if not attempt.done():
                attempt.add_done_callback(_ignore)
                attempt.cancel()
        if not attempt.done():
            raise WorkflowTimeoutError.after(timeout_ms)
        if attempt.cancelled():
            self._check_open()
            raise WorkflowError("The function of the step was cancelled.")
        return attempt.result()

    async def _sleep(self, key: StepKey, duration_ms: int) -> None:
        record = self._journal.step(key)
        if record is not None and record.state == "done":
            return
        if record is None:
            if duration_ms <= 0:
                return
            now = self.now()
            self._journal.begin(key, now, due=now + duration_ms)
            due = now + duration_ms
        else:
            assert record.due is not None
            due = record.due
        await self._wait(key, due)
        self._journal.finish(key, self.now())

    async def _wait_for_event(self, key: StepKey, event_type: str, timeout_ms: int) -> StepEvent:
        record = self._journal.step(key)
        if record is not None and (ended := _outcome(record)) is not None:
            payload, timestamp = ended.result()
            return StepEvent(event_type, payload, from_ms(timestamp))
        now = self.now()
        due = now + timeout_ms if record is None or record.due is None else record.due
        if record is None:
            self._journal.begin(key, now, due=due, config=encode([event_type, timeout_ms]))
        elif record.config is not None:
            event_type, timeout_ms = decode(record.config)
        while (event := self._journal.take_event(event_type, due)) is None and self.now() < due:
            # Another step may have been quicker: then it waits again.
            await self._wait(key, due, event_type, once=True)
        if event is None:
            error = WorkflowTimeoutError.after(timeout_ms)
            self._journal.fail(key, self.now(), describe(error))
            await self._ctx.flushed()
            raise error
        payload, timestamp = decode(event[0]), event[1]
        self._journal.finish(key, self.now(), encode([payload, timestamp]))
        await self._ctx.flushed()
        return StepEvent(event_type, payload, from_ms(timestamp))

    async def _wait(
        self,
        key: StepKey,
        due: int,
        event_type: str | None = None,
        *,
        once: bool = False,
    ) -> None:
        """Return at ``due``, or with ``once`` at the first wake."""
        while self.now() < due:
            wait = self._waits[key] = _Wait(key, due, event_type)
            try:
                await self._tell()
                await wait.woken
            finally:
                self._waits.pop(key, None)
            self._check_open()
            if once:
                return

    async def _tell(self) -> None:
        if not self.is_closed:
            await self._changed(self)
        self._check_open()

    def _key(self, kind: Literal["do", "sleep", "event"], name: str) -> StepKey:
        self._counts[kind, name] += 1
        return StepKey(kind, name, self._counts[kind, name])

    def _check_open(self) -> None:
        if self.is_closed:
            # As if the code had been cancelled, which is what happens to it.
            raise asyncio.CancelledError

    def now(self) -> int:
        """Return the present in milliseconds."""
        return to_ms(self._ctx.clock.now())


class _Watched:
    """Runs a coroutine and knows what it waits for."""

    def __init__(self) -> None:
        self.waits_for: object = None

    async def run(self, code: Awaitable[Any]) -> Any:
        return await _Awaiting(self, code)


class _Awaiting:
    def __init__(self, watched: _Watched, code: Awaitable[Any]) -> None:
        self._watched, self._code = watched, code

    def __await__(self) -> Generator[Any, Any, Any]:
        watched = self._watched
        steps = self._code.__await__()
        try:
            waits_for = next(steps)
            while True:
                watched.waits_for = waits_for
                try:
                    value = yield waits_for
                except BaseException as raised:
                    watched.waits_for = None
                    waits_for = steps.throw(raised)
                else:
                    watched.waits_for = None
                    waits_for = steps.send(value)
        except StopIteration as stop:
            return stop.value


@dataclass(frozen=True, slots=True)
class _Outcome:
    record: StepRecord

    def result(self) -> Any:
        if self.record.state == "done":
            return None if self.record.result is None else decode(self.record.result)
        raise kept_error(self.record.error_name or "Error", self.record.error_message or "")


def _outcome(record: StepRecord) -> _Outcome | None:
    return _Outcome(record) if record.state in ("done", "failed") else None


def _numbers(plan: StepPlan) -> list[Any]:
    return [plan.limit, plan.delay_ms, plan.backoff, plan.timeout_ms]


def _encode_result(key: StepKey, result: Any) -> bytes:
    try:
        data = encode(result)
    except DataCloneError as error:
        raise NotSerialisable(
            "The execution of the Workflow instance was terminated, as the step "
            f'"{key.name}" returned a value which is not serialisable: {error}'
        ) from error
    if len(data) > LARGEST_VALUE:
        raise WorkflowInternalError(f"Step {key} output is too large. Maximum allowed size is 1MiB.")
    return data


async def _call(callback: Callable[..., Any], context: StepContext) -> Any:
    args = (context,) if _takes_context(callback) else ()
    if inspect.iscoroutinefunction(callback):
        return await callback(*args)
    given: list[Any] = []
    is_given_up = False

    def call() -> None:
        given.append(callback(*args))
        if is_given_up:
            _close(given[0])

    try:
        await asyncio.to_thread(call)
    except asyncio.CancelledError:
        is_given_up = True
        if given:
            _close(given[0])
        raise
    return await given[0] if inspect.isawaitable(given[0]) else given[0]


def _close(result: Any) -> None:
    # ``lambda: fetch()`` has made a coroutine that nobody will await.
    if inspect.iscoroutine(result):
        result.close()


def _takes_context(callback: Callable[..., Any]) -> bool:
    # Not into a parameter with a default: ``lambda item=item: fetch(item)`` in a loop means its own.
    parameters = inspect.signature(callback).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _ignore(attempt: asyncio.Future[Any]) -> None:
    if not attempt.cancelled():
        attempt.exception()
