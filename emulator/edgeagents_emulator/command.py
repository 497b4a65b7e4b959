"""The ``edgeagents`` command as a program."""

from __future__ import annotations

import contextlib
import sys

from edgeagents_emulator.needed import what_is_missing
from edgeagents_emulator.starting import start

__all__ = ["run"]


def run() -> None:
    """Do what the command line says. A process that will serve starts before the rest of this one is imported."""
    serves = sys.argv[1:2] == ["dev"] and not {"-h", "--help"} & set(sys.argv) and not what_is_missing()
    with contextlib.closing(start()) if serves else contextlib.nullcontext() as started:
        from edgeagents_emulator.cli import main

        main(obj=started)
