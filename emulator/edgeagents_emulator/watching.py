"""Watching a project's folders for changes of what a worker is made of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

__all__ = ["SourceFilter", "changes_in"]


class SourceFilter(DefaultFilter):
    """Lets through what a worker is made of: Python files, configurations, variables, and all files in ``built``."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".edgeagents", ".wrangler", "dist", "build")

    def __init__(self, built: Iterable[Path] = ()) -> None:
        super().__init__()
        self._built = tuple(f"{folder}{os.sep}" for folder in built)

    def __call__(self, change: Change, path: str) -> bool:
        name = os.path.basename(path)
        is_source = (
            name.endswith(".py")
            or name in ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
            or name.startswith((".dev.vars", ".env"))
            or path.startswith(self._built)
        )
        return is_source and super().__call__(change, path)


async def changes_in(
    folders: Iterable[Path], stop: asyncio.Event, built: Sequence[Path] = ()
) -> AsyncIterator[list[str]]:
    """Iterate over the files that changed, those of one save together, until ``stop``."""
    async for changes in awatch(
        *folders,
        *built,
        watch_filter=SourceFilter(built),
        stop_event=stop,
        debounce=400,
        step=25,
        raise_interrupt=False,
    ):
        yield sorted({path for _, path in changes})
