"""What OpenTelemetry is told, seen through its own SDK in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from edgeagents_otel import OTelPlugin
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from edgeagents import Agent, Runtime, callable, get_agent_by_name
from edgeagents.testing import agent_runtime, connect, settle

pytestmark = pytest.mark.cloudflare(
    "Observability", "OpenTelemetry", "different: a plugin, on the application's own SDK"
)


class Counter(Agent):
    initial_state = {"n": 0}

    @callable()
    async def add(self, by: int = 1) -> int:
        with trace.get_tracer("app").start_as_current_span("work"):
            self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    async def fail(self) -> None:
        raise ValueError("secret detail")

    async def ask(self, name: str) -> int:
        other = await get_agent_by_name(Counter, name)
        return await other.add()


@pytest.fixture(scope="module")
def sdk() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    return exporter, reader


@pytest.fixture
def spans(sdk: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> InMemorySpanExporter:
    sdk[0].clear()
    return sdk[0]


def runtime(**options: Any) -> Runtime:
    return agent_runtime(Counter, plugins=[OTelPlugin(**options)])


def named(spans: InMemorySpanExporter, name: str) -> Any:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


async def test_a_call_is_a_span_and_the_parent_of_the_handlers_own(spans: InMemorySpanExporter) -> None:
    async with runtime() as running:
        await running.namespaces["Counter"].get_by_name("x").add()
    call, work = named(spans, "Counter.add"), named(spans, "work")
    assert work.parent.span_id == call.context.span_id
    assert call.attributes["edgeagents.class"] == "Counter"
    assert call.attributes["edgeagents.name"] == "x"
    assert call.attributes["edgeagents.event"] == "call"
    assert [event.name for event in work.events] == ["state:update", "state:update"]


async def test_an_agent_that_another_one_calls_is_in_its_trace(spans: InMemorySpanExporter) -> None:
    async with runtime() as running:
        await running.namespaces["Counter"].get_by_name("a").ask("b")
    ask, add = named(spans, "Counter.ask"), named(spans, "Counter.add")
    assert add.parent.span_id == ask.context.span_id


async def test_a_message_is_a_span_with_what_the_agent_told(spans: InMemorySpanExporter) -> None:
    async with runtime() as running:
        socket = await connect(running, "/agents/counter/x?_pk=c")
        socket.send(json.dumps({"type": "rpc", "id": "1", "method": "add", "args": [2]}))
        await settle()
    message = named(spans, "Counter.web_socket_message")
    assert [(event.name, dict(event.attributes)) for event in message.events] == [("rpc", {"method": "add"})]
    assert ("connect", {"connection_id": "c"}) in [
        (event.name, dict(event.attributes)) for event in named(spans, "Counter.fetch").events
    ]


async def test_a_failure_is_an_error_of_its_span(spans: InMemorySpanExporter) -> None:
    async with runtime() as running:
        with pytest.raises(ValueError, match="secret detail"):
            await running.namespaces["Counter"].get_by_name("x").fail()
    span = named(spans, "Counter.fail")
    assert (span.status.status_code.name, span.status.description) == ("ERROR", "ValueError")
    assert [event.name for event in span.events] == ["exception"]


async def test_names_may_be_left_out(spans: InMemorySpanExporter) -> None:
    async with runtime(record_names=False) as running:
        await running.namespaces["Counter"].get_by_name("ann@example.com").add()
    assert "edgeagents.name" not in named(spans, "Counter.add").attributes


async def test_events_are_counted_and_timed(sdk: tuple[InMemorySpanExporter, InMemoryMetricReader]) -> None:
    sdk[1].get_metrics_data()
    async with runtime() as running:
        await running.namespaces["Counter"].get_by_name("x").add()
        data: Any = sdk[1].get_metrics_data()
        metric = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
        points = metric["edgeagents.event.duration"].data.data_points
        assert {"edgeagents.class": "Counter", "edgeagents.event": "call", "edgeagents.failed": False} in [
            dict(point.attributes) for point in points
        ]
        told = {
            point.attributes["edgeagents.type"]: point.value
            for point in metric["edgeagents.agent.events"].data.data_points
        }
        assert told["state:update"] >= 2
        assert metric["edgeagents.objects.awake"].data.data_points[0].value == 1
    data = sdk[1].get_metrics_data()
    metric = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
    assert metric["edgeagents.objects.awake"].data.data_points[0].value == 0


LATE_SDK = """
import asyncio
from edgeagents import Agent
from edgeagents.testing import agent_runtime
from edgeagents_otel import OTelPlugin
from edgeagents_otel import plugin as module
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Counter(Agent):
    initial_state = {"n": 0}

    async def add(self):
        self.set_state({"n": self.state["n"] + 1})

async def main():
    now = [0.0]
    module.time = type("Time", (), {"monotonic": lambda: now[0]})
    async with agent_runtime(Counter, plugins=[OTelPlugin()]) as running:
        counter = running.namespaces["Counter"].get_by_name("x")
        await counter.add()
        print(running.events.is_silent)
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        now[0] += 1.1
        await counter.add()
        print([(span.name, [event.name for event in span.events]) for span in exporter.get_finished_spans()])

asyncio.run(main())
"""


def test_without_an_sdk_nobody_listens_until_there_is_one() -> None:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    told = subprocess.run(
        [sys.executable, "-c", LATE_SDK], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert told.stdout.splitlines() == ["True", "[('Counter.add', ['state:update'])]"], told.stderr
