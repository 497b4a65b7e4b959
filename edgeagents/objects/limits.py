"""Limits: what an object and its clients may use. Each has Cloudflare's figure, or a safe one, as its default."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How much is allowed. Bytes and seconds; None means no limit."""

    body_bytes: int | None = None
    """A whole request body. A stream that is read piece by piece needs no limit to keep memory flat."""
    buffered_body_bytes: int = 32 * 1024 * 1024
    """A body that a handler reads at once (``json()``, ``text()``, ``bytes()``, ``form()``). More: 413."""
    frame_bytes: int = 32 * 1024 * 1024
    """One WebSocket message from a client. More: close code 1009."""
    send_queue_bytes: int = 16 * 1024 * 1024
    """What may wait for one client that reads slowly. More: close code 1013."""
    send_queue_frames: int = 4096
    """How many messages may wait for one client. More: close code 1013."""
    json_depth: int = 128
    """How deep JSON from a client may nest."""
    sockets_per_object: int = 32_768
    messages_in_flight: int = 64
    """Messages of one socket that may be handled at once before no more are read from it."""
    events_per_object: int = 10_000
    """Events that may be with one object at once. More: ``ObjectOverloaded``."""
    idle_seconds: float = 10.0
    """How long an object without anything to do stays in memory."""
    critical_section_seconds: float | None = 30.0
    """How long a start or ``block_concurrency_while`` may take before the object is reset."""
    attachment_bytes: int = 16_384
    auto_response_bytes: int = 2_048
    socket_tags: int = 10
    socket_tag_characters: int = 256
    alarms_at_once: int = 64
    """Alarms that run at the same time in one process; more of them wait their turn."""
    object_name_bytes: int = 2_048
    facet_depth: int = 16
    """How many facets may stand below one another. A path that a client sends may ask for many."""
