"""``breakpoint()`` in a worker: pdb in the terminal of ``edgeagents dev``, which still ends with Control-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

__all__ = ["stop_in_pdb", "use_pdb"]


def use_pdb() -> None:
    """Let ``breakpoint()`` stop in pdb, unless ``PYTHONBREAKPOINT`` names something else."""
    if not os.environ.get("PYTHONBREAKPOINT"):
        sys.breakpointhook = stop_in_pdb


def stop_in_pdb(*args: Any, **keywords: Any) -> None:
    """Stop in the caller's frame.

    Control-C stays what ends the session: pdb would take it for itself from then on. While it asks for a command the
    event loop stands still, so what ends this process must not wait for it.
    """
    import pdb

    class Debugger(pdb.Pdb):
        def interaction(self, *of: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            if threading.current_thread() is not threading.main_thread():
                super().interaction(*of)
                return
            before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
            try:
                super().interaction(*of)
            finally:
                signal.signal(signal.SIGTERM, before)

    Debugger(nosigint=True).set_trace(sys._getframe(1))
