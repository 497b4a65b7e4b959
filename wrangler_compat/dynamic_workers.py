"""Dynamic workers: code that comes while a worker runs, and runs beside it.

The code is a set of files. They are written into a folder of their own and loaded as a neighbour's are (see
``own_modules``), so that no module of theirs meets one of their parent's. The worker gets what ``env`` of the code
holds, and no state of its own: what it is to keep, its parent gives it a binding for, or a place as a facet.

It is no sandbox. The code runs in this process with its rights; ``network`` rules what ``fetch`` reaches, not what a
library opens for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final, cast

from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents.http import Request, Response
from edgeagents.runtime import Runtime
from edgeagents.services import Service
from edgeagents.worker import Env, FetchFunction, Worker, WorkerEntrypoint
from wrangler_compat.host.context import WorkerContext, outbound_here, running_for
from wrangler_compat.host.environment import js_env
from wrangler_compat.host.flags import flags_that_are_on
from wrangler_compat.host.importing import HostFinder
from wrangler_compat.host.loading import hosted_names
from wrangler_compat.own_modules import OwnModules
from wrangler_compat.worker_loader import entrypoints_in, object_classes_in

__all__ = ["DynamicWorker", "NoNetwork", "WorkerCode", "WorkerLoader"]

KEPT: Final = 100
"""How many workers of one loader stay loaded. The one that was not used for longest goes first; it can come again."""

_numbers = itertools.count(1)
_DATE = re.compile(r"2\d{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_JAVASCRIPT = frozenset({".js", ".mjs", ".cjs", ".wasm"})


class NoNetwork:
    """In place of the network: whatever asks it is refused."""

    def fetch(self, request: Any, init: Any = None) -> Any:
        """Raise ``PermissionError``."""
        raise PermissionError(
            "This worker is not permitted to access the internet via global functions like fetch(). "
            "It must use capabilities (such as bindings in 'env') to talk to the outside world."
        )


@dataclass(frozen=True)
class WorkerCode:
    """What a dynamic worker is made of. Raises ``TypeError``, or ``ConfigError`` for a date, for what cannot be one.

    ``modules`` are its files by their path, ``main_module`` the one of them that is its ``main``. ``network`` answers
    its ``fetch`` in place of the internet; None leaves it what its parent has.
    """

    main_module: str
    modules: Mapping[str, str | bytes]
    compatibility_date: str | None = None
    compatibility_flags: Sequence[str] = ()
    env: Mapping[str, Any] = field(default_factory=dict[str, Any])
    network: Any = None

    def __post_init__(self) -> None:
        if self.compatibility_date is not None and not _DATE.fullmatch(self.compatibility_date):
            raise ConfigError(f"Invalid compatibility date: {self.compatibility_date} (it is such as 2026-04-01)")
        if not self.modules:
            raise TypeError("Dynamic Worker code must contain at least one module.")
        for name in self.modules:
            path = PurePosixPath(name)
            if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
                raise TypeError(f"{name!r} cannot be the name of a module: it is a path within the worker.")
        if self.main_module not in self.modules:
            raise TypeError(f"mainModule {self.main_module!r} is none of the modules: {', '.join(self.modules)}.")
        ending = PurePosixPath(self.main_module).suffix
        if ending != ".py":
            what = "JavaScript, which only Cloudflare runs" if ending in _JAVASCRIPT else "no Python file"
            raise TypeError(f"mainModule {self.main_module!r} is {what}. Write it in Python: its name ends in .py.")


Source = Callable[[], "WorkerCode | Awaitable[WorkerCode]"]


class WorkerLoader:
    """The binding ``worker_loader``: makes workers of code."""

    js_name: ClassVar[str] = "WorkerLoader"

    def __init__(self, parent: Runtime) -> None:
        self.parent = parent
        self._by_id: dict[str, DynamicWorker] = {}
        self._loaded: dict[DynamicWorker, None] = {}

    def get(self, id: str | None, source: Source) -> DynamicWorker:
        """Return the worker that goes by ``id``.

        It is loaded when it is first used; then ``source``, a function that may be async, is asked for its code. It is
        not asked again while the worker stays loaded. Without an ``id`` it is always a new one.
        """
        if id is None:
            return DynamicWorker(self, source)
        if id not in self._by_id:
            self._by_id[id] = DynamicWorker(self, source, id)
        return self._by_id[id]

    def load(self, code: WorkerCode) -> DynamicWorker:
        """Return a new worker of ``code``. It is loaded when it is first used."""
        return DynamicWorker(self, lambda: code)

    async def stop(self) -> None:
        """Stop all of them."""
        self._by_id.clear()
        for worker in list(self._loaded):
            await worker.stop()

    async def _used(self, worker: DynamicWorker) -> None:
        self._loaded.pop(worker, None)
        self._loaded[worker] = None
        while len(self._loaded) > KEPT:
            idle = next((other for other in self._loaded if not other.is_busy), None)
            if idle is None or idle is worker:
                return
            await idle.stop()

    def _gone(self, worker: DynamicWorker) -> None:
        self._loaded.pop(worker, None)
        if worker.id is not None and self._by_id.get(worker.id) is worker:
            del self._by_id[worker.id]


class DynamicWorker:
    """One worker of a loader, loaded or not."""

    def __init__(self, loader: WorkerLoader, source: Source, id: str | None = None) -> None:
        self.id = id
        self._loader, self._source = loader, source
        self._loading: asyncio.Future[_Loaded] | None = None
        self._events = 0

    @property
    def is_busy(self) -> bool:
        """Whether an event of it runs."""
        return self._events > 0

    def entrypoint(self, name: str | None = None, props: Mapping[str, Any] | None = None) -> Service:
        """Return its entrypoint ``name``, by default ``Default``, which finds ``props`` in its ``ctx``."""
        return Service(_Later(self), name, props)

    async def object_class(self, name: str) -> type:
        """Return its object class ``name``, for a facet. Raises ``TypeError`` if it has none."""
        return (await self._load()).object_class(name)

    async def stop(self) -> None:
        """Forget it. Whoever still has it loads it anew."""
        loading, self._loading = self._loading, None
        self._loader._gone(self)
        if loading is not None:
            loaded = await asyncio.gather(loading, return_exceptions=True)
            if isinstance(loaded[0], _Loaded):
                await loaded[0].stop()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[Runtime]:
        """Give the runtime that runs it, for one event; what runs then belongs to it, and has its network."""
        self._events += 1
        try:
            loaded = await self._load()
            await self._loader._used(self)
            with running_for(loaded.context):
                yield loaded.runtime
        finally:
            self._events -= 1

    async def _load(self) -> _Loaded:
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._begin())
        loading = self._loading
        try:
            return await asyncio.shield(loading)
        except BaseException:
            if self._loading is loading and loading.done():
                self._loading = None
            raise

    async def _begin(self) -> _Loaded:
        code = self._source()
        if inspect.isawaitable(code):
            code = await code
        if not isinstance(code, WorkerCode):
            raise TypeError(f"What loads a worker returns WorkerCode, not a {type(code).__name__}.")
        return await _Loaded.of(code, self._loader.parent)


class _Later:
    """What a ``Service`` needs of a runtime, before there is one."""

    def __init__(self, worker: DynamicWorker) -> None:
        self._worker = worker

    def handler(
        self, event: str, *, entrypoint: str | None = None, props: Mapping[str, Any] | None = None
    ) -> Callable[..., Awaitable[Any]]:
        async def handle(*args: Any, **keywords: Any) -> Any:
            async with self._worker.running() as runtime:
                answer = runtime.handler(event, entrypoint=entrypoint, props=props)(*args, **keywords)
                return await answer if inspect.isawaitable(answer) else answer

        return handle

    async def respond(self, answer: Any, request: Request) -> Response:
        async with self._worker.running() as runtime:
            return await runtime.respond(answer, request)


class _Loaded:
    """A worker's imported code, and the runtime that runs it."""

    def __init__(
        self, runtime: Runtime, context: WorkerContext, own: OwnModules, finder: HostFinder, folder: Path
    ) -> None:
        self.runtime, self.context = runtime, context
        self._own, self._finder, self._folder = own, finder, folder
        self._at_home: dict[str, type] = {}

    def object_class(self, name: str) -> type:
        """Return the class as facets have it, whose ``env`` is their own worker's and not their parent's."""
        cls = self.runtime.worker.classes.get(name)
        if cls is None:
            known = ", ".join(self.runtime.worker.classes) or "none"
            raise TypeError(f"The dynamic worker has no Durable Object class {name!r}. It has: {known}.")
        if name not in self._at_home:
            self._at_home[name] = _at_home(cls, self.runtime)
        return self._at_home[name]

    @classmethod
    async def of(cls, code: WorkerCode, parent: Runtime) -> _Loaded:
        name = f"dynamic-{next(_numbers)}"
        folder = Path(tempfile.mkdtemp(prefix="edgeagents-worker-"))
        finder = HostFinder([])
        sys.meta_path.insert(0, finder)
        own = OwnModules(name, [str(folder)], _written(code, folder))
        context = WorkerContext(name, flags_that_are_on(code.compatibility_date, code.compatibility_flags))
        context.outbound = code.network if code.network is not None else outbound_here()
        try:
            js_env(Env(code.env), context)
            with running_for(context):
                names = hosted_names(own.load_main(), context)
                runtime = Runtime(
                    _worker(name, names, code),
                    storage=None,
                    env=code.env,
                    plugins=(_NoPlugin(),),
                    discover_plugins=False,
                    clock=parent.clock,
                    rng=parent.rng,
                    limits=parent.limits,
                    respond=parent.respond,
                    debug=parent.debug,
                )
                await runtime.start()
        except BaseException:
            _forget(own, finder, folder)
            raise
        return cls(runtime, context, own, finder, folder)

    async def stop(self) -> None:
        try:
            await self.runtime.stop()
        finally:
            _forget(self._own, self._finder, self._folder)


