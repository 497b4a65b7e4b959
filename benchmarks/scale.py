"""How long and how large: ``QUICK`` shows that the harness works, ``FULL`` gives figures to quote."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Scale"]

MIB = 1 << 20


@dataclass(frozen=True)
class Scale:
    """The sizes of one run."""

    rounds: int
    """How often each variant is measured, interleaved with the others. One more round is not counted."""
    seconds: float
    connections: int
    agents: int
    """Over how many agents requests are spread."""
    fresh: int
    """How many agents are made in all rounds together."""
    receivers: int
    idle_sockets: int
    stream_events: int
    streams: int
    crowd_events: int
    body_bytes: int
    silence_seconds: float
    repeats: int
    """How often something is done in process."""
    objects: int
    """Of how many objects memory is measured."""


QUICK = Scale(
    rounds=2,
    seconds=0.5,
    connections=16,
    agents=200,
    fresh=100,
    receivers=200,
    idle_sockets=500,
    stream_events=500,
    streams=200,
    crowd_events=20,
    body_bytes=32 * MIB,
    silence_seconds=1,
    repeats=2_000,
    objects=200,
)
FULL = Scale(
    rounds=5,
    seconds=3,
    connections=32,
    agents=1_000,
    fresh=2_000,
    receivers=1_000,
    idle_sockets=10_000,
    stream_events=5_000,
    streams=200,
    crowd_events=200,
    body_bytes=1024 * MIB,
    silence_seconds=180,
    repeats=20_000,
    objects=1_000,
)
