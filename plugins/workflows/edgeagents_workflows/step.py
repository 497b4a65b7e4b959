"""``step``: what a workflow's code does that must not be done twice, or must outlast the process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast, overload

from edgeagents_workflows.durations import Duration, milliseconds
from edgeagents_workflows.errors import WorkflowFatalError
from edgeagents_workflows.execution import Execution, StepContext, StepEvent
from edgeagents_workflows.step_config import StepConfig, StepPlan, check_step_name

__all__ = ["StepFunction", "WorkflowStep"]

T = TypeVar("T")


class WorkflowStep:
    """The steps of one execution.

    A step is known by its name, and by how many of that name came before it: call steps in an order that is the same in
    every run. What is done outside of steps is done again whenever the workflow goes on after a pause in memory.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._functions: dict[str, StepFunction[Any]] = {}

    @overload
    def do(self, name: str, callback: Callable[..., Awaitable[T]], /) -> Awaitable[T]: ...
    @overload
    def do(self, name: str, callback: Callable[..., T], /) -> Awaitable[T]: ...
    @overload
    def do(
        self,
        name: str,
        config: StepConfig | Mapping[str, Any] | None,
        callback: Callable[..., Awaitable[T]],
        /,
    ) -> Awaitable[T]: ...
    @overload
    def do(
        self,
        name: str,
        config: StepConfig | Mapping[str, Any] | None,
        callback: Callable[..., T],
        /,
    ) -> Awaitable[T]: ...
    @overload
    def do(
        self,
        name: str | None = None,
        /,
        *,
        config: StepConfig | Mapping[str, Any] | None = None,
        depends: Sequence[StepFunction[Any]] | None = None,
        concurrent: bool = False,
    ) -> Callable[[Callable[..., Any]], StepFunction[Any]]: ...
    def do(
        self,
        name: str | None = None,
        config_or_callback: Any = None,
        callback: Callable[..., Any] | None = None,
        /,
        *,
        config: StepConfig | Mapping[str, Any] | None = None,
        depends: Sequence[StepFunction[Any]] | None = None,
        concurrent: bool = False,
    ) -> Any:
        """Call ``callback`` once and keep what it returns: ``await step.do("charge", charge)``.

        If it raises, it is called again as ``config`` says; after the last attempt its error is raised here. An attempt
        that the process did not survive is made again, one that ended well never. The result is data of at most 1 MiB.
        ``callback`` is sync (called in a thread) or async, and may take a ``StepContext``.

        Without a callback it is a decorator: calling the function runs the step. Its parameters are the results of
        the steps in ``depends``, or else of the steps that they are named after; ``ctx`` is the ``StepContext``. Each
        of those is run first if it has not been, with ``concurrent`` all at once.
        """
        if callable(config_or_callback):
            callback, config_or_callback = config_or_callback, None
        config = config if config_or_callback is None else config_or_callback
        if callback is not None:
            return self.run(_named(name), config, callback)

        def decorate(function: Callable[..., Any]) -> StepFunction[Any]:
            own = name if name is not None else getattr(function, "__name__", "step")
            made = StepFunction(self, own, config, function, self._needs(function, depends), concurrent)
            self._functions[own] = made
            return made

        return decorate

    def run(
        self,
        name: str,
        config: StepConfig | Mapping[str, Any] | None,
        callback: Callable[..., Any],
    ) -> Any:
        """Run one step: what every form of ``do`` comes to."""
        check_step_name(name)
        return self.execution.do(name, StepPlan.of(name, config), callback)

    async def sleep(self, name: str, duration: Duration) -> None:
        """Wait for ``duration``: ``"10 seconds"``, milliseconds or a ``timedelta``."""
        check_step_name(name)
        await self.execution.sleep(name, milliseconds(duration))

    async def sleep_until(self, name: str, when: datetime | float) -> None:
        """Wait until ``when``: a time, or milliseconds since 1970. Raises ``WorkflowError`` for one that has passed."""
        check_step_name(name)
        if not isinstance(when, datetime):
            when = datetime.fromtimestamp(when / 1000, UTC)
        await self.execution.sleep_until(name, when)

    async def wait_for_event(self, name: str, type: str, timeout: Duration | None = "24 hours") -> StepEvent:
        """Return the next event of this ``type`` that is sent to the instance; one sent before counts.

        Raises ``WorkflowTimeoutError`` when none comes in time.
        """
        check_step_name(name)
        timeout_ms = milliseconds(timeout or "24 hours")
        if timeout_ms > _LONGEST_WAIT:
            raise WorkflowFatalError(f'The timeout of "{name}" is longer than 365 days.')
        return await self.execution.wait_for_event(name, type, timeout_ms)

    def _needs(
        self, function: Callable[..., Any], depends: Sequence[StepFunction[Any]] | None
    ) -> list[StepFunction[Any] | None]:
        """Return what each parameter of ``function`` is the result of; None is the context."""
        names = list(inspect.signature(function).parameters)
        if depends is None:
            return [None if name == "ctx" else self._named_function(name) for name in names]
        wanted = [name for name in names if name != "ctx"]
        if len(wanted) != len(depends):
            raise TypeError(
                f"Step declares {len(wanted)} non-ctx parameter(s) but 'depends' has {len(depends)} item(s)"
            )
        for name, step in zip(wanted, depends, strict=True):
            if not isinstance(cast(object, step), StepFunction):
                raise TypeError(f"'depends' entry for parameter {name!r} is not a function decorated with step.do")
        left = iter(depends)
        return [None if name == "ctx" else next(left) for name in names]

    def _named_function(self, name: str) -> StepFunction[Any]:
        if name not in self._functions:
            raise TypeError(f"Received unexpected parameter {name}. Name it after a step before this one, or ctx.")
        return self._functions[name]


class StepFunction(Generic[T]):
    """A function that ``@step.do(...)`` decorates. Calling it runs the step."""

    def __init__(
        self,
        step: WorkflowStep,
        name: str,
        config: StepConfig | Mapping[str, Any] | None,
        function: Callable[..., Any],
        needs: Sequence[StepFunction[Any] | None],
        concurrent: bool,
    ) -> None:
        self.name = name
        self._step, self._config, self._function = step, config, function
        self._needs, self._concurrent = needs, concurrent
        self._running: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        self._running = asyncio.get_running_loop().create_task(self._run())
        return await self._running

    async def result(self) -> T:
        """Return the result of the run that has begun last; without one, run the step."""
        if self._running is None or self._running.cancelled() or (self._running.done() and self._running.exception()):
            return await self()
        return await asyncio.shield(self._running)

    async def _run(self) -> T:
        steps = [step.result() for step in self._needs if step is not None]
        results = list(await asyncio.gather(*steps)) if self._concurrent else [await step for step in steps]

        def call(context: StepContext) -> Any:
            left = iter(results)
            return self._function(*(context if step is None else next(left) for step in self._needs))

        async def call_async(context: StepContext) -> Any:
            return await call(context)

        is_async = inspect.iscoroutinefunction(self._function)
        return await self._step.run(self.name, self._config, call_async if is_async else call)


_LONGEST_WAIT = milliseconds("365 days")


def _named(name: str | None) -> str:
    if name is None:
        raise TypeError("step.do() needs a name: await step.do('charge', charge)")
    return name
