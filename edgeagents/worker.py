"""A worker: loaded user code with its environment, its entrypoint and its object classes.

A value, made by the middleware from a list of classes or by ``wrangler_compat`` from a configuration file, and
given to a ``Runtime``. What the names in it mean to wrangler is not known here.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeVar

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError

__all__ = ["Env", "ExecutionContext", "FetchFunction", "Worker", "WorkerEntrypoint", "call_relaxed"]

FetchFunction = Callable[..., object]


class Env(Mapping[str, Any]):
    """What a worker was given at boot: bindings, variables and secrets, as attributes or items.

    ``repr`` shows names only, so that a secret does not reach a log by accident.
    """

    # Beside the names and not one of them: whose environment it is, for what a worker has without declaring it.
    __slots__ = ("__dict__", "_runtime")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.__dict__.update(values or {})

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __iter__(self) -> Any:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(sorted(self.__dict__)) or "nothing"
        raise AttributeError(f"env has no {name!r}. It has: {known}.")

    def __repr__(self) -> str:
        return f"<Env {' '.join(sorted(self.__dict__))}>"


class ExecutionContext:
    """What one event of a worker may do beyond answering. ``props`` come from the caller's binding."""

    def __init__(
        self,
        wait_until: Callable[[Awaitable[object]], None],
        props: Mapping[str, Any] | None = None,
        exports: Env | None = None,
    ) -> None:
        self._wait_until = wait_until
        self.props: Mapping[str, Any] = props or {}
        self.exports: Env = exports if exports is not None else Env()
        """The worker's own entrypoints and object classes by name, each as a binding would give it."""

    def wait_until(self, awaitable: Awaitable[object]) -> None:
        """Let ``awaitable`` go on after the answer was sent. Its errors are logged, not raised.

        When the runtime stops it has five seconds to end; then it is cancelled.
        """
        self._wait_until(awaitable)


EnvT = TypeVar("EnvT", default=Any)


class WorkerEntrypoint(Generic[EnvT]):
    """A class that answers a worker's events; one named ``Default`` gets the HTTP requests.

    A fresh instance is made for each event, so an attribute set on it does not last.
    Handlers: ``fetch(self, request)``, sync or async.
    """

    env: EnvT
    ctx: ExecutionContext

    def __init__(self, ctx: ExecutionContext, env: EnvT) -> None:
        self.ctx, self.env = ctx, env


@dataclass(frozen=True)
class Worker:
    """User code, ready to run.

    ``classes`` are the object classes by name; ``entrypoint`` is a ``WorkerEntrypoint`` class, a module-level
    ``fetch(request, env, ctx)``, or None when only agents answer. ``entrypoints`` are all ``WorkerEntrypoint`` classes
    by name, ``crons`` the expressions by which ``scheduled`` is run.
    """

    name: str = "worker"
    classes: Mapping[str, type] = field(default_factory=dict[str, type])
    bindings: Sequence[BindingDeclaration] = ()
    entrypoint: type[WorkerEntrypoint[Any]] | FetchFunction | None = None
    entrypoints: Mapping[str, type[WorkerEntrypoint[Any]]] = field(
        default_factory=dict[str, type[WorkerEntrypoint[Any]]]
    )
    crons: Sequence[str] = ()
    compatibility_date: str | None = None
    compatibility_flags: frozenset[str] = frozenset()

    def handler(
        self, event: str, ctx: ExecutionContext, env: Env, entrypoint: str | None = None
    ) -> Callable[..., object]:
        """Return what handles ``event`` (such as ``"fetch"``) in an entrypoint, by default the main one."""
        chosen = self.entrypoint if entrypoint in (None, "default") else self._entrypoint_named(entrypoint)
        if isinstance(chosen, type):
            handler = getattr(chosen(ctx, env), event, None)
            if handler is None:
                raise ConfigError(f"{chosen.__name__} of the worker {self.name!r} has no {event}() method.")
            return handler
        if self.entrypoint is None or event != "fetch":
            raise ConfigError(
                f"The worker {self.name!r} has no handler for {event!r}. "
                f"Add a class Default(WorkerEntrypoint) with a method {event}()."
            )
        function = self.entrypoint
        return lambda request: call_relaxed(function, request, env, ctx)

    def _entrypoint_named(self, name: str | None) -> type[WorkerEntrypoint[Any]]:
        cls = self.entrypoints.get(name or "")
        if cls is None:
            known = ", ".join(self.entrypoints) or "none"
            raise ConfigError(f"The worker {self.name!r} has no entrypoint {name!r}. It has: {known}.")
        return cls


def call_relaxed(function: Callable[..., object], *args: object) -> object:
    """Call ``function`` with as many of ``args`` as it takes."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return function(*args)
    room = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    return function(*args[:room])
