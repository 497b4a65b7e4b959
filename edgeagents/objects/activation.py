"""Activation: one object awake in memory.

It owns the instance, its gates, its open database and its thread, and is the one way for an event to reach the
object's code. Each event is a ``Turn`` between the gates: it waits to be let in, runs, and its result leaves when the
writes before it are kept. What an object keeps while it is not awake is its ``Slot``'s.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from edgeagents.errors import EdgeAgentsError, ObjectError, ObjectReset, StorageReset, StorageUnavailable
from edgeagents.http.closing import close
from edgeagents.objects.context import ObjectContext
from edgeagents.objects.database_events import DatabaseEvents
from edgeagents.objects.eager import NOTHING, Ready, running_task
from edgeagents.objects.events import (
    AlarmEvent,
    AlarmInfo,
    CallEvent,
    CloseEvent,
    Event,
    FetchEvent,
    MessageEvent,
    SocketErrorEvent,
    StartEvent,
)
from edgeagents.objects.gates import InputGate, OutputGate, Section, Turn, current_turn, leave_section
from edgeagents.objects.handler_thread import HandlerThread
from edgeagents.objects.ids import Address
from edgeagents.objects.rpc import anothers_reset, copy_result, crossing_error, is_callable_name
from edgeagents.objects.storage import Storage
from edgeagents.own_errors import as_raised

if TYPE_CHECKING:
    from edgeagents.http import Request, Response
    from edgeagents.objects.hibernation import Slot
    from edgeagents.objects.namespace import Stub

__all__ = ["Activation"]

T = TypeVar("T")

_LAST_SECONDS = 10


class _Aborted(BaseException):
    """Leaves a handler that called ``ctx.abort()``; not an Exception, so that user code does not swallow it."""


class Activation:
    """One object awake. Made by its slot; ``start`` runs at once, events wait behind the input gate."""

    def __init__(self, slot: Slot, props: Mapping[str, Any] | None) -> None:
        directory = slot.directory
        self.slot, self.id, self.props = slot, slot.id, props
        self.world = world = directory.world
        self.logger = directory.logger
        self.failure: BaseException | None = None
        self._failed_at: TracebackType | None = None
        self.instance: Any = None
        self.loop = asyncio.get_running_loop()
        self._thread_ident = threading.get_ident()
        self._thread: HandlerThread | None = None
        self.is_started = False
        self.is_stopping = False
        # In the order of their beginning: that of a set would be another one each time.
        self._tasks: dict[asyncio.Future[Any], None] = {}
        self._holds = 0
        self._monotonic = world.clock.monotonic
        self._last_active = self._monotonic()
        self._idle_timer: Any = None
        self._starting: list[tuple[Callable[[], Awaitable[Any]], asyncio.Future[Any]]] | None = []
        self.input = InputGate()
        namespace, object_id, facets = slot.place
        lease = world.lease(Address(namespace, object_id))
        self.database = world.storage.open(namespace, object_id, facets)
        self.output = OutputGate(self.database, world.durability, world.sync_executor, self.reset)
        self.database.is_synced = world.durability == "full"
        self.database.bound(world.limits, world.clock.monotonic)
        self.alarm = world.alarms.slot(namespace, object_id, self.database, facets)
        self.database.events = DatabaseEvents(
            on_write=self.output.note_write,
            on_release=self._transaction_ended,
            on_open=self.alarm.reconcile,
            on_inherit=self.output.inherit,
            let_go=self.output.let_go,
        )
        self.storage = Storage(
            self.database,
            alarm=self.alarm,
            clock=world.clock,
            has_sql=directory.has_sql,
            alarm_refusal=_alarm_refusal(directory.cls, is_facet=bool(facets)),
            alone=self._alone,
            critical=self._alone_for_a_while,
            commit=self.output.commit_now,
            flushed=self.output.flushed,
        )
        self.ctx = ObjectContext(self)
        self.database.claim(lease)

    # Life

    def start(self) -> Coroutine[Any, Any, None]:
        """Construct the object and make it ready. When that fails, every event that waits gets the error.

        Events wait from this call on, whenever the coroutine begins to run.
        """
        return self._run_start(self.input.close_at_once())

    async def _run_start(self, section: Section) -> None:
        limit = self._limit_section()
        section.enter()
        try:
            await Turn(self.input, self._start(), self)
        except asyncio.CancelledError:
            self.reset(self.failure or ObjectReset("The object's start was cancelled."))
        except BaseException as error:
            self.reset(*_failed_start(error))
        finally:
            limit.cancel()
            self.input.reopen(section)

    async def _start(self) -> None:
        self.instance = self.slot.directory.cls(self.ctx, self.slot.directory.env)
        sections, self._starting = self._starting or [], None
        for section, future in sections:
            result = await section()
            if not future.done():
                future.set_result(result)
        activate = getattr(self.instance, "_edgeagents_activate", None)
        if activate is not None:
            await activate(self.props)
        self.is_started = True
        self.world.observer.object_woke(self.id, self)

    def reset(self, error: BaseException, cause: BaseException | None = None, *, reason: str = "reset") -> None:
        """Drop this activation: memory and unconfirmed writes are lost, whoever waits gets ``error``."""
        if self.failure is not None:
            return
        is_told = isinstance(error, EdgeAgentsError) and not isinstance(error, StorageUnavailable)
        if not is_told and not isinstance(error, ObjectReset):
            cause, error = error, _reset_error(error)
        error.__cause__ = cause
        self.failure, self._failed_at = error, error.__traceback__
        self._leave(reason)
        self.output.fail(error)
        self.input.give_up()
        current = asyncio.current_task()
        for task in tuple(self._tasks):
            if task is not current:
                task.cancel()
        self.world.storage.release(self.database, discard=True)
        self.slot.left(self)
        self.slot.was_reset(error)

    def abort(self, reason: str | None) -> NoReturn:
        """Reset from within; leaves the handler that called it."""
        error = ObjectReset(reason or "Application called abort() to reset Durable Object.")
        if self.is_on_loop:
            self.reset(error)
        else:
            self.loop.call_soon_threadsafe(self.reset, error)
        raise _Aborted(str(error))

    def evict(self) -> bool:
        """Leave memory if nothing is going on; return whether that was so. Open sockets stay with the slot."""
        if self._holds or self._tasks or self.failure is not None or not self.output.is_clear:
            return False
        self.failure = ObjectReset("The object left memory.")
        self._leave("hibernated" if self.slot.has_sockets else "evicted")
        self.world.storage.release(self.database, discard=False)
        self.slot.left(self)
        return True

    async def stop(self) -> None:
        """Leave memory because the runtime stops: background tasks are cancelled, what was written is kept.

        A handler in the object's thread, which nobody can cancel, is waited for. One that does not end in
        ``_LAST_SECONDS`` counts as if the process had ended in its middle: nothing of it is kept.
        """
        self.is_stopping = True
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            ending = asyncio.ensure_future(asyncio.wait(tuple(self._tasks)))
            limit = self.world.clock.call_later(_LAST_SECONDS, ending.cancel)
            await asyncio.wait((ending,))
            limit.cancel()
            if ending.cancelled():
                self.reset(ObjectReset("The runtime stopped, and a handler had not come to its end."))
        if self.failure is None:
            try:
                await self.output.flushed()
            finally:
                self.failure = ObjectReset("The runtime stopped.")
                self._leave("stopped")
                self.world.storage.release(self.database, discard=False)
                self.slot.left(self)

    def _leave(self, reason: str) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._thread is not None:
            self._thread.end()
        self.world.observer.object_left(self.id, reason)

    def _rest(self) -> None:
        self._last_active = self._monotonic()
        if self._idle_timer is None and self.failure is None:
            self._idle_timer = self.world.clock.call_later(self.world.limits.idle_seconds, self._idle)

    def _idle(self) -> None:
        self._idle_timer = None
        if self._holds or self._tasks:
            return  # Whatever holds the object rests it when it ends.
        idle = self._monotonic() - self._last_active
        left = self.world.limits.idle_seconds - idle
        if left > 0 or not self.evict():
            self._idle_timer = self.world.clock.call_later(max(left, 0.05), self._idle)

    # Events

    async def handle(self, event: Event) -> Any:
        """Let ``event`` in, run its handler, and return the result when the writes before it are kept."""
        self._holds += 1
        task = running_task(self.loop)
        assert task is not None
        self._tasks[task] = None
        began = self._monotonic()
        observer, output = self.world.observer, self.output
        observer.event_started(self.id, self.slot.directory.class_name, event)
        raised: BaseException | None = None
        try:
            if not self.input.is_open:
                await self.input.enter()
            if self.failure is not None:
                # All who waited get the same error: each without the frames of those before it.
                raise self.failure.with_traceback(self._failed_at)
            result = await Turn(self.input, self._dispatch(event), self)
            if not output.is_settled:
                await output.flushed()
            return result
        except _Aborted as aborted:
            raised = self.failure or ObjectReset(str(aborted))
            raise raised from None
        except (Exception, asyncio.CancelledError) as error:
            raised = error
            if isinstance(error, asyncio.CancelledError):
                if self.failure is not None:
                    raised = self.failure
                    raise raised from None
                if task.cancelling():
                    raise
            if error is self.failure:
                raise
            try:
                await output.flushed()
            except asyncio.CancelledError:
                # Reset while the error waited for the disk: the caller is told so, not that it was cancelled itself.
                if self.failure is None:
                    raise
                raised = self.failure
                raise raised from None
            crossing = anothers_reset(error) if isinstance(error, ObjectReset) else crossing_error(error)
            if crossing is error:
                raise
            raise crossing from error
        finally:
            self._tasks.pop(task, None)
            observer.event_finished(self.id, event, raised, self._monotonic() - began)
            self.let_go()

    async def _dispatch(self, event: Event) -> Any:
        instance = self.instance
        match event:
            case FetchEvent():
                return await self._fetch(event.request)
            case MessageEvent():
                await self._handler("web_socket_message", event.socket, event.message)
            case CallEvent():
                return await self._call(event)
            case CloseEvent():
                await self._handler("web_socket_close", event.socket, event.code, event.reason, event.was_clean)
            case SocketErrorEvent():
                await self._handler("web_socket_error", event.socket, event.error)
            case AlarmEvent(facets=facets):
                await (self._facet_alarm(*facets) if facets else self._alarm())
            case StartEvent():
                assert instance is not None
        return None

    async def _fetch(self, request: Request) -> Response:
        fetch = getattr(self.instance, "fetch", None)
        if fetch is None:
            raise TypeError(f"{type(self.instance).__name__} does not define a fetch() method.")
        response = await self.world.respond(await self.invoke(fetch, request), request)
        if response.is_streaming:
            response.map_body(self._guarded)
        elif response.websocket is not None and response.websocket.hold(self.output.release, self.let_go):
            # A socket that the object did not make hibernatable needs the object's memory while it is open.
            self._holds += 1
        return response

    async def _guarded(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield ``body``, each piece when the writes before it are kept, and keep the object awake meanwhile."""
        output = self.output
        with self.keep_awake():
            try:
                async for chunk in body:
                    if not output.is_settled:
                        await output.flushed()
                    elif self.failure is not None:
                        raise self.failure
                    yield chunk
            finally:
                await close(body)

    async def _call(self, event: CallEvent) -> Any:
        method = self._method(event.method)
        if method is None:
            name = type(self.instance).__name__
            raise AttributeError(f"{name} has no method {event.method!r} to call through a stub.")
        begin_call = getattr(self.instance, "_edgeagents_begin_call", None)
        if begin_call is not None:
            begin_call()
        result = await self.invoke(method, *event.args, **event.kwargs)
        return copy_result(result)

    def _method(self, name: str) -> Callable[..., Any] | None:
        if is_callable_name(type(self.instance), name):
            return getattr(self.instance, name)
        find_part = getattr(self.instance, "_edgeagents_find_part_method", None)
        if find_part is None:
            return None
        part, colon, method = name.partition(":")
        return find_part(part, method) if colon else find_part(None, name)

    def _handler(self, name: str, *args: object) -> Awaitable[object]:
        handler = getattr(self.instance, name, None)
        return NOTHING if handler is None else self.invoke(handler, *args)

    async def _alarm(self) -> None:
        info: AlarmInfo | None = self.alarm.take_due(self.world.clock.now())
        if info is None:
            not_due = getattr(self.instance, "_edgeagents_alarm_not_due", None)
            if not_due is not None:
                not_due()
            return
        handler = getattr(self.instance, "alarm", None)
        try:
            if handler is not None:
                takes_info = bool(inspect.signature(handler).parameters)
                await self.invoke(handler, *((info,) if takes_info else ()))
        except (Exception, asyncio.CancelledError) as error:
            task = running_task(self.loop)
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            self.logger.error(
                "%s: alarm() failed (retry %d)", self.slot.title, info.retry_count, exc_info=as_raised(error)
            )
            self.alarm.failed()
        else:
            self.alarm.done()

    async def _facet_alarm(self, name: str, *below: str) -> None:
        event = AlarmEvent(below)
        known = (self.slot.facets or {}).get(name)
        if known is not None:
            await known.deliver(event)
            return
        # Only the object's own code knows the class of a facet that is not in memory.
        open_facet = getattr(self.instance, "_edgeagents_open_facet", None)
        facet: Stub[Any] | None = await open_facet(name) if open_facet is not None else None
        if facet is not None:
            await facet._send(event)
        else:
            self.logger.warning("The facet %r of %s is not there any more: its alarm is dropped.", name, self.id)
            namespace, object_id, facets = self.slot.place
            self.world.alarms.index.remove_facets(namespace, object_id, (*facets, name))

    # What ctx offers

    @property
    def is_on_loop(self) -> bool:
        """Whether the caller is on the event loop."""
        return threading.get_ident() == self._thread_ident

    def invoke(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Call user code: an async function is awaited, an async generator function gives its generator, and any other
        function runs in the object's thread while no other turn of the object does."""
        flags = _flags(fn)
        if flags & inspect.CO_COROUTINE:
            return fn(*args, **kwargs)
        if flags & inspect.CO_ASYNC_GENERATOR:
            return Ready(fn(*args, **kwargs))
        return self._invoke_in_thread(fn, args, kwargs)

    async def _invoke_in_thread(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        turn = current_turn.get()
        if turn is None:
            raise RuntimeError("invoke() was called outside an event of this object.")
        section = await self.input.close()
        output = self.output
        output.begin_handler(turn)

        def run() -> Any:
            output.in_handler()
            return fn(*args, **kwargs)

        try:
            if self._thread is None:
                self._thread = HandlerThread(f"{self.slot.directory.class_name}-{str(self.id)[:8]}")
            result = await self._thread.run(run)
        finally:
            output.end_handler()
            self.input.reopen(section)
        return await result if inspect.isawaitable(result) else result

    def block_concurrency_while(self, fn: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """See ``ObjectContext``."""
        if self._starting is None:
            return self._section(fn)
        future: asyncio.Future[T] = self.loop.create_future()
        self._starting.append((fn, future))
        return future

    async def _section(self, fn: Callable[[], Awaitable[T]]) -> T:
        limit = self._limit_section()
        try:
            return await self._alone(fn)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.reset(crossing_error(error), cause=error)
            raise
        finally:
            limit.cancel()

    async def _alone(self, fn: Callable[[], Awaitable[T]]) -> T:
        """Run ``fn`` while no other turn of the object runs."""
        if current_turn.get() is None:
            raise RuntimeError("A critical section can only be entered from an event of its object.")
        section = await self.input.close()
        try:
            return await fn()
        finally:
            self.input.reopen(section)

    async def _alone_for_a_while(self, fn: Callable[[], Awaitable[T]]) -> T:
        limit = self._limit_section()
        try:
            return await self._alone(fn)
        finally:
            limit.cancel()

    def _limit_section(self) -> Any:
        seconds = self.world.limits.critical_section_seconds
        if seconds is None:
            return _NO_TIMER
        return self.world.clock.call_later(
            seconds,
            lambda: self.reset(
                ObjectReset(
                    "A call to blockConcurrencyWhile() in a Durable Object waited for too long. "
                    "The call was canceled and the Durable Object was reset."
                )
            ),
        )

    def parent_stub(self) -> Stub[Any] | None:
        """See ``ObjectContext.parent``."""
        parents = self.slot.parents
        if not parents:
            return None
        parent = parents[-1]

        async def deliver(address: Address, event: Event, props: Mapping[str, Any] | None) -> Any:
            if self.failure is not None:
                raise self.failure
            return await parent.deliver(event, props)

        return parent.directory.facet_stub(parent.directory.cls, parent.id, deliver)

    def in_parent(self, work: Callable[[Any], Coroutine[Any, Any, T]], *, name: str) -> asyncio.Task[T]:
        """See ``ObjectContext``."""
        parents = self.slot.parents
        parent = parents[-1].activation if parents else None
        if parent is None:
            raise RuntimeError("in_parent() was called in an object that is no facet, or that has left memory.")
        return parent.spawn(work(parent.instance), name=name)

    @contextmanager
    def _keep_awake(self) -> Generator[None]:
        self.hold()
        try:
            yield
        finally:
            self.let_go()

    def hold(self) -> None:
        """Stay in memory until ``let_go`` is called as often."""
        self._holds += 1

    def let_go(self) -> None:
        """End what one ``hold`` began."""
        self._holds -= 1
        if not self._holds:
            self._rest()

    def keep_awake(self) -> AbstractContextManager[None]:
        """See ``ObjectContext``."""
        return self._keep_awake()

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """See ``ObjectContext``."""

        self.keep_task(asyncio.ensure_future(awaitable))

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """See ``ObjectContext``."""
        if not isinstance(coroutine, Coroutine):
            raise TypeError(
                f"spawn() takes a coroutine, what calling an async function gives, not {type(coroutine).__name__}: "
                f"{coroutine!r}."
            )

        async def run() -> T:
            try:
                leave_section()
                return await Turn(self.input, coroutine, self)
            except _Aborted as aborted:
                raise self.failure or ObjectReset(str(aborted)) from None

        task = asyncio.get_running_loop().create_task(run(), name=f"{self.slot.directory.class_name}: {name}")
        task.add_done_callback(lambda _: coroutine.close())  # It may have been cancelled before its first step.
        self.keep_task(task)
        return task

    def keep_task(self, task: asyncio.Future[Any]) -> None:
        """Own ``task``: it keeps the object awake, and is cancelled with it."""
        if task.done():
            return
        self._tasks[task] = None
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None and error is not self.failure:
            name = task.get_name() if isinstance(task, asyncio.Task) else ""
            what = name.partition(": ")[2] or "what was given to wait_until()"
            self.logger.error("%s: %s failed", self.slot.title, what, exc_info=as_raised(error))
        if not self._holds:
            self._rest()

    def _transaction_ended(self) -> None:
        if self.is_on_loop:
            self.loop.call_soon(self.output.commit_now)


def _flags(fn: Callable[..., Any]) -> int:
    """Return what kind of function ``fn`` is, as flags of its code."""
    # Asked for every event: for a plain method a look at its code says what ``inspect`` takes microseconds to find.
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    flags = 0 if code is None else code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
    if flags:
        return flags
    if inspect.iscoroutinefunction(fn):
        return inspect.CO_COROUTINE
    return inspect.CO_ASYNC_GENERATOR if inspect.isasyncgenfunction(fn) else 0


class _NoTimer:
    def cancel(self) -> None:
        """Nothing was started."""


_NO_TIMER = _NoTimer()


def _failed_start(error: BaseException) -> tuple[BaseException, BaseException | None]:
    """Return what the callers of an object are told whose start has raised ``error``, and its cause."""
    crossing = crossing_error(error)
    if crossing is not error:
        return crossing, error
    # One of edgeagents' own is told as it is, with the program's lines that led to it.
    return error.with_traceback(as_raised(error)[2]), error.__cause__


def _reset_error(error: BaseException) -> ObjectError:
    if isinstance(error, StorageUnavailable):
        return StorageReset(f"The object was reset because its storage failed: {error}")
    reset = ObjectReset(f"The object was reset because its storage failed: {error}")
    reset.retryable = not isinstance(error, ValueError)
    return reset


def _alarm_refusal(cls: type, *, is_facet: bool) -> str | None:
    if is_facet:
        return "A facet has no alarm of its own. Set the alarm of the object that it is a facet of."
    if not callable(getattr(cls, "alarm", None)):
        return "Your Durable Object class must have an alarm() handler in order to call setAlarm()"
    return None
