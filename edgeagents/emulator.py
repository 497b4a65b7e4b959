"""The emulator's door: ``hypercorn edgeagents.emulator:app`` runs the project of the current directory.

The one module that looks up: everything is in ``edgeagents_emulator``, which a checkout keeps in a folder of its own.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

__all__ = ["app"]

if importlib.util.find_spec("edgeagents_emulator") is None:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "emulator"))

from edgeagents_emulator.needed import what_is_missing

if missing := what_is_missing():
    raise ImportError(missing)

from edgeagents_emulator.host import EmulatorApp

app = EmulatorApp(owns_process=True)
"""Boots when its server starts, or with its first request; importing it does nothing."""
