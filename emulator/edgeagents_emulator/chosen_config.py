"""Which configuration a session is about: the one that was named, or the nearest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeagents.errors import ConfigError
from edgeagents_emulator.options import Options
from wrangler_compat.config import Config, read_config
from wrangler_compat.finding import find_config

__all__ = ["config_of", "script_of"]


def config_of(options: Options, process: Mapping[str, str]) -> Config:
    """Return the configuration that ``options`` name, with what is wrong in it. Raises ``ConfigError`` without one."""
    directory, script = Path(options.directory), script_of(options)
    path = directory / options.config if options.config else find_config(script.parent if script else directory)
    if path is None and script is None:
        raise ConfigError(
            f"There is no wrangler.json, wrangler.jsonc or wrangler.toml in {directory} or above it. "
            "Go to your project's folder, or name the file with --config or EDGEAGENTS_CONFIG."
        )
    return read_config(path, environment=options.chosen_environment(process), directory=directory, given=options.given)


def script_of(options: Options) -> Path | None:
    """Return the Python file that was named in place of ``main``."""
    return (Path(options.directory) / options.script).resolve() if options.script else None