class _NoPlugin:
    """What a dynamic worker has beside its code: nothing."""

    @hookimpl
    def register_bindings(self) -> list[Any]:
        return []


def _written(code: WorkerCode, folder: Path) -> Path:
    for name, content in code.modules.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / code.main_module


def _forget(own: OwnModules, finder: HostFinder, folder: Path) -> None:
    own.close()
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
    shutil.rmtree(folder, ignore_errors=True)


def _worker(name: str, names: Mapping[str, Any], code: WorkerCode) -> Worker:
    default = names.get("Default")
    main: type[WorkerEntrypoint[Any]] | FetchFunction | None = None
    if isinstance(default, type) and issubclass(default, WorkerEntrypoint):
        main = cast("type[WorkerEntrypoint[Any]]", default)
    elif callable(names.get("fetch")):
        main = names["fetch"]
    return Worker(
        name=name,
        classes=dict(object_classes_in(names)),
        entrypoint=main,
        entrypoints=entrypoints_in(names),
        compatibility_date=code.compatibility_date,
        compatibility_flags=frozenset(code.compatibility_flags),
    )


def _at_home(cls: type, runtime: Runtime) -> type:
    def __init__(self: Any, ctx: Any, env: Any) -> None:
        ctx.exports = runtime.exports
        cast("Any", cls).__init__(self, ctx, runtime.env)

    return type(cls.__name__, (cls,), {"__init__": __init__, "__module__": cls.__module__, "__doc__": cls.__doc__})
