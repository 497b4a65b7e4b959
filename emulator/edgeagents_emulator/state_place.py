"""Where the state of a project lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgeagents_emulator.options import Options
from wrangler_compat.config import Config

__all__ = ["STATE_FOLDER", "state_folder_of"]

STATE_FOLDER: Final = Path(".edgeagents") / "state"
"""Beside the configuration, unless somebody says otherwise."""


def state_folder_of(options: Options, config: Config) -> Path:
    """Return where the state of a session lies."""
    if options.persist_to:
        return (Path(options.directory) / options.persist_to).resolve()
    return config.directory / STATE_FOLDER
