"""Pipelines: records that are sent away, to be looked at later.

Cloudflare transforms them and writes them to a bucket. Here each is a line of JSON in
``<state>/pipelines/<stream or pipeline>.jsonl``, in the order in which they were sent.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from edgeagents.bindings import BindingDeclaration
    from edgeagents.stores import Stores

__all__ = ["Pipeline", "pipeline_of"]


class Pipeline:
    """A pipeline, or a stream into one. ``path`` is the file of its records, or None where nothing is kept."""

    js_name: ClassVar[str] = "Pipeline"

    def __init__(self, path: Path | None) -> None:
        self._path = path

    async def send(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Send ``records``, all or none of them. Raises ``TypeError`` for what JSON has no form for."""
        if isinstance(records, str | bytes | Mapping) or not hasattr(records, "__iter__"):
            raise TypeError(f"send() takes a list of records, each an object, not {type(records).__name__}.")
        lines = "".join(f"{json.dumps(record, ensure_ascii=False, default=_written)}\n" for record in records)
        if lines and self._path is not None:
            await asyncio.to_thread(_append, self._path, lines.encode("utf-8", "replace"))


def _append(path: Path, lines: bytes) -> None:
    # One write at the end of the file, which another process' comes before or after.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, lines)
    finally:
        os.close(file)


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"A record of a pipeline is JSON, which has no form for {type(value).__name__}.")


def pipeline_of(declaration: BindingDeclaration, stores: Stores) -> Pipeline:
    """Return what a binding declares. Option: ``stream`` or ``pipeline``, its name."""
    options = declaration.options
    name = options.get("stream") or options.get("pipeline") or declaration.name
    return Pipeline(stores.path("pipelines", str(name), ".jsonl"))
