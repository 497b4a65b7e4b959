"""Workers behind the emulator: the app that ``edgeagents dev`` serves, on the same server as the bare app."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load
from benchmarks.measures.compare import compare, interleaved
from benchmarks.report import Row
from benchmarks.scale import Scale
from benchmarks.variants import Variant
from tests.servers import Server

__all__ = ["WORKERS", "hello"]

WORKERS = Path(__file__).parents[1] / "workers"
_LABELS = {
    "hello": "Python Worker, WorkerEntrypoint",
    "hello-old": "Python Worker, on_fetch",
    "hello-native": "worker of edgeagents",
}


async def hello(variants: Sequence[Variant], scale: Scale) -> list[Row]:
    """GET a short text from a worker, with the line that the emulator writes for each request (into a file). The bare
    app writes none."""
    bare = variants[0]

    def run(variant: Variant) -> Awaitable[load.Figures]:
        requests = itertools.repeat(load.get(variant.path("/hello")))
        return load.exchanges(
            lambda figures: load.HttpExchange(figures, requests),
            variant.server.port,
            connections=scale.connections,
            seconds=scale.seconds,
        )

    with ExitStack() as stack:
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-"))
        workers = [Variant(_LABELS[name], _serve(stack, bare.server, name, state), "", False) for name in _LABELS]
        return compare(await interleaved([bare, *workers], scale.rounds, run))


def _serve(stack: ExitStack, beside: Server, name: str, state: str) -> Server:
    server = Server(
        "edgeagents.emulator:app",
        server=beside.server,
        cwd=WORKERS / name,
        options=beside.options,
        env={**beside.env, "EDGEAGENTS_PERSIST_TO": f"{state}/{name}"},
    )
    stack.callback(server.close)
    return server.start()
