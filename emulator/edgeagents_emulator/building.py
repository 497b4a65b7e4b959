"""The build: a command of the project's that runs before its worker is loaded, to make assets or code."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from wrangler_compat.config import Config

__all__ = ["TICK_SECONDS", "run_build"]

TICK_SECONDS: Final = 0.02
"""By how much the times of files may be behind."""

_log = logging.getLogger("edgeagents.emulator")


def run_build(config: Config) -> None:
    """Run ``build.command`` in ``build.cwd``, by default beside the configuration. That it failed is a diagnostic.

    ``python`` in it is the Python that runs this.
    """
    build: dict[str, Any] = config.values.get("build") or {}
    command = build.get("command")
    if not command or not isinstance(command, str):
        return
    _log.info("[custom build] Running: %s", command)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        done = subprocess.run(
            command,
            shell=True,
            cwd=config.directory / (build.get("cwd") or ""),
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        config.at("build", "command").error("invalid", f"{command!r} could not be run: {error}")
        return
    # Whoever asks whether a file was changed after it was read asks a clock that ticks rarely.
    time.sleep(TICK_SECONDS)
    for line in done.stdout.splitlines():
        _log.info("[custom build] %s", line)
    if done.returncode:
        last = " ".join(done.stdout.strip().splitlines()[-1:])
        config.at("build", "command").error("invalid", f"{command!r} ended with status {done.returncode}. {last}")
