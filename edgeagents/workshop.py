"""Workshops: a folder on the disk where something is to stand, so that it is made there and then moved into its place.

A process that is killed leaves its workshop behind. The next one clears it: nobody holds the claim on it any more.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgeagents.errors import ConfigError
from edgeagents.placement import FolderClaim

__all__ = ["workshop_in"]

_PREFIX: Final = ".making-"
_SETTLING_SECONDS: Final = 60
"""A younger workshop may not be claimed yet by the process that has just made it."""


@contextmanager
def workshop_in(folder: Path) -> Generator[Path]:
    """Have a new, empty workshop in ``folder`` for a ``with`` block. What killed processes have left is cleared."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder) as made:
        claim = FolderClaim(Path(made))
        claim.take_whole()
        try:
            yield Path(made)
        finally:
            claim.release()


def _clear(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*"):
        try:
            if not left.is_dir() or time.time() - left.stat().st_mtime < _SETTLING_SECONDS:
                continue
            claim = FolderClaim(left)
            claim.take_whole()
        except (ConfigError, OSError):
            continue  # Somebody works in it, or has just ended.
        claim.release()
        shutil.rmtree(left, ignore_errors=True)
