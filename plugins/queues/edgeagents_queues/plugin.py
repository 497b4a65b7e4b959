"""What the entry point names: producers in ``env``, and the consumers that the worker has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_queues.batch_route import BATCH_PATHS, BatchRoute
from edgeagents_queues.consumer import Consumer, Settings
from edgeagents_queues.over_http import MESSAGES_PATHS, PULL_DEFAULTS, MessagesRoute, QueuesOverHttp
from edgeagents_queues.producer import Queue
from edgeagents_queues.store import QueueStore

if TYPE_CHECKING:
    from edgeagents.extensions import DeveloperRoute, Trigger
    from edgeagents.runtime import Runtime

_consumers: WeakKeyDictionary[Any, list[Consumer]] = WeakKeyDictionary()
_pulled: WeakKeyDictionary[Any, list[Settings]] = WeakKeyDictionary()


class QueueType:
    """``queue``. Options: ``queue``, its name; ``delivery_delay`` in seconds."""

    kind = "queue"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        options = declaration.options
        name = options.get("queue") or declaration.name

        def sent() -> None:
            for neighbour in runtime.neighbours:
                for consumer in _consumers.get(neighbour, ()):
                    consumer.look()

        store = QueueStore(runtime.stores)
        return Queue(store, name, runtime.clock, runtime.rng, options.get("delivery_delay") or 0, sent)


class QueueConsumerType:
    """``queue_consumer``: has no name and is in no ``env``. Options: those of ``queues.consumers``.

    Of the type ``http_pull`` it says how the queue is taken from over HTTP.
    """

    kind = "queue_consumer"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        if declaration.options.get("type") == "http_pull":
            settings = Settings.of({**PULL_DEFAULTS, **declaration.options})
            _pulled.setdefault(runtime, []).append(settings)
            return settings
        consumer = Consumer(runtime, QueueStore(runtime.stores), Settings.of(declaration.options))
        _consumers.setdefault(runtime, []).append(consumer)
        return consumer


@hookimpl
def register_bindings(runtime: Runtime) -> Iterable[BindingType]:
    """Provide ``queue`` and ``queue_consumer``."""
    for known in (_consumers, _pulled):
        known.pop(runtime, None)  # Of a start that failed.
    return [QueueType(), QueueConsumerType()]


@hookimpl
def register_triggers(runtime: Runtime) -> Iterable[Trigger]:
    """Let the worker's consumers take messages while it runs."""
    return _consumers.get(runtime, [])


@hookimpl
def register_developer_routes(runtime: Runtime) -> Iterable[DeveloperRoute]:
    """Take batches and give messages over HTTP."""

    def pushed() -> set[str]:
        return {consumer.queue for neighbour in runtime.neighbours for consumer in _consumers.get(neighbour, ())}

    def settings_of(queue: str) -> Settings:
        declared = (one for neighbour in runtime.neighbours for one in _pulled.get(neighbour, ()))
        return next((one for one in declared if one.queue == queue), Settings.of({**PULL_DEFAULTS, "queue": queue}))

    http = QueuesOverHttp(runtime, QueueStore(runtime.stores), pushed, settings_of)
    return [
        *(MessagesRoute(path, http) for path in MESSAGES_PATHS),
        *(BatchRoute(path, runtime) for path in BATCH_PATHS),
    ]


@hookimpl
def register_commands(cli: Any) -> None:
    """Add ``edgeagents queues``."""
    from edgeagents_queues.commands import queues

    cli.add_command(queues)
