"""Fibers: work that outlasts an event, and of which the agent hears again should the process end in the midst of it.

While a fiber runs there is a row for it, and its heartbeat among the jobs. What it stashes is kept at once. A fiber
that the process did not survive is not run again: the agent's ``on_fiber_recovered`` gets what it stashed and decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.fiber_ledger import Fiber, FiberLedger, FiberOutcome, FiberStatus
from edgeagents.agents.hooks import room_of
from edgeagents.agents.jobs import Job
from edgeagents.agents.keep_alive import KeepAlive
from edgeagents.errors import AgentError
from edgeagents.http.abort import AbortController, AbortSignal
from edgeagents.objects.ids import nanoid
from edgeagents.own_errors import as_raised

__all__ = ["FiberContext", "FiberRecovery", "Fibers"]

T = TypeVar("T")

_CAPABILITY: Final = "host"
_ID: Final = "cf:housekeeping"
_LONGEST_BACKOFF: Final = 5 * 60_000
_DELETED_BY_DEFAULT: Final[tuple[FiberStatus, ...]] = ("completed", "aborted", "error")

Statuses = FiberStatus | Sequence[FiberStatus]


@dataclass(frozen=True, slots=True)
class FiberContext:
    """What a fiber's function is given. ``signal`` tells that it was cancelled."""

    id: str
    name: str
    signal: AbortSignal
    stash: Callable[[Any], None]
    """Keep a JSON value for the case that the process ends, in place of the one before. Kept when this returns."""
    snapshot: None = None


@dataclass(frozen=True, slots=True)
class FiberRecovery:
    """A fiber that the process did not survive. ``snapshot`` is what it stashed last, or None.

    ``status``, ``idempotency_key`` and ``metadata`` are those of the ledger, for fibers of ``start_fiber``.
    """

    id: str
    name: str
    snapshot: Any
    created_at: datetime
    status: FiberStatus | None = None
    idempotency_key: str | None = None
    metadata: dict[str, Any] | None = None
    recovery_reason: str = "interrupted"


FiberFunction = Callable[[FiberContext], Awaitable[T] | T] | Callable[[], Awaitable[T] | T]

_current: ContextVar[FiberContext | None] = ContextVar("edgeagents_fiber", default=None)


