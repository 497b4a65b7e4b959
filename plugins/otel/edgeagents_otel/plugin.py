"""What the entry point names."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

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


class _Open(NamedTuple):
    span: Span
    token: Token[context.Context]


class OTelPlugin:
    """Spans and metrics of objects.

    A span is named by the class and the kind of event (``Counter.fetch``), or the method (``Counter.add``), and is the
    parent of every span that the handler makes. Its attributes are ``edgeagents.class``, ``edgeagents.id``,
    ``edgeagents.name`` and ``edgeagents.event``. What an agent tells while it runs (``rpc``, ``schedule:execute``) is
    an event of its span, with those fields of it that are text, numbers or true and false.

    Metrics: ``edgeagents.event.duration`` (seconds, by class, kind and outcome), ``edgeagents.agent.events`` (by class
    and type) and ``edgeagents.objects.awake``.

    Names of agents can be personal: ``OTelPlugin(record_names=False)`` leaves them out.
    """

    def __init__(self, *, record_names: bool = True) -> None:
        self._record_names = record_names
        self._tracer = trace.get_tracer("edgeagents")
        meter = metrics.get_meter("edgeagents")
        self._duration = meter.create_histogram("edgeagents.event.duration", "s", "How long objects handled events")
        self._told = meter.create_counter("edgeagents.agent.events", "{event}", "What agents told of themselves")
        self._awake = meter.create_up_down_counter("edgeagents.objects.awake", "{object}", "Objects in memory")
        self._current: ContextVar[_Open | None] = ContextVar("edgeagents_otel_span", default=None)

    @hookimpl
    def event_started(self, object_id: ObjectId, class_name: str, event: Event) -> None:
        """Begin a span, and make it the current one of the handler."""
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
        self._current.set(_Open(span, context.attach(trace.set_span_in_context(span))))

    @hookimpl
    def event_finished(self, object_id: ObjectId, event: Event, error: BaseException | None, seconds: float) -> None:
        """End the span."""
        opened = self._current.get()
        if opened is None:
            return
        self._current.set(None)
        context.detach(opened.token)
        attributes = getattr(opened.span, "attributes", None) or {}
        self._duration.record(
            seconds,
            {
                "edgeagents.class": attributes.get("edgeagents.class", ""),
                "edgeagents.event": _KINDS[type(event)],
                "edgeagents.failed": error is not None,
            },
        )
        if error is not None:
            opened.span.record_exception(error)
            opened.span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        opened.span.end()

    @hookimpl
    def agent_event(self, event: AgentEvent) -> None:
        """Count what an agent told, and note it at the current span."""
        self._told.add(1, {"edgeagents.class": event.agent, "edgeagents.type": event.type})
        span = trace.get_current_span()
        if span.is_recording():
            plain = {key: value for key, value in event.payload.items() if isinstance(value, str | int | float | bool)}
            span.add_event(event.type, plain)

    @hookimpl
    def object_woke(self) -> None:
        """Count an object that is awake."""
        self._awake.add(1)

    @hookimpl
    def object_left(self) -> None:
        """Count one less."""
        self._awake.add(-1)


otel_plugin = OTelPlugin()
