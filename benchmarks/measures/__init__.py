"""What is measured on a server: the heading of each, the function, and which variants belong to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from benchmarks.measures import requests, sockets, streams, workers
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.variants import TYPESCRIPT, Variant

__all__ = ["MEASURES", "Measure"]


class Measure(NamedTuple):
    """A function that measures, and of which variants: ``all``, all but the way ``through`` the middleware to the bare
    app, or only ``ours``, without what is on workerd."""

    heading: str
    run: Callable[[Sequence[Variant], Scale], Awaitable[list[Row]]]
    of: Literal["all", "through", "ours"] = "through"

    def chosen(self, variants: Sequence[Variant]) -> list[Variant]:
        """Return those of ``variants`` that belong to this."""
        if self.of == "all":
            return list(variants)
        return [
            each
            for each in variants
            if "behind" not in each.label and not (self.of == "ours" and each.label == TYPESCRIPT)
        ]


MEASURES = {
    "hello": Measure("HTTP hello", requests.hello, "all"),
    "worker-hello": Measure("HTTP hello from a worker in the emulator", workers.hello, "ours"),
    "spread": Measure("HTTP hello, spread over many agents", requests.spread),
    "json": Measure("JSON in and out", requests.json_order),
    "insert": Measure("A row a request, safe on disk", requests.insert),
    "fresh": Measure("New agents that store a row", requests.fresh),
    "fresh-empty": Measure("New agents that store nothing", requests.fresh_empty),
    "echo": Measure("WebSocket echo, 100 connections", sockets.echo, "all"),
    "echo-one": Measure("WebSocket echo, one connection", sockets.echo_one),
    "broadcast": Measure("Broadcast", sockets.broadcast),
    "state": Measure("State to nine other clients", sockets.state),
    "idle": Measure("Idle WebSockets", sockets.idle),
    "stream": Measure("Server-Sent Events, one stream", streams.event_stream, "all"),
    "events": Measure("Server-Sent Events, 200 streams", streams.events),
    "crowd": Measure("200 streams, each whole", streams.crowd, "ours"),
    "bodies": Measure("Large streamed bodies", streams.large_bodies, "ours"),
    "slow": Measure("Stalled readers", streams.slow_reader, "ours"),
    "silence": Measure("Silence in a stream", streams.silence, "ours"),
}
