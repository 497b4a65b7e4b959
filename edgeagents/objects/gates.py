"""Gates: when an object may hear the world, and when the world may hear the object.

An ``InputGate`` holds events back while a critical section runs, so no other event sees half-made state. A ``Turn`` is
one event's run through the object's code: it stands still while another turn has the object for itself, which is the
case in a critical section and while a sync handler runs in the object's thread. So the code of one object never runs
twice at the same moment, and gives way to others only where it awaits. (A task that user code makes by itself is not a
turn: it goes on.)

An ``OutputGate`` holds answers back until the writes they depend on are kept, so no caller is told of a write that a
crash could undo. Writes with no ``await`` between them are committed together, at the end of the event loop's step.
What a sync handler writes is committed together when it ends, or where it lets something out itself: a message, or a
chunk of a stream. Where power loss counts, the sync to disk runs in a thread; commits that are made meanwhile share the
next one.

Nothing here knows HTTP or what is stored: an ``Activation`` decides what passes. The rules follow workerd's gates.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, Protocol

from edgeagents.objects.sqlite_session import CommitPutOff

__all__ = [
    "Durability",
    "InputGate",
    "OutputGate",
    "Section",
    "Turn",
    "TurnOwner",
    "current_turn",
    "leave_section",
    "unkept_writes",
    "writes_kept",
]

Durability = Literal["full", "normal", "memory"]

current_turn: ContextVar[Turn | None] = ContextVar("edgeagents_turn", default=None)


class Section:
    """A critical section: from its beginning to its end only what runs within it goes on."""

    __slots__ = ("gate", "is_open", "outer")

    def __init__(self, gate: InputGate, outer: Section | None) -> None:
        self.gate, self.outer = gate, outer
        self.is_open = True

    def enter(self) -> None:
        """What runs here, and the tasks that it starts, run within the section from now on."""
        _current_section.set(self)


_current_section: ContextVar[Section | None] = ContextVar("edgeagents_section", default=None)


class InputGate:
    """Lets events in, one after another in the order of their coming, unless a section has the object for itself."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        """Those that are open, the innermost last."""
        self._is_void = False
        self._arriving: deque[list[asyncio.Future[None]]] = deque()
        self._standing: deque[asyncio.Future[None]] = deque()

    @property
    def is_open(self) -> bool:
        """Whether an event that comes now may start at once."""
        return not self.sections and not self._arriving

    def is_closed_here(self) -> bool:
        """Whether what runs here must stand still. Asked while there are sections."""
        return self.sections[-1] is not self._section_here() and not self._is_void

    async def enter(self) -> None:
        """Return when the event whose turn it is may start."""
        if self.is_open:
            return
        place = [asyncio.get_running_loop().create_future()]
        self._arriving.append(place)
        try:
            await place[0]
            while self.sections:
                # An event before this one closed the gate again: keep the place in the queue.
                place[0] = asyncio.get_running_loop().create_future()
                await place[0]
        finally:
            self._arriving.remove(place)
            self._let_next_in()

    async def close(self) -> Section:
        """Begin a section, within the one that this runs in, when no other is open. What awaits this is in it."""
        while self.sections and self.is_closed_here():
            await self.stand()
        section = self.close_at_once()
        section.enter()
        return section

    def close_at_once(self) -> Section:
        """Begin a section where nothing else can have the object. To be in it one has to ``enter`` it."""
        section = Section(self, self._section_here())
        self.sections.append(section)
        return section

    def reopen(self, section: Section) -> None:
        """End a section."""
        section.is_open = False
        self.sections.remove(section)
        if _current_section.get() is section:
            _current_section.set(section.outer)
        self._let_standing_go_on()
        self._let_next_in()

    def give_up(self) -> None:
        """The object is no more: what stands still shall come to its end."""
        self._is_void = True
        self._let_standing_go_on()

    async def stand(self) -> None:
        """Wait until a section ends."""
        future = asyncio.get_running_loop().create_future()
        self._standing.append(future)
        await future

    def _section_here(self) -> Section | None:
        section = _current_section.get()
        while section is not None and not (section.is_open and section.gate is self):
            # Of another object, which called this one; or left, and what it has started goes on.
            section = section.outer
        return section

    def _let_standing_go_on(self) -> None:
        standing, self._standing = self._standing, deque()
        for future in standing:
            _settle(future)

    def _let_next_in(self) -> None:
        # The first stays in the queue until it runs again, so that nobody who comes meanwhile overtakes it.
        if self._arriving and not self.sections:
            _settle(self._arriving[0][0])


class TurnOwner(Protocol):
    """What is known of the object whose turn it is."""

    output: OutputGate
    failure: BaseException | None
    """Why it has left memory, if it has."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Run ``coroutine`` as a turn of the object's own."""
        ...