class Fibers(Capability):
    """Runs fibers, keeps the ledger of those that were started, and finds those that were interrupted."""

    def __init__(self, host: CapabilityHost, keep_alive: KeepAlive) -> None:
        super().__init__(host)
        self._keep_alive = keep_alive
        self._ledger = FiberLedger(host.ctx.storage.database)
        self._running: set[str] = set()
        self._started: dict[str, tuple[asyncio.Task[None], AbortController]] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._is_scanning = False
        host.jobs.on(_CAPABILITY, "housekeeping", self._housekeep)

    async def start(self, props: Mapping[str, Any] | None) -> None:
        await self._recover()

    # Running

    async def run_fiber(self, name: str, fn: FiberFunction[T]) -> T:
        """Return what ``fn`` returns, called with a ``FiberContext`` if it takes one. The agent stays awake meanwhile.

        Should the process end before, ``on_fiber_recovered`` is called when the agent wakes again, which it does by
        itself. An error of ``fn`` comes out here.
        """
        return await self._run(nanoid(self.host.ctx.rng), name, fn, AbortController(), is_managed=False)

    async def start_fiber(
        self,
        name: str,
        fn: FiberFunction[Any],
        *,
        fiber_id: str | None = None,
        idempotency_key: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        wait_for_completion: bool = False,
    ) -> Fiber:
        """Start a fiber and return what the ledger says of it, without waiting for its end unless that is asked for.

        One with the same ``fiber_id`` or ``idempotency_key`` that there is already is returned instead, whatever
        became of it; ``accepted`` tells which. Its errors are noted in the ledger.
        """
        if fiber_id is not None and not fiber_id.strip():
            raise AgentError("fiberId must not be blank")
        if idempotency_key is not None and not idempotency_key.strip():
            raise AgentError("idempotencyKey must not be blank")
        by_id = None if fiber_id is None else self._ledger.get(fiber_id)
        by_key = None if idempotency_key is None else self._ledger.by_key(idempotency_key)
        if by_key is not None and fiber_id is not None and by_key.fiber_id != fiber_id:
            raise AgentError("fiberId and idempotencyKey refer to different fibers")
        known = by_id or by_key
        if known is not None:
            found = await self._settled(known.fiber_id) if wait_for_completion else known
            return replace(found, accepted=False)
        ctx = self.host.ctx
        id = fiber_id or nanoid(ctx.rng)
        self._ledger.accept(id, idempotency_key, name, metadata, ctx.clock.now())
        controller = AbortController()
        # Held from here on: should the process end before it begins, the agent wakes again.
        lease = self._keep_alive.keep_alive()
        task = ctx.spawn(self._run_started(id, name, fn, controller), name=f"fiber {name}")
        self._started[id] = task, controller

        def ended(_: asyncio.Task[None]) -> None:
            self._started.pop(id, None)
            if not ctx.is_leaving:
                lease()

        task.add_done_callback(ended)
        if wait_for_completion:
            return replace(await self._settled(id), accepted=True)
        fiber = self._ledger.get(id)
        assert fiber is not None
        return replace(fiber, accepted=True)

    def stash(self, data: Any) -> None:
        """Keep a JSON value of the fiber that this is called in, in place of the one before. Kept when this returns.

        Raises ``AgentError`` outside of a fiber.
        """
        fiber = _current.get()
        if fiber is None:
            raise AgentError("stash() called outside a fiber")
        fiber.stash(data)

    # The ledger

    async def inspect_fiber(self, fiber_id: str) -> Fiber | None:
        """Return what the ledger says of a fiber, or None."""
        return self._ledger.get(fiber_id)

    async def inspect_fiber_by_key(self, idempotency_key: str) -> Fiber | None:
        """Return what the ledger says of the fiber that was started with this key, or None."""
        return self._ledger.by_key(idempotency_key)

    async def list_fibers(
        self, *, status: Statuses | None = None, name: str | None = None, limit: int = 50
    ) -> list[Fiber]:
        """Return fibers of the ledger, the latest first: those with a status and a name if given, at most 100."""
        return self._ledger.list(_statuses(status), name, min(max(limit, 1), 100))

    async def cancel_fiber(self, fiber_id: str, reason: str | None = None) -> bool:
        """Stop a fiber of the ledger, which is ``aborted`` then; return False when there is none or it has ended.

        Its ``signal`` is set, and its function cancelled at what it waits for. One that runs in a thread goes on to
        its end, which is noted nowhere.
        """
        if not self._ledger.settle(fiber_id, "aborted", reason, self.host.ctx.clock.now()):
            return False
        self._tell_waiters(fiber_id)
        task, controller = self._started.get(fiber_id, (None, None))
        if controller is not None:
            controller.abort(reason)
        if task is not None:
            task.cancel()
        return True

    async def cancel_fiber_by_key(self, idempotency_key: str, reason: str | None = None) -> bool:
        """Stop the fiber that was started with this key, as ``cancel_fiber`` does."""
        fiber = self._ledger.by_key(idempotency_key)
        return False if fiber is None else await self.cancel_fiber(fiber.fiber_id, reason)

    async def resolve_fiber(self, fiber_id: str, outcome: FiberOutcome) -> bool:
        """Note how an interrupted fiber of the ledger ends; return False when it is not interrupted."""
        return self._ledger.resolve(fiber_id, outcome, self.host.ctx.clock.now())

    async def delete_fibers(
        self, *, status: Statuses | None = None, settled_before: datetime | None = None, limit: int = 100
    ) -> int:
        """Delete fibers that have ended from the ledger, at most 500; return how many.

        Unless ``status`` says otherwise, those that are interrupted stay.
        """
        statuses = _statuses(status) or _DELETED_BY_DEFAULT
        return self._ledger.delete(statuses, settled_before, min(max(limit, 1), 500))

    # How a fiber runs

    async def _run_started(self, id: str, name: str, fn: FiberFunction[Any], controller: AbortController) -> None:
        if not self._ledger.start(id, self.host.ctx.clock.now()):
            return
        try:
            await self._run(id, name, fn, controller, is_managed=True)
        except Exception as error:
            title = self.host.title
            self.host.ctx.logger.error("%s: the fiber %s (%s) failed", title, name, id, exc_info=as_raised(error))
        except asyncio.CancelledError:
            if not controller.signal.aborted:
                raise

    async def _run(
        self, id: str, name: str, fn: FiberFunction[T], controller: AbortController, *, is_managed: bool
    ) -> T:
        ctx, emit, began = self.host.ctx, self.host.emit, self.host.ctx.clock.monotonic()
        named = {"fiber_id": id, "fiber_name": name, "managed": is_managed}
        self._ledger.begin_run(id, name, ctx.clock.now())
        self._running.add(id)
        emit("fiber:run:started", **named)
        lease = self._keep_alive.keep_alive()
        fiber = FiberContext(id, name, controller.signal, lambda data: self._stash(id, data, is_managed=is_managed))
        token = _current.set(fiber)
        is_over = True
        try:
            result = cast(T, await ctx.invoke(fn, *(fiber,)[: room_of(fn)]))
        except Exception as error:
            self._settle(id, "aborted" if controller.signal.aborted else "error", str(error), is_managed=is_managed)
            emit("fiber:run:failed", **named, error=str(error), elapsed_ms=self._elapsed(began))
            raise
        except BaseException:
            # The runtime stops or the object is reset: the fiber is recovered when the agent wakes again.
            is_over = not ctx.is_leaving
            if is_over:
                self._settle(id, "aborted", None, is_managed=is_managed)
                emit("fiber:run:failed", **named, error="It was cancelled.", elapsed_ms=self._elapsed(began))
            raise
        else:
            self._settle(id, "completed", None, is_managed=is_managed)
            emit("fiber:run:completed", **named, elapsed_ms=self._elapsed(began))
            return result
        finally:
            _current.reset(token)
            self._running.discard(id)
            if is_over:
                lease()

    def _stash(self, id: str, data: Any, *, is_managed: bool) -> None:
        self._ledger.stash(id, data, is_managed=is_managed)

    def _settle(self, id: str, status: FiberStatus, error: str | None, *, is_managed: bool) -> None:
        # In one commit, so that a fiber that has ended is never found interrupted.
        if not self.host.ctx.is_alive:
            return
        if is_managed:
            self._ledger.settle(id, status, error, self.host.ctx.clock.now())
            self._tell_waiters(id)
        self._ledger.end_run(id)

    def _elapsed(self, began: float) -> int:
        return round((self.host.ctx.clock.monotonic() - began) * 1000)

    async def _settled(self, id: str) -> Fiber:
        fiber = self._ledger.get(id)
        if fiber is not None and not fiber.is_settled:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(id, []).append(waiter)
            await waiter
            fiber = self._ledger.get(id)
        if fiber is None:
            raise AgentError(f"Fiber {id} no longer exists")
        return fiber

    def _tell_waiters(self, id: str) -> None:
        for waiter in self._waiters.pop(id, ()):
            if not waiter.done():
                waiter.set_result(None)

    # Recovery

    async def _housekeep(self, job: Job) -> datetime | None:
        await self._recover()
        return None

    async def _recover(self) -> None:
        """Tell the agent of each fiber that the process did not survive. What fails is left for later."""
        if self._is_scanning or not self._ledger.is_there:
            return
        self._is_scanning = True
        try:
            has_progress = await self._scan()
        finally:
            self._is_scanning = False
        if not any(run.id not in self._running for run in self._ledger.runs()):
            self.host.jobs.remove(_CAPABILITY, _ID)
            return
        # Counted in the job, for the agent may leave memory between one scan and the next.
        last = self.host.jobs.get(_CAPABILITY, _ID)
        fruitless = 0 if has_progress else 1 + (last.payload["fruitless"] if last is not None else 0)
        delay = min(_LONGEST_BACKOFF, self.host.options.keep_alive_interval_ms * 2 ** min(fruitless, 20))
        due = self.host.ctx.clock.now() + timedelta(milliseconds=delay)
        self.host.jobs.push(_CAPABILITY, "housekeeping", {"fruitless": fruitless}, id=_ID, due=due)

    async def _scan(self) -> bool:
        clock, deadline = self.host.ctx.clock, self.host.options.fiber_recovery_scan_deadline_ms
        began, has_progress = clock.monotonic(), False
        fibers = {fiber.fiber_id: fiber for fiber in self._ledger.unsettled()}
        found = [
            FiberRecovery(run.id, run.name, run.snapshot, run.created_at)
            for run in self._ledger.runs()
            if run.id not in self._running
        ]
        with_run = {recovery.id for recovery in found}
        # Accepted, but not begun when the process ended.
        found += [
            FiberRecovery(fiber.fiber_id, fiber.name, fiber.snapshot, fiber.created_at)
            for fiber in fibers.values()
            if fiber.fiber_id not in with_run and fiber.fiber_id not in self._started
        ]
        for recovery in found:
            if deadline > 0 and self._elapsed(began) > deadline:
                self.host.emit(
                    "fiber:recovery:skipped",
                    fiber_id=recovery.id,
                    fiber_name=recovery.name,
                    reason="scan_deadline_exceeded",
                    elapsed_ms=self._elapsed(began),
                )
                break
            has_progress = await self._recover_one(recovery, fibers.get(recovery.id)) or has_progress
        return has_progress

    async def _recover_one(self, recovery: FiberRecovery, fiber: Fiber | None) -> bool:
        """Tell the agent of an interrupted fiber; return whether that is done with."""
        now, emit = self.host.ctx.clock.now(), self.host.emit
        if fiber is not None:
            self._ledger.settle(recovery.id, "interrupted", None, now)
            recovery = replace(
                recovery, status="interrupted", idempotency_key=fiber.idempotency_key, metadata=fiber.metadata
            )
        age = round((now - recovery.created_at).total_seconds() * 1000)
        named = {"fiber_id": recovery.id, "fiber_name": recovery.name, "managed": fiber is not None}
        reason = {"recovery_reason": recovery.recovery_reason}
        emit("fiber:recovery:detected", **named, **reason, elapsed_ms=age)
        emit("fiber:run:interrupted", **named, **reason, elapsed_ms=age)
        emit("fiber:recovery:attempt", **named, **reason)
        began = self.host.ctx.clock.monotonic()
        try:
            outcome = await self.host.call("on_fiber_recovered", recovery)
            if fiber is not None and isinstance(outcome, Mapping):
                self._ledger.resolve(recovery.id, cast(FiberOutcome, outcome), self.host.ctx.clock.now())
        except Exception as error:
            self.host.ctx.logger.error(
                "The fiber %s (%s) could not be recovered.", recovery.name, recovery.id, exc_info=error
            )
            if fiber is not None:
                failed: FiberOutcome = {"status": "error", "error": error}
                self._ledger.resolve(recovery.id, failed, self.host.ctx.clock.now())
            emit(
                "fiber:recovery:failed",
                **named,
                **reason,
                error=str(error),
                reason="handler_error",
                elapsed_ms=self._elapsed(began),
            )
            oldest = self.host.options.fiber_recovery_max_age_ms
            if fiber is None and (oldest <= 0 or age <= oldest):
                return False
            if fiber is None:
                emit(
                    "fiber:recovery:skipped",
                    fiber_id=recovery.id,
                    fiber_name=recovery.name,
                    reason="max_age_exceeded",
                    elapsed_ms=age,
                )
        else:
            status = "user" if fiber is None else "managed"
            emit("fiber:recovery:handled", **named, **reason, status=status, elapsed_ms=self._elapsed(began))
        self._ledger.end_run(recovery.id)
        self._tell_waiters(recovery.id)
        return True

    async def dispose(self) -> None:
        for _, controller in list(self._started.values()):
            controller.abort("destroyed")


def _statuses(status: Statuses | None) -> tuple[FiberStatus, ...] | None:
    if status is None:
        return None
    return cast("tuple[FiberStatus, ...]", (status,) if isinstance(status, str) else tuple(status))
