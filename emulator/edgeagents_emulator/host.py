"""The host: an ASGI app that boots the project it is started in, and serves it.

Making one has no effects. It boots in the server's lifespan, or with the first request where there is none.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from edgeagents.asgi.app_response import respond
from edgeagents.asgi.http import serve_http
from edgeagents.asgi.settings import Settings
from edgeagents.asgi.types import Message, Receive, Scope, Send
from edgeagents.asgi.websocket import serve_websocket
from edgeagents.asgi.worker_app import WorkerApp
from edgeagents.class_changes import WorkersChanges, make_class_changes
from edgeagents.errors import ClientDisconnected, ConfigError, EdgeAgentsError, HttpError, StorageUnavailable
from edgeagents.http import Request, Response
from edgeagents.http.origins import Hosts
from edgeagents.neighbours import Neighbours
from edgeagents.objects import Clock, History, Limits
from edgeagents.plugins import load_plugins, unique
from edgeagents.runtime import Runtime
from edgeagents_emulator.access_log import with_request_lines
from edgeagents_emulator.banner import banner
from edgeagents_emulator.error_page import error_page
from edgeagents_emulator.hosts import came_over_loopback, with_own_hosts
from edgeagents_emulator.hypercorn_fixes import mend_hypercorn
from edgeagents_emulator.log import configure_logging, in_a_line, user_traceback
from edgeagents_emulator.options import Options
from edgeagents_emulator.own_plugins import own_plugins
from edgeagents_emulator.project import Project, load_projects, open_environments
from wrangler_compat import bindings
from wrangler_compat.deployable import warn_of_edited_steps
from wrangler_compat.migrations import class_changes
from wrangler_compat.missing_packages import how_to_install
from wrangler_compat.own_environment import OwnEnvironment

__all__ = ["BootFailed", "EmulatorApp"]

_log = logging.getLogger("edgeagents.emulator")
_UPDATED = "Local server updated and ready"
_HINT = "It is shown to this machine alone, by edgeagents dev."


class BootFailed(EdgeAgentsError):
    """The project cannot be started. The message is for the developer, with a traceback only of the worker's code."""