class Turn:
    """Awaitable that runs ``coroutine`` and stands still while a section that it is not in has the object.

    That holds for errors too, such as that it was cancelled: it hears of them when it goes on.
    """

    __slots__ = ("_coroutine", "_gate", "at_end", "owner")

    def __init__(self, gate: InputGate, coroutine: Coroutine[Any, Any, Any], owner: TurnOwner | None = None) -> None:
        self._gate, self._coroutine = gate, coroutine
        self.owner = owner
        """The object whose turn it is."""
        self.at_end: Callable[[Turn], Exception | None] | None = None
        """Called at its end. What it returns is raised if the code has raised nothing itself."""

    @property
    def is_over(self) -> bool:
        """Whether its code has ended."""
        return getattr(self._coroutine, "cr_frame", self) is None

    def __await__(self) -> Generator[Any, Any, Any]:
        gate, coroutine = self._gate, self._coroutine
        current_turn.set(self)
        error: BaseException | None = None
        try:
            while True:
                while gate.sections and gate.is_closed_here():
                    try:
                        yield from gate.stand().__await__()
                    except GeneratorExit:
                        raise
                    except BaseException as raised:
                        error = raised
                try:
                    if error is None:
                        waits_for = coroutine.send(None)
                    else:
                        raised, error = error, None
                        waits_for = coroutine.throw(raised)
                except StopIteration as stop:
                    if self.at_end is not None and (left := self.at_end(self)) is not None:
                        raise left from None
                    return stop.value
                try:
                    yield waits_for
                except GeneratorExit:
                    raise
                except BaseException as raised:
                    error = raised
        finally:
            coroutine.close()
            if self.at_end is not None:
                self.at_end(self)


class Committer(Protocol):
    """What the output gate asks of a database."""

    lock: threading.RLock

    @property
    def held(self) -> bool:
        """Whether an explicit transaction runs, so that nothing may be committed now."""
        ...

    @property
    def is_held_here(self) -> bool:
        """Whether what runs here is a part of that transaction."""
        ...

    def commit(self) -> bool:
        """Commit what was written. Fast: does not wait for the disk. Raises ``CommitPutOff`` when it cannot be now."""
        ...

    def sync(self) -> None:
        """Return when what was committed survives a loss of power. Called in a thread."""
        ...

    @property
    def is_untidy(self) -> bool:
        """Whether ``tidy`` has something to do."""
        ...

    def tidy(self) -> None:
        """Do what need not be done before anything leaves. Called in a thread, after commits or their syncs."""
        ...


