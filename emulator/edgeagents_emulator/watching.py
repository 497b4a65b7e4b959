"""Watching a project's folders for changes of what a worker is made of."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from edgeagents_emulator.building import TICK_SECONDS

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
    folders: Sequence[Path], stop: asyncio.Event, built: Sequence[Path] = (), *, since: float
) -> AsyncIterator[list[str]]:
    """Iterate over the files that changed, those of one save together, until ``stop``.

    The first are those that may have changed after the time ``since``, before anybody watched.
    """
    source = SourceFilter(built)
    watching = awatch(
        *folders,
        *built,
        watch_filter=source,
        stop_event=stop,
        debounce=400,
        step=25,
    )
    later = asyncio.ensure_future(anext(watching, None))
    # It watches from its first step on.
    await asyncio.sleep(0)
    if early := sorted(_changed([*folders, *built], source, since - TICK_SECONDS)):
        yield early
    while (changes := await later) is not None:
        later = asyncio.ensure_future(anext(watching, None))
        yield sorted({path for _, path in changes})


def _changed(folders: Iterable[Path], source: SourceFilter, since: float) -> Iterator[str]:
    for top in folders:
        for folder, below, names in os.walk(top):
            below[:] = [name for name in below if name not in source.ignore_dirs]
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    if source(Change.modified, path) and os.stat(path).st_ctime >= since:
                        yield path