class EmulatorApp:
    """The project of the current directory as an ASGI app, or the one that ``options`` name.

    ``clock`` says what time it is for the worker; by default the system does. ``on_built`` is called when everything is
    built and no code of it has been read. One that ``owns_process`` lets the search
    for garbage pass by all that was there when it had started.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        clock: Clock | None = None,
        on_built: Callable[[], object] | None = None,
        owns_process: bool = False,
    ) -> None:
        self._options, self._clock, self._owns_process = options, clock, owns_process
        self._on_built = on_built
        self._session: _Session | None = None
        self._fault: BootFailed | None = None
        self._booting = asyncio.Lock()
        self._serve = with_request_lines(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    @property
    def banner(self) -> str:
        """What a session begins with, empty while nothing runs."""
        return "" if self._session is None else self._session.banner

    async def stop(self) -> None:
        """Stop the project, where no lifespan does it. Harmless when it does not run."""
        session, self._session = self._session, None
        if session is not None:
            await session.stop()

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        session = self._session
        return self._boot_and_answer(scope, receive, send) if session is None else session.app(scope, receive, send)

    async def _boot_and_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            session = await self._ready()
        except BootFailed as fault:
            await _serve_fault(fault, scope, receive, send)
            return
        await session.app(scope, receive, send)

    async def _ready(self) -> _Session:
        if self._session is None:
            async with self._booting:
                if self._fault is not None:
                    raise self._fault
                if self._session is None:
                    await self._boot()
        assert self._session is not None
        return self._session

    async def _boot(self) -> None:
        options = self._options or Options.from_environment(os.environ, Path.cwd())
        configure_logging(options.log_level)
        mend_hypercorn()
        try:
            self._session = await _boot(options, os.environ, self._clock, self._on_built)
        except BootFailed as fault:
            _log.error("%s", fault)
            if options.serves_when_broken:
                self._fault = fault
            raise
        finally:
            if self._owns_process:
                gc.freeze()
                gc.enable()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        startup = await receive()
        try:
            session = await self._ready()
        except BootFailed as fault:
            if self._fault is None:
                headline = str(fault).partition("\n")[0]
                await _refuse_to_start(headline, send)
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        pending = [startup]

        async def again() -> Message:
            return pending.pop() if pending else await receive()

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await self.stop()
            await send(message)

        await session.app(scope, again, told)


class _Session:
    """One project that runs, or several, of which the first has the traffic."""

    def __init__(
        self,
        projects: Sequence[Project],
        runtimes: Sequence[Runtime],
        environments: Sequence[OwnEnvironment],
        options: Options,
    ) -> None:
        self._projects, self._runtimes, self._environments = projects, runtimes, environments
        self._shows_errors = options.shows_errors
        self.banner = "\n".join(map(banner, projects))
        self.runtime = runtime = runtimes[0]
        self.app = with_own_hosts(WorkerApp(runtime, fetch=self._fetch), Hosts(options.allowed_hosts))

    async def _fetch(self, request: Request) -> Response:
        try:
            return await self.runtime.fetch(request)
        except (HttpError, ClientDisconnected, StorageUnavailable):
            raise
        except (Exception, SystemExit) as error:
            # One request that wants to end the program ends with it.
            told, trace = in_a_line(error), user_traceback(error)
            if trace == told:
                trace = ""
            _log.error("%s %s failed: %s", request.method, request.path, told, exc_info=error if trace else None)
            if isinstance(error, ModuleNotFoundError) and error.name:
                _log.error("%r: %s", error.name, how_to_install(error.name, self._projects[0].config.directory))
            if self._shows_errors and request.scope is not None and came_over_loopback(request.scope):
                return error_page(request, title=told, text=trace, hint=_HINT)
            return error_page(request)

    async def stop(self) -> None:
        try:
            for runtime in self._runtimes:
                await runtime.stop()
        finally:
            for project in self._projects:
                project.code.unload()
            for environment in self._environments:
                environment.close()


async def _boot(
    options: Options, process: Mapping[str, str], clock: Clock | None, on_built: Callable[[], object] | None
) -> _Session:
    environments: Sequence[OwnEnvironment] = ()
    try:
        environments = open_environments(options, process)
        return await _boot_in(environments, options, process, clock, on_built)
    except BaseException as error:
        for environment in environments:
            environment.close()
        if isinstance(error, EdgeAgentsError) and not isinstance(error, BootFailed):
            raise BootFailed(str(error)) from error
        raise


async def _boot_in(
    environments: Sequence[OwnEnvironment],
    options: Options,
    process: Mapping[str, str],
    clock: Clock | None,
    on_built: Callable[[], object] | None,
) -> _Session:
    try:
        # Asked of a runtime that never starts: which kinds there are is needed before there is a worker.
        plugins = [bindings, *own_plugins(options.plugins, Path(options.directory))]
        hook = load_plugins(plugins).hook
        kinds = unique(hook.register_bindings(runtime=Runtime(storage=None)), "kind", "binding type")
        limits = Limits.read(options.limits)
        history = _history(options.history)
        projects = load_projects(options, process, kinds, on_built=on_built)
        _migrate(projects)
    except EdgeAgentsError as error:
        raise BootFailed(str(error)) from error
    except (Exception, SystemExit) as error:
        raise BootFailed(f"The worker cannot be imported.\n{user_traceback(error)}") from error
    neighbours = Neighbours()
    runtimes = [
        Runtime(
            project.worker,
            plugins=plugins,
            storage=project.state_folder,
            limits=limits,
            history=history,
            model_fallback=options.model_fallback,
            respond=respond,
            neighbours=neighbours,
            clock=clock,
            debug=False,
        )
        for project in projects
    ]
    session = _Session(projects, runtimes, environments, options)
    try:
        # The one with the traffic is the last to begin, and the first to end.
        for runtime in reversed(runtimes):
            await runtime.start()
    except EdgeAgentsError as error:
        await session.stop()
        raise BootFailed(str(error)) from error
    for fault in filter(None, (environment.fault for environment in environments)):
        _log.warning("%s", fault)
    _log.info("%s", _UPDATED if session.banner == options.known_banner else session.banner)
    for project in projects:
        if project.config.diagnostics.warnings:
            _log.warning("%s", project.config.diagnostics.render(project.config.title))
    return session


def _migrate(projects: Sequence[Project]) -> None:
    """Do to stored objects what the configurations' migrations want, each once."""
    workers = [
        WorkersChanges(
            project.worker.name,
            class_changes(project.config.values["migrations"], project.config.values["exports"]),
            project.worker.classes,
        )
        for project in projects
    ]
    try:
        for line in make_class_changes(projects[0].state_folder, workers):
            _log.info("Migrated %s", line)
        for project in projects:
            warn_of_edited_steps(project.config, projects[0].state_folder)
    except BaseException:
        for project in projects:
            project.code.unload()
        raise


def _history(days: str | None) -> History | None:
    if days is None:
        return History()
    try:
        number = float(days)
    except ValueError:
        raise ConfigError(
            f"The history is kept for a number of days, not {days!r}: --history, EDGEAGENTS_HISTORY."
        ) from None
    return History(days=number) if number else None


async def _refuse_to_start(message: str, send: Send) -> None:
    try:
        await send({"type": "lifespan.startup.failed", "message": message})
    except Exception as error:
        if type(error).__name__ != "LifespanFailureError":
            raise
        # Hypercorn raises what it is told, and its traceback would bury what the developer must read. Nor should the
        # event loop complain that nobody asked its task how it ended.
        if (task := asyncio.current_task()) is not None:
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        raise SystemExit(1) from None


async def _serve_fault(fault: BootFailed, scope: Scope, receive: Receive, send: Send) -> None:
    async def tell(request: Request) -> Response:
        return error_page(
            request,
            title="The worker could not be started",
            text=str(fault),
            hint="Save the file when it is mended: the emulator tries again.",
        )

    serve = serve_http if scope["type"] == "http" else serve_websocket
    await serve(scope, receive, send, tell, Settings())
