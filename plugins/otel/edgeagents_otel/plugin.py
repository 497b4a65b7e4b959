"""What the entry point names."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from edgeagents.agents import AgentEvent
from edgeagents.hookspecs import hookimpl
from edgeagents.objects import (
    AlarmEvent,
    CallEvent,
    CloseEvent,
    Event,
    FetchEvent,
    MessageEvent,
    ObjectId,
    SocketErrorEvent,
    StartEvent,
)

if TYPE_CHECKING:
    from edgeagents.agents.observability import EventBus
    from edgeagents.runtime import Runtime

__all__ = ["OTelPlugin", "otel_plugin"]

_KINDS: Mapping[type, str] = {
    FetchEvent: "fetch",
    CallEvent: "call",
    MessageEvent: "web_socket_message",
    CloseEvent: "web_socket_close",
    SocketErrorEvent: "web_socket_error",
    AlarmEvent: "alarm",
    StartEvent: "start",
}


_LOOK_SECONDS = 1.0


class _Open(NamedTuple):
    span: Span
    token: Token[context.Context]
    class_name: str


class OTelPlugin:
    """Spans and metrics of objects.

    A span is named by the class and the kind of event (``Counter.fetch``), or the method (``Counter.add``), and is the
    parent of every span that the handler makes. Its attributes are ``edgeagents.class``, ``edgeagents.id``,
    ``edgeagents.name`` and ``edgeagents.event``. What an agent tells while it runs (``rpc``, ``schedule:execute``) is
    an event of its span, with those fields of it that are text, numbers or true and false.

    Metrics: ``edgeagents.event.duration`` (seconds, by class, kind and outcome), ``edgeagents.agent.events`` (by class
    and type) and ``edgeagents.objects.awake``.

    Names of agents can be personal: ``OTelPlugin(record_names=False)`` leaves them out.

    Until an SDK of OpenTelemetry is set up nothing is recorded, and events cost next to nothing. One that is set up
    while objects run is noticed within a second.
    """

    def __init__(self, *, record_names: bool = True) -> None:
        self._record_names = record_names
        self._tracer = trace.get_tracer("edgeagents")
        meter = metrics.get_meter("edgeagents")
        self._duration = meter.create_histogram("edgeagents.event.duration", "s", "How long objects handled events")
        self._told = meter.create_counter("edgeagents.agent.events", "{event}", "What agents told of themselves")
        self._awake = meter.create_up_down_counter("edgeagents.objects.awake", "{object}", "Objects in memory")
        self._awake_untold = 0
        self._current: ContextVar[_Open | None] = ContextVar("edgeagents_otel_span", default=None)
        self._is_on = False
        self._look_at = 0.0
        self._silent: WeakSet[EventBus] = WeakSet()

    @hookimpl
    def startup(self, runtime: Runtime) -> None:
        """Listen to the agents of a runtime."""
        self._silent.add(runtime.events)
        self._look_at = 0.0
        if self._is_on or self._look():
            self._listen()

    @hookimpl
    def event_started(self, object_id: ObjectId, class_name: str, event: Event) -> None:
        """Begin a span, and make it the current one of the handler."""
        if not self._is_on and not self._look():
            return
        kind = _KINDS[type(event)]
        name = event.method if isinstance(event, CallEvent) else kind
        attributes: dict[str, Any] = {
            "edgeagents.class": class_name,
            "edgeagents.id": object_id.digits,
            "edgeagents.event": kind,
        }
        if self._record_names and object_id.name is not None:
            attributes["edgeagents.name"] = object_id.name
        span = self._tracer.start_span(f"{class_name}.{name}", kind=SpanKind.SERVER, attributes=attributes)
        self._current.set(_Open(span, context.attach(trace.set_span_in_context(span)), class_name))

    @hookimpl
    def event_finished(self, object_id: ObjectId, event: Event, error: BaseException | None, seconds: float) -> None:
        """End the span."""
        if not self._is_on:
            return
        opened = self._current.get()
        if opened is None:
            return
        self._current.set(None)
        context.detach(opened.token)
        self._duration.record(
            seconds,
            {
                "edgeagents.class": opened.class_name,
                "edgeagents.event": _KINDS[type(event)],
                "edgeagents.failed": error is not None,
            },
        )
        if error is not None:
            opened.span.record_exception(error)
            opened.span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        opened.span.end()

    @hookimpl
    def object_woke(self) -> None:
        """Count an object that is awake."""
        self._count_awake(1)

    @hookimpl
    def object_left(self) -> None:
        """Count one less."""
        self._count_awake(-1)

    def _look(self) -> bool:
        """Whether an SDK is there now. It stays, so this is asked no more."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_SECONDS
        # The API has providers of its own, which do nothing.
        self._is_on = not (_is_of(trace.get_tracer_provider(), trace) and _is_of(metrics.get_meter_provider(), metrics))
        if self._is_on:
            self._listen()
            self._awake.add(self._awake_untold)
        return self._is_on

    def _listen(self) -> None:
        while self._silent:
            self._silent.pop().subscribe(None, self._note)

    def _note(self, event: AgentEvent) -> None:
        """Count what an agent told, and note it at the current span."""
        self._told.add(1, {"edgeagents.class": event.agent, "edgeagents.type": event.type})
        span = trace.get_current_span()
        if span.is_recording():
            plain = {key: value for key, value in event.payload.items() if isinstance(value, str | int | float | bool)}
            span.add_event(event.type, plain)

    def _count_awake(self, by: int) -> None:
        if self._is_on:
            self._awake.add(by)
        else:
            self._awake_untold += by


def _is_of(provider: object, module: ModuleType) -> bool:
    return type(provider).__module__.startswith(module.__name__)


otel_plugin = OTelPlugin()
