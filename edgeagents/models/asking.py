"""Asking a model once, whatever it takes: a call that fails is made again, an answer that breaks off is gone on with.

Nothing that was said is said twice: a provider that can continue is given it as ``ModelRequest.prefix``, and what it
adds belongs to the same block of text. Where that cannot be, the failure is raised.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.http.closing import close
from edgeagents.models.parts import (
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    TextDelta,
    TextEnd,
    TextStart,
)
from edgeagents.models.provider import ModelRequest
from edgeagents.models.registry import ResolvedModel

__all__ = ["Aborted", "ask", "retry_delay", "unless_aborted"]

T = TypeVar("T")

MOST_CALLS = 20
"""How often a provider is called for one answer, though it got a little further each time: somebody pays for each."""

FIRST_RETRY_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0

_log = logging.getLogger("edgeagents.models")


class Aborted(Exception):
    """The signal fired. Never leaves a turn."""


async def unless_aborted(awaitable: Awaitable[T], signal: AbortSignal | None) -> T:
    """Await, but be interrupted by ``signal`` where the awaited thing is cancelled."""
    if signal is None:
        return await awaitable
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    assert task is not None
    has_fired = is_over = False

    def cancel() -> None:
        nonlocal has_fired
        if not is_over and not has_fired:
            has_fired = True
            task.cancel()

    # A signal may be fired from a thread.
    remove = signal.add_listener(lambda: loop.call_soon_threadsafe(cancel))
    try:
        return await awaitable
    except asyncio.CancelledError:
        if has_fired and task.uncancel() == 0:
            raise Aborted from None
        raise
    finally:
        is_over = True
        remove()


def retry_delay(error: ModelError, failures: int) -> float | None:
    """Return in how many seconds to ask again after the call failed ``failures`` times in a row, or None to give up.

    What the provider says goes first, unless it says more than a minute: a turn that waits longer than that is better
    told to whoever asked. Without word of it the wait doubles from two seconds.
    """
    if not error.retryable:
        return None
    if error.retry_after is not None:
        return error.retry_after if 0 <= error.retry_after <= LONGEST_WAIT_SECONDS else None
    return min(FIRST_RETRY_SECONDS * 2 ** (failures - 1), LONGEST_WAIT_SECONDS)


async def ask(
    model: ResolvedModel,
    request: ModelRequest,
    *,
    env: Mapping[str, Any],
    signal: AbortSignal | None,
    max_retries: int,
) -> AsyncGenerator[Part, None]:
    """Yield what the provider says.

    It is asked again when it fails before its first part, up to ``max_retries`` times in a row; and when it fails after
    some text, if it can go on after that, 20 times in all. Raises ``ModelError`` when that is of no use, and
    ``Aborted``.
    """
    failures = calls = 0
    answer = _Answer()
    while True:
        calls += 1
        stream: AsyncIterator[Part] = aiter(model.provider.stream(request, env=env, signal=signal))
        said = answer.length
        try:
            while True:
                for part in answer.take(await unless_aborted(anext(stream), signal)):
                    yield part
        except StopAsyncIteration:
            return
        except ModelError as error:
            failures = 1 if answer.length > said else failures + 1
            can_go_on = not answer.has_begun or (answer.is_text and model.can_continue)
            may_ask = can_go_on and failures <= max_retries and calls < MOST_CALLS
            delay = retry_delay(error, failures) if may_ask else None
            if delay is None:
                raise
            _log.info("The model %s is asked again in %s s: %s", model.name, delay, error)
        finally:
            await close(stream)
        await unless_aborted(model.clock.sleep(delay), signal)
        for part in answer.broken_off():
            yield part
        request = replace(request, prefix=request.prefix + answer.text)
        answer.text = ""


class _Answer:
    """An answer as it comes, over several calls: what was said, and which block of text is open."""

    def __init__(self) -> None:
        self.text = ""
        self.length = 0
        self.has_begun = False
        self.is_text = True
        self._call = 0
        self._open_text: str | None = None
        self._open_reasoning: str | None = None
        self._carried_on: str | None = None
        self._names: dict[str, str] = {}

    def take(self, part: Part) -> list[Part]:
        """Return ``part`` as those see it who know of one call only."""
        self.has_begun = True
        self.length += 1
        match part:
            case TextStart() | TextDelta() | TextEnd():
                part = replace(part, id=self._name(part.id, self._open_text))
                self._open_text = None if isinstance(part, TextEnd) else part.id
                if isinstance(part, TextDelta):
                    self.text += part.text
                return [part] if not isinstance(part, TextStart) or part.id != self._carried_on else []
            case ReasoningStart() | ReasoningDelta() | ReasoningEnd():
                part = replace(part, id=self._name(part.id, None))
                self._open_reasoning = None if isinstance(part, ReasoningEnd) else part.id
            case _:
                # Of a tool's call there is no half that another call could go on with.
                self.is_text = False
        return [part]

    def broken_off(self) -> list[Part]:
        """Get ready for the next call. Return what ends a thought that will not be taken up again."""
        self._call += 1
        self._names.clear()
        self._carried_on = self._open_text
        ended, self._open_reasoning = self._open_reasoning, None
        return [] if ended is None else [ReasoningEnd(ended)]

    def _name(self, id: str, open_id: str | None) -> str:
        """Return the id that a block has in the whole answer: the first text of a new call carries the open one on."""
        if self._call == 0:
            return id
        if id not in self._names:
            self._names[id] = open_id if open_id is not None else f"{self._call}:{id}"
        return self._names[id]