class OutputGate:
    """Holds back what leaves an object until the writes before it are kept.

    ``on_failure`` is called when a write cannot be kept; everything that waits then never leaves.
    """

    def __init__(
        self,
        database: Committer,
        durability: Durability,
        executor: Executor,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._database = database
        self._syncs = durability == "full"
        self._executor = executor
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._written = False
        self._commits = 0
        self._kept = 0
        self._syncing = self._tidying = self._is_put_off = False
        self._failure: BaseException | None = None
        self._handler: Turn | None = None
        self._waiting_handler: Turn | None = None
        self._handler_thread: int | None = None
        self._waiting: deque[tuple[int, Callable[[], object], asyncio.Future[None] | None]] = deque()

    @property
    def is_clear(self) -> bool:
        """Whether everything written so far is kept."""
        return not self._written and self._kept == self._commits

    @property
    def is_at_home(self) -> bool:
        """Whether the caller is in the thread of the object's event loop."""
        return threading.get_ident() == self._thread

    @property
    def is_settled(self) -> bool:
        """Whether ``flushed`` has nothing to wait for and nothing to raise."""
        return not (self._written or self._waiting or self._kept != self._commits or self._failure is not None)

    def note_write(self) -> None:
        """Tell that a write transaction has begun. Any thread may call this; a sync handler's writes end with it."""
        self._written = True
        if threading.get_ident() == self._thread:
            self._loop.call_soon(self._commit)

    def release(self, send: Callable[..., object], *args: Any) -> None:
        """Call ``send`` once everything written before is kept, in the order of these calls."""
        if threading.get_ident() != self._thread:
            # A sync handler may send for long before it ends: what it sends does not wait for its end.
            if threading.get_ident() == self._handler_thread:
                self.let_go()
                self._loop.call_soon_threadsafe(self._release_after, self._needed(), send, args)
            else:
                self._loop.call_soon_threadsafe(self._release_from_thread, send, args)
        elif self.is_settled:
            send(*args)
        else:
            self._release_after(self._needed(), send, args)

    async def flushed(self) -> None:
        """Return when everything written before is kept. Raises what made that fail.

        What the transaction has written that this is called in is kept when it ends: that is not waited for.
        """
        if self._written:
            # A sync handler that waits for a coroutine (``async_to_sync``) lets go there, as an ``await`` does.
            self._commit(is_handler=self._handler is not None and current_turn.get() is self._handler)
        if self._failure is not None:
            raise self._failure
        if self._database.is_held_here:
            if self._kept < self._commits:
                await self._when_kept(self._commits)
        elif self._waiting or not self.is_clear:
            await self._when_kept(self._needed())

    def commit_now(self) -> None:
        """End the current transaction here, as an ``await`` would."""
        if self._written:
            self._commit()

    def begin_handler(self, turn: Turn) -> None:
        """A sync handler of ``turn`` is about to run in the object's thread: its writes are not to be torn apart."""
        self.commit_now()
        self._handler = turn

    def in_handler(self) -> None:
        """Tell which thread the sync handler runs in: the one that calls this."""
        self._handler_thread = threading.get_ident()

    def end_handler(self) -> None:
        """The sync handler has ended: commit what it wrote."""
        self._handler = self._handler_thread = None
        self.commit_now()

    def let_go(self) -> None:
        """Commit here what the sync handler that calls this in its thread has written so far. Else do nothing."""
        if threading.get_ident() != self._handler_thread:
            return
        try:
            with self._database.lock:
                if not self._written or self._failure is not None or self._database.held:
                    return
                self._written = False
                self._database.commit()
                self._commits += 1
        except CommitPutOff:
            self._written = True  # The end of the handler tries it again.
        except Exception as error:
            self._loop.call_soon_threadsafe(self._on_failure, error)
        else:
            self._loop.call_soon_threadsafe(self._committed)

    def inherit(self) -> None:
        """What is there may not be kept yet: whoever left it may not have come to that. Any thread may call this."""
        with self._database.lock:
            self._commits += 1
        if threading.get_ident() == self._thread:
            self._committed()
        else:
            self._loop.call_soon_threadsafe(self._committed)

    def fail(self, error: BaseException) -> None:
        """Let nothing out any more; whoever waits gets ``error``."""
        self._failure = error
        waiting, self._waiting = self._waiting, deque()
        for _, _, future in waiting:
            if future is not None and not future.done():
                future.set_exception(error)

    def _when_kept(self, needed: int) -> asyncio.Future[None]:
        future = self._loop.create_future()
        at = len(self._waiting)
        while at and self._waiting[at - 1][0] > needed:
            at -= 1  # What waits for the end of a transaction comes later.
        self._waiting.insert(at, (needed, lambda: _settle(future), future))
        return future

    def _needed(self) -> int:
        return self._commits + 1 if self._written else self._commits

    def _release_after(self, needed: int, send: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self._failure is not None:
            return
        if self._waiting or self._kept < needed:
            self._waiting.append((needed, partial(send, *args), None))
        else:
            send(*args)

    def _release_from_thread(self, send: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.release(send, *args)
        self.commit_now()

    def _commit(self, *, is_handler: bool = False) -> None:
        database = self._database
        if is_handler:
            self._waiting_handler = self._handler
        if not self._written or self._failure is not None or database.held or self._is_put_off:
            return  # A held database calls back when its transaction ends.
        if self._handler is not None and not is_handler:
            return  # The end of the sync handler commits.
        if not database.lock.acquire(blocking=False):
            # The object's thread is inside a statement: the event loop must not wait for it.
            self._loop.call_later(0.001, self._commit)
            return
        try:
            self._written = False
            database.commit()
            self._commits += 1
        except CommitPutOff as put_off:
            self._written = self._is_put_off = True
            self._loop.call_later(put_off.seconds, self._commit_at_last)
            return
        except Exception as error:
            self._on_failure(error)
            return
        finally:
            database.lock.release()
        self._committed()

    def _commit_at_last(self) -> None:
        self._is_put_off = False
        self._commit(is_handler=self._handler is not None and self._waiting_handler is self._handler)

    def _committed(self) -> None:
        if not self._syncs:
            self._keep(self._commits)
            self._tidy()
        elif not self._syncing:
            self._sync()

    def _sync(self) -> None:
        self._syncing = True
        upto = self._commits
        self._loop.run_in_executor(self._executor, self._database.sync).add_done_callback(
            lambda done: self._synced(upto, done)
        )

    def _synced(self, upto: int, done: asyncio.Future[None]) -> None:
        self._syncing = False
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            if self._failure is None:
                self._on_failure(error)
            return
        self._keep(upto)
        if self._commits > self._kept:
            self._sync()
        self._tidy()

    def _tidy(self) -> None:
        if not self._tidying and self._database.is_untidy:
            self._tidying = True
            self._loop.run_in_executor(self._executor, self._database.tidy).add_done_callback(self._tidied)

    def _tidied(self, done: asyncio.Future[None]) -> None:
        self._tidying = False

    def _keep(self, upto: int) -> None:
        self._kept = upto
        while self._waiting and self._waiting[0][0] <= upto:
            self._waiting.popleft()[1]()


def leave_section() -> None:
    """What runs here, and the tasks that it starts, are in no section from now on."""
    _current_section.set(None)


def unkept_writes() -> Awaitable[None] | None:
    """Return what a call has to wait for before it leaves the object whose turn runs here: that what the object has
    written is kept, so that nobody acts on what a crash could undo. None when there is nothing to wait for.
    """
    turn = current_turn.get()
    if turn is None or turn.owner is None:
        return None
    output = turn.owner.output
    return None if output.is_settled or not output.is_at_home else output.flushed()


async def writes_kept() -> None:
    """Return when the writes are kept of the object whose code calls this, if any: before something leaves the object
    that others act on. Calls of stubs and of bindings wait by themselves.
    """
    unkept = unkept_writes()
    if unkept is not None:
        await unkept


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
