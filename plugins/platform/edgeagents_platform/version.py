"""Version metadata: which version of the worker runs. Here each start is one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

__all__ = ["version_of"]


def version_of(runtime: Any) -> dict[str, str]:
    """Return ``{"id", "tag", "timestamp"}``: a new id, no tag, and when the runtime started."""
    now = runtime.clock.now()
    return {
        "id": str(UUID(bytes=runtime.rng.randbytes(16), version=4)),
        "tag": "",
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
    }
