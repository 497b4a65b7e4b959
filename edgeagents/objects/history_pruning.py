"""Giving up the oldest of a history when it is older, or more, than its settings allow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edgeagents.objects.bookmarks import Bookmark
from edgeagents.objects.disk import sync_file, sync_folder
from edgeagents.objects.history import History
from edgeagents.objects.history_files import Base, HistoryFiles, Log
from edgeagents.objects.history_times import HistoryTimes

__all__ = ["prune"]


def prune(
    files: HistoryFiles, times: HistoryTimes, settings: History, now: float, build: Callable[[Bookmark, Path], None]
) -> bool:
    """Give up what is too old or too much; return whether what is left is small enough.

    ``build`` makes the database as it was at a bookmark, at a path.
    """
    bases, logs = files.bases(), files.logs()
    if len(logs) < 2 or not bases:
        return True
    sizes: dict[Path, int] = {}
    for path in files.folder.iterdir():
        facts = path.stat()
        if path.suffix[1:].isdigit() and facts.st_mtime < now - 86_400:
            path.unlink()  # A process died over it.
        else:
            sizes[path] = facts.st_size
    total, oldest = sum(sizes.values()), logs[0].path.stat().st_mtime
    age = settings.days * 86_400
    # Not for every log: each time the base is copied.
    if total <= settings.bytes and oldest >= now - 1.25 * age:
        return True
    given_up: list[Log] = []
    for log in logs[:-1]:
        if log.path.stat().st_mtime >= now - age and total <= 0.75 * settings.bytes:
            break
        total -= sizes[log.path]
        given_up.append(log)
    after = next(log for log in logs if log.log > given_up[-1].log)
    _have_base(files, after, build)
    _remove([base for base in bases if base.log <= given_up[-1].log], given_up)
    times.thin(is_forced=True)
    return files.size() <= settings.bytes


def _have_base(files: HistoryFiles, log: Log, build: Callable[[Bookmark, Path], None]) -> None:
    """Make the base of a log, from what came before."""
    if any(base.log == log.log for base in files.bases()):
        return
    made = files.folder / "base.new"
    build(Bookmark(0, log.log, 0), made)
    sync_file(made)
    os.replace(made, files.base(log.log, log.salts, 0))
    sync_folder(files.folder)


def _remove(bases: list[Base], logs: list[Log]) -> None:
    for path in (*(base.path for base in bases), *(log.path for log in logs)):
        path.unlink()
